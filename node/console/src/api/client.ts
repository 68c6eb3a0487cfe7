/**
 * The one way to the node's API: same origin, session cookie, `problem+json` errors as `Problem`.
 *
 * A 401 on any call but the log-in itself means that the session ended; listeners are told so that the page can ask again.
 */
const base = '/api/v1';

/** What the node answered when it refused, as RFC 9457 says it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string | undefined,
    readonly requestId: string | undefined,
  ) {
    super(detail ?? title);
    this.name = 'Problem';
  }
}

type Listener = () => void;
const signedOutListeners = new Set<Listener>();

/** Calls `listener` whenever the node says that the session is over. */
export function onSignedOut(listener: Listener): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

/** Tells everybody that the node no longer knows this session. */
export function sessionEnded(): void {
  for (const listener of signedOutListeners) listener();
}

/** Nobody leads: nobody can say what is the latest, and what the node knows by itself is what there is to show. */
let leaderless = false;

/** From now on reads wait for all that was acknowledged, on whichever node; or they do not, as long as nobody leads. */
export function askForTheLatest(yes: boolean): void {
  leaderless = !yes;
}

export type Query = Record<string, string | number | boolean | undefined | null>;

/** `path?query` below the API, leaving out what is empty. */
export function apiUrl(path: string, query?: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return `${base}${path}${text ? `?${text}` : ''}`;
}

interface CallOptions {
  query?: Query;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is, with `type` as its media type. */
  body?: Blob | string;
  type?: string;
  signal?: AbortSignal;
  /** The call outlives the page. */
  keepalive?: boolean;
  /** True for calls whose 401 is an answer and not the end of a session. */
  quiet?: boolean;
  /** The passphrase was just given for it. */
  confirmed?: boolean;
  /** True for what concerns the node itself: it need not ask the others. */
  here?: boolean;
}

let confirmer: (() => Promise<boolean>) | undefined;

/** `ask` has the passphrase given once more where the node wants it, and says whether it was. */
export function onConfirmNeeded(ask: () => Promise<boolean>): () => void {
  confirmer = ask;
  return () => {
    confirmer = undefined;
  };
}

/** Calls the API; gives the JSON answer, or `undefined` for an empty one; throws `Problem`. */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  let body: BodyInit | undefined;
  if (options.json !== undefined) {
    headers['content-type'] = 'application/json';
    body = JSON.stringify(options.json);
  } else if (options.body !== undefined) {
    if (options.type) headers['content-type'] = options.type;
    body = options.body;
  }
  const { signal, keepalive } = options;
  const ask = (cache: RequestCache) =>
    send(method, apiUrl(path, options.query), { headers, body, signal, keepalive, cache });
  // The browser says `Cache-Control: no-cache` by itself where nothing may be stored.
  const latest = !leaderless && !options.here;
  let answer = await ask(latest ? 'no-store' : 'default');
  if (method === 'GET' && answer.status === 503 && latest) {
    askForTheLatest(false);
    answer = await ask('default');
  }
  if (answer.ok) return (await readJson(answer)) as T;
  const problem = await problemOf(answer);
  if (problem.code === 'confirm_needed' && !options.confirmed && (await confirmer?.())) {
    return call<T>(method, path, { ...options, confirmed: true });
  }
  if (problem.status === 401 && !options.quiet) sessionEnded();
  throw problem;
}

async function send(method: string, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { method, credentials: 'same-origin', ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Problem(0, 'unreachable', 'The node cannot be reached', undefined, undefined);
  }
}

async function readJson(answer: Response): Promise<unknown> {
  const text = await answer.text();
  return text === '' ? undefined : JSON.parse(text);
}

async function problemOf(answer: Response): Promise<Problem> {
  const requestId = answer.headers.get('x-request-id') ?? undefined;
  try {
    const told = (await answer.json()) as Record<string, string | undefined>;
    const title = told.title ?? answer.statusText;
    return new Problem(answer.status, told.code ?? 'unknown', title, told.detail, told.request_id ?? requestId);
  } catch {
    return new Problem(answer.status, 'unknown', answer.statusText || `HTTP ${answer.status}`, undefined, requestId);
  }
}
