/**
 * The uploads of this tab: a list outside React, so that they go on while pages change.
 *
 * Bytes go by tus; the fingerprint in this browser's storage lets an upload go on after a reload or a crash from the last byte the node has.
 */
import type { DetailedError, PreviousUpload, Upload } from 'tus-js-client';
import { Problem, sessionEnded } from '../api/client';

export type UploadState = 'waiting' | 'sending' | 'paused' | 'offline' | 'signedOut' | 'done' | 'failed';

export interface UploadItem {
  key: string;
  application: string;
  name: string;
  size: number;
  sent: number;
  /** Bytes a second over the last few seconds. */
  speed: number;
  state: UploadState;
  error?: Problem;
  asset?: string;
  /** True when the node already had some of it. */
  resumed: boolean;
}

interface Running {
  item: UploadItem;
  file: File;
  /** Made at the first start. */
  upload: Upload | undefined;
  samples: [number, number][];
}

export const endpoint = '/api/v1/uploads';
const atOnce = 2;
const chunk = 64 * 1024 * 1024;
const speedWindow = 5_000;
/** tus is only loaded by those who upload. */
const tus = () => import('tus-js-client');
const retryDelays = [0, 1_000, 3_000, 5_000, 10_000, 20_000, 30_000];

class UploadQueue {
  private entries: Running[] = [];
  private snapshot: UploadItem[] = [];
  private listeners = new Set<() => void>();
  private publishTimer: ReturnType<typeof setTimeout> | undefined;
  private nextKey = 1;
  private owner: string | undefined;

  constructor() {
    window.addEventListener('offline', () => this.wentOffline());
    window.addEventListener('online', () => this.cameBack());
    window.addEventListener('beforeunload', (event) => {
      if (this.entries.some((entry) => isOpen(entry.item.state))) event.preventDefault();
    });
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  items = (): UploadItem[] => this.snapshot;

  /** Puts files in line; those the node has begun to know go on where they were. */
  add(application: string, files: Iterable<File>): void {
    for (const file of files) this.entries.push(this.entry(application, file));
    this.advance();
  }

  pause(key: string): void {
    const entry = this.find(key);
    if (!entry || !isOpen(entry.item.state)) return;
    const wasSending = entry.item.state === 'sending';
    this.update(entry, { state: 'paused', speed: 0 });
    if (wasSending) void entry.upload?.abort();
    this.advance();
  }

  resume(key: string): void {
    const entry = this.find(key);
    if (!entry || (entry.item.state !== 'paused' && entry.item.state !== 'failed')) return;
    this.update(entry, { state: 'waiting', error: undefined });
    this.advance();
  }

  /** Stops and makes the node forget what it has of the file. */
  async cancel(key: string): Promise<void> {
    const entry = this.find(key);
    if (!entry) return;
    this.remove(key);
    if (entry.item.state === 'done') return;
    await entry.upload?.abort(entry.upload.url !== null).catch(() => undefined);
    this.advance();
  }

  /** Takes a finished or failed line off the list. */
  remove(key: string): void {
    this.entries = this.entries.filter((entry) => entry.item.key !== key);
    this.publish();
  }

  private entry(application: string, file: File): Running {
    const item: UploadItem = {
      key: String(this.nextKey++),
      application,
      name: file.name,
      size: file.size,
      sent: 0,
      speed: 0,
      state: 'waiting',
      resumed: false,
    };
    return { item, file, upload: undefined, samples: [] };
  }

  private async uploadOf(running: Running): Promise<Upload> {
    if (running.upload) return running.upload;
    const { Upload } = await tus();
    const { file } = running;
    const { application } = running.item;
    const upload = new Upload(file, {
      endpoint,
      chunkSize: chunk,
      retryDelays,
      removeFingerprintOnSuccess: true,
      metadata: {
        filename: file.name,
        filetype: file.type || 'application/octet-stream',
        title: titleOf(file.name),
        application,
      },
      fingerprint: async () => fingerprintOf(application, file),
      onShouldRetry: (error) => mayRetry(error),
      // Thrown before tus-js-client reads the status: it would take a 401 for "there is no such upload" and forget its address.
      onAfterResponse: (_request, answer) => {
        if (answer.getStatus() === 401) throw new SessionOver();
      },
      onProgress: (sent) => this.progressed(running, sent),
      onSuccess: () => {
        this.update(running, { state: 'done', sent: file.size, speed: 0, asset: assetOf(upload.url) });
        this.advance();
      },
      onError: (error) => this.failed(running, error),
    });
    running.upload = upload;
    return upload;
  }

  private progressed(entry: Running, sent: number): void {
    const now = performance.now();
    entry.samples.push([now, sent]);
    while (entry.samples.length > 2 && now - (entry.samples[0]?.[0] ?? now) > speedWindow) entry.samples.shift();
    const [then, had] = entry.samples[0] ?? [now, sent];
    const speed = now > then ? ((sent - had) / (now - then)) * 1000 : entry.item.speed;
    this.update(entry, { sent, speed, asset: assetOf(entry.upload?.url ?? null) });
  }

  private failed(entry: Running, error: Error | DetailedError): void {
    if (entry.item.state !== 'sending') return;
    if (isSessionOver(error)) {
      this.update(entry, { state: 'signedOut', speed: 0 });
      sessionEnded();
    } else if (!navigator.onLine) {
      this.update(entry, { state: 'offline', speed: 0 });
    } else {
      this.update(entry, { state: 'failed', speed: 0, error: problemOf(error) });
    }
    this.advance();
  }

  private async start(entry: Running): Promise<void> {
    this.update(entry, { state: 'sending' });
    entry.samples = [];
    const upload = await this.uploadOf(entry);
    const previous = await upload.findPreviousUploads().catch(() => [] as PreviousUpload[]);
    const last = previous.at(-1);
    if (last && upload.url === null) {
      upload.resumeFromPreviousUpload(last);
      this.update(entry, { resumed: true });
    }
    if (entry.item.state === 'sending') upload.start();
  }

  private advance(): void {
    let sending = this.entries.filter((entry) => entry.item.state === 'sending').length;
    for (const entry of this.entries) {
      if (sending >= atOnce || !navigator.onLine) break;
      if (entry.item.state !== 'waiting') continue;
      sending += 1;
      void this.start(entry);
    }
    this.publish();
  }

  private wentOffline(): void {
    for (const entry of this.entries) {
      if (entry.item.state !== 'sending') continue;
      this.update(entry, { state: 'offline', speed: 0 });
      void entry.upload?.abort();
    }
  }

  private cameBack(): void {
    for (const entry of this.entries) {
      if (entry.item.state === 'offline') this.update(entry, { state: 'waiting' });
    }
    this.advance();
  }

  /** Somebody logged in: what waited for them goes on; what another person began in this tab is not sent in their name. */
  signedIn(user: string): void {
    if (this.owner !== undefined && this.owner !== user) {
      for (const entry of this.entries) void entry.upload?.abort();
      this.entries = [];
    }
    this.owner = user;
    for (const entry of this.entries) {
      if (entry.item.state === 'signedOut') this.update(entry, { state: 'waiting' });
    }
    this.advance();
  }

  private find(key: string): Running | undefined {
    return this.entries.find((entry) => entry.item.key === key);
  }

  private update(entry: Running, part: Partial<UploadItem>): void {
    const stateChanged = part.state !== undefined && part.state !== entry.item.state;
    entry.item = { ...entry.item, ...part };
    if (stateChanged) this.publish();
    else this.publishTimer ??= setTimeout(() => this.publish(), 200);
  }

  private publish(): void {
    clearTimeout(this.publishTimer);
    this.publishTimer = undefined;
    this.snapshot = this.entries.map((entry) => entry.item);
    for (const listener of this.listeners) listener();
  }
}

export function isOpen(state: UploadState): boolean {
  return state === 'waiting' || state === 'sending' || state === 'offline' || state === 'signedOut';
}

function fingerprintOf(application: string, file: File): string {
  return ['mediakeep', application, file.name, file.type, file.size, file.lastModified].join('-');
}

/** A title for a start: the file's name without its ending, underscores as spaces. */
export function titleOf(fileName: string): string {
  const bare = fileName.replace(/\.[A-Za-z0-9]{1,5}$/, '').replace(/_+/g, ' ');
  return bare.trim() || fileName;
}

function assetOf(url: string | null): string | undefined {
  return url?.split('/').pop() || undefined;
}

/** The node does not know the session any more. */
class SessionOver extends Error {}

function isSessionOver(error: Error | DetailedError): boolean {
  return error instanceof SessionOver || ('causingError' in error && error.causingError instanceof SessionOver);
}

function mayRetry(error: DetailedError): boolean {
  if (!navigator.onLine || isSessionOver(error)) return false;
  const status = error.originalResponse?.getStatus() ?? 0;
  return status === 0 || status === 409 || status === 423 || status === 429 || (status >= 500 && status !== 507);
}

/** What the node said when it refused the bytes; without an answer it could not be reached. */
function problemOf(error: Error | DetailedError): Problem {
  const answer = 'originalResponse' in error ? error.originalResponse : null;
  if (!answer) return new Problem(0, 'unreachable', error.message, undefined, undefined);
  const status = answer.getStatus();
  try {
    const told = JSON.parse(answer.getBody()) as Record<string, string | undefined>;
    return new Problem(status, told.code ?? 'unknown', told.title ?? `HTTP ${status}`, told.detail, told.request_id);
  } catch {
    return new Problem(status, 'unknown', `HTTP ${status}`, undefined, undefined);
  }
}

export const uploads = new UploadQueue();

export interface Interrupted {
  storageKey: string;
  name: string;
  size: number;
  application: string;
}

/** Uploads begun earlier in this browser and not finished: choosing the same file again goes on with them. */
export async function interruptedUploads(): Promise<Interrupted[]> {
  const { defaultOptions } = await tus();
  const stored = (await defaultOptions.urlStorage?.findAllUploads()) ?? [];
  const current = new Set(uploads.items().map((item) => `${item.application}/${item.name}/${item.size}`));
  return stored
    .map((one) => ({
      storageKey: one.urlStorageKey,
      name: one.metadata.filename ?? '',
      size: one.size ?? 0,
      application: one.metadata.application ?? '',
    }))
    .filter((one) => one.name !== '' && !current.has(`${one.application}/${one.name}/${one.size}`));
}

export async function forgetInterrupted(storageKey: string): Promise<void> {
  const { defaultOptions } = await tus();
  await defaultOptions.urlStorage?.removeUpload(storageKey);
}
