/** A place for backups as the form holds it, and the way between that and what the API takes. */
import { Problem } from '../../api/client';
import type { BackupTarget, Place, SetTarget } from './calls';

export type PlaceKind = Place['kind'];

/** Every field of every kind of place, so that looking at another kind loses nothing that was typed. */
export interface TargetForm {
  name: string;
  kind: PlaceKind;
  path: string;
  host: string;
  port: number;
  username: string;
  hostKey: string;
  endpoint: string;
  region: string;
  bucket: string;
  prefix: string;
  accessKey: string;
  authority: string;
  objectLock: boolean;
  daily: boolean;
  /** `HH:MM` where the reader is. */
  time: string;
  keepDays: number;
  /** Minutes; 0 for the daily ones only. */
  every: number;
  /** The number of a node, or empty for whoever leads. */
  node: string;
}

const empty: TargetForm = {
  name: '',
  kind: 'folder',
  path: '',
  host: '',
  port: 22,
  username: '',
  hostKey: '',
  endpoint: '',
  region: '',
  bucket: '',
  prefix: '',
  accessKey: '',
  authority: '',
  objectLock: false,
  daily: true,
  time: '02:30',
  keepDays: 30,
  every: 0,
  node: '',
};

export function formOf(target: BackupTarget | undefined): TargetForm {
  if (!target) return empty;
  const { name, keep_days, daily_at_minute, every_minutes, node, place } = target;
  const daily = daily_at_minute != null;
  const time = daily ? localTimeOf(daily_at_minute) : empty.time;
  const every = every_minutes ?? 0;
  return { ...empty, name, keepDays: keep_days, daily, time, every, node: node ?? '', ...fieldsOf(place) };
}

function fieldsOf(place: Place): Partial<TargetForm> {
  switch (place.kind) {
    case 'folder':
      return { kind: 'folder', path: place.path };
    case 'sftp':
      return {
        kind: 'sftp',
        host: place.host,
        port: place.port ?? 22,
        path: place.path,
        username: place.username,
        hostKey: place.host_key,
      };
    case 's3':
      return {
        kind: 's3',
        endpoint: place.endpoint,
        region: place.region ?? '',
        bucket: place.bucket,
        prefix: place.prefix ?? '',
        accessKey: place.access_key,
        authority: place.authority ?? '',
        objectLock: place.object_lock ?? false,
      };
  }
}

export function requestOf(form: TargetForm, secret: string): SetTarget {
  return {
    name: form.name.trim(),
    place: placeOf(form),
    secret: form.kind === 'folder' || secret === '' ? undefined : secret,
    keep_days: form.keepDays,
    daily_at_minute: form.daily ? minuteOf(form.time) : null,
    every_minutes: form.daily && form.every > 0 ? form.every : null,
    node: form.node === '' ? null : form.node,
  };
}

function placeOf(form: TargetForm): Place {
  switch (form.kind) {
    case 'folder':
      return { kind: 'folder', path: form.path.trim() };
    case 'sftp':
      return {
        kind: 'sftp',
        host: form.host.trim(),
        port: form.port,
        path: form.path.trim(),
        username: form.username.trim(),
        host_key: form.hostKey.trim(),
      };
    case 's3':
      return {
        kind: 's3',
        endpoint: form.endpoint.trim(),
        region: form.region.trim() || undefined,
        bucket: form.bucket.trim(),
        prefix: form.prefix.trim() || undefined,
        access_key: form.accessKey.trim(),
        authority: form.authority.trim() || undefined,
        object_lock: form.objectLock,
      };
  }
}

const two = (number: number) => String(number).padStart(2, '0');

/** `HH:MM` in UTC. */
export const utcTimeOf = (minute: number) => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;

/** `HH:MM` where the reader is, by today's rules for summer time. */
export function localTimeOf(minute: number): string {
  const day = new Date();
  day.setUTCHours(0, minute, 0, 0);
  return `${two(day.getHours())}:${two(day.getMinutes())}`;
}

/** The minute of the day in UTC of `HH:MM` where the reader is, today. */
export function minuteOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number);
  const day = new Date();
  day.setHours(hours ?? 0, minutes ?? 0, 0, 0);
  return day.getUTCHours() * 60 + day.getUTCMinutes();
}

export type Field = keyof TargetForm | 'secret';

/** Names of the API's fields where they are not the form's own. */
const fieldNames: Record<string, Field> = {
  host_key: 'hostKey',
  access_key: 'accessKey',
  keep_days: 'keepDays',
  daily_at_minute: 'time',
  every_minutes: 'every',
};

/** The field that a refusal is about; none when it is about no one of them. */
export function fieldOf(error: unknown, form: TargetForm): Field | undefined {
  if (!(error instanceof Problem)) return undefined;
  const address: Field = form.kind === 's3' ? 'endpoint' : form.kind === 'sftp' ? 'host' : 'path';
  switch (error.code) {
    case 'name_taken':
      return 'name';
    case 'secret_needed':
      return 'secret';
    case 'ask_that_node':
      return 'node';
    case 'target_denied':
      return form.kind === 'folder' ? 'path' : 'secret';
    case 'target_forbidden':
      return form.kind === 'sftp' && error.detail?.includes('SHA256:') ? 'hostKey' : address;
    case 'target_unreachable':
      return form.kind === 'sftp' && error.detail?.includes('folder') ? 'path' : address;
    case 'target_not_ours':
      return form.kind === 's3' ? 'bucket' : 'path';
    case 'invalid': {
      // "Keep_days is out of range.": the name comes first.
      const name = (error.detail ?? '').split(' ')[0]?.toLowerCase() ?? '';
      return fieldNames[name] ?? (name in form ? (name as Field) : undefined);
    }
    default:
      return undefined;
  }
}
