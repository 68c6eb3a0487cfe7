import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import type { BackupRun, Place } from './calls';

/** Why a run came to nothing: codes of the node that have `backups.reason.CODE`. */
const reasons = new Set([
  'target_unreachable',
  'target_denied',
  'target_full',
  'target_forbidden',
  'target_not_ours',
  'target_object_missing',
  'target_not_locked',
  'target_failed',
  'source_unreadable',
  'manifest_unreadable',
  'audit_unreadable',
  'key_unavailable',
  'backup_damaged',
  'node_failed',
  'node_silent',
  'cluster_unavailable',
]);

const flaws: [ending: string, key: TextKey][] = [
  ['it is cut off or damaged', 'backups.flaw.cut'],
  ['it is damaged', 'backups.flaw.damaged'],
  ['it is gone', 'backups.flaw.gone'],
  ['every copy is damaged', 'backups.flaw.everyCopy'],
  ['no node has it', 'backups.flaw.noNode'],
];

export interface Flaw {
  /** The object, as it is named at the place. */
  object: string;
  /** The asset whose file it is, when it is one. */
  asset?: string;
  /** What kind of object it is. */
  kind: TextKey;
  what: string;
}

/** Says in the reader's language what a run is, why it came to nothing, and what it found. */
export function useRunText() {
  const { t, language } = useText();
  const kindOf = (run: BackupRun) => {
    if (run.kind === 'verify') return t(run.full ? 'backups.run.full' : 'backups.run.quick');
    if (run.kind === 'drill') return t('backups.run.drill');
    return t(run.kind === 'interim' ? 'backups.run.interim' : 'backups.run.copy');
  };
  // In English the node's own words, which name what it was about.
  const reasonOf = (run: BackupRun) => {
    const known = reasons.has(run.reason_code ?? '');
    if (known && (language !== 'en' || !run.reason)) return t(`backups.reason.${run.reason_code}` as TextKey);
    return run.reason ? sentence(run.reason) : undefined;
  };
  const flawOf = (text: string): Flaw => {
    const at = text.indexOf(': ');
    const object = at < 0 ? '' : text.slice(0, at);
    const said = at < 0 ? text : text.slice(at + 2);
    const key = flaws.find(([ending]) => said === ending)?.[1];
    const [folder, part] = object.split('/');
    return {
      object,
      asset: folder === 'blobs' ? part : undefined,
      kind: folder === 'blobs' ? 'backups.flaw.file' : folder === 'audit' ? 'backups.flaw.audit' : 'backups.flaw.run',
      what: key ? t(key) : sentence(said),
    };
  };
  return { kindOf, reasonOf, flawOf };
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

/** Where a place is, in one line. */
export function usePlaceText(): (place: Place) => string {
  const { t } = useText();
  return (place) => {
    switch (place.kind) {
      case 'folder':
        return t('backups.place.folder', { path: place.path });
      case 'sftp': {
        const port = place.port && place.port !== 22 ? `:${place.port}` : '';
        return t('backups.place.sftp', { address: `${place.username}@${place.host}${port}`, path: place.path });
      }
      case 's3': {
        const values = { bucket: `${place.bucket}${place.prefix ? `/${place.prefix}` : ''}`, endpoint: place.endpoint };
        return t(place.object_lock ? 'backups.place.s3Locked' : 'backups.place.s3', values);
      }
    }
  };
}
