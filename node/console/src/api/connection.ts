/**
 * Whether the node can be reached: what the browser knows of its network, and what the event stream finds out.
 *
 * A short gap is nobody's business; only one that lasts is told.
 */
export type Connection = 'there' | 'offline' | 'unreachable';

const patience = 3_000;
const listeners = new Set<() => void>();
let unreachable = false;
let timer: ReturnType<typeof setTimeout> | undefined;

const tell = () => {
  for (const listener of listeners) listener();
};
window.addEventListener('online', tell);
window.addEventListener('offline', tell);

export function subscribeConnection(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function connection(): Connection {
  if (!navigator.onLine) return 'offline';
  return unreachable ? 'unreachable' : 'there';
}

/** The event stream stands. */
export function nodeAnswered(): void {
  clearTimeout(timer);
  timer = undefined;
  if (!unreachable) return;
  unreachable = false;
  tell();
}

/** The event stream broke; it is told when that lasts. */
export function nodeWentQuiet(): void {
  timer ??= setTimeout(() => {
    unreachable = true;
    tell();
  }, patience);
}
