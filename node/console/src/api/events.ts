/**
 * Live updates: one `EventSource`, whose messages mark cached answers stale.
 *
 * Progress never passes through State, so it is put straight into the cache under the asset's name.
 */
import type { QueryClient } from '@tanstack/react-query';
import { nodeAnswered, nodeWentQuiet } from './connection';
import type { Progress } from './model';
import { keys, meQuery } from './queries';

interface LiveEvent {
  type?: string;
  kind?: string;
  asset?: string;
  application?: string;
  job?: string;
  percent?: number;
  eta_ms?: number | null;
  stage?: string | null;
}

/** At most one refresh of lists in this time, however many events arrive. */
const calm = 400;

/** How long until a stream that the node refused is asked for again. */
const again = 5_000;

/**
 * Listens until the returned function is called.
 *
 * The browser reconnects by itself while nobody answers; a refusal ends its attempts, so then the session is asked for first.
 */
export function listenToEvents(client: QueryClient): () => void {
  let stop = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listen = (isFirst: boolean) => {
    stop = openStream(client, isFirst, () => {
      timer = setTimeout(() => {
        void client.fetchQuery({ ...meQuery, staleTime: 0 }).then(
          (me) => me && listen(false),
          () => listen(false),
        );
      }, again);
    });
  };
  listen(true);
  return () => {
    clearTimeout(timer);
    stop();
    nodeAnswered();
  };
}

function openStream(client: QueryClient, isFirst: boolean, refused: () => void): () => void {
  const source = new EventSource('/api/v1/events');
  const refresh = refresher(client);
  const take = (message: MessageEvent<string>) => {
    const event = parse(message);
    if (!event) return;
    if (event.percent !== undefined && event.asset) setProgress(client, event.asset, event);
    else refresh(event);
  };
  source.onmessage = take;
  for (const name of ['asset', 'job', 'progress', 'access', 'collection', 'cluster', 'lagged']) {
    source.addEventListener(name, take as EventListener);
  }
  // After a gap nobody knows what was missed: ask for everything that is on the screen again.
  let opened = !isFirst;
  source.onopen = () => {
    nodeAnswered();
    if (opened) void client.invalidateQueries();
    opened = true;
  };
  source.onerror = () => {
    nodeWentQuiet();
    if (source.readyState === EventSource.CLOSED) refused();
  };
  return () => source.close();
}

function parse(message: MessageEvent<string>): LiveEvent | undefined {
  try {
    return { type: message.type, ...(JSON.parse(message.data) as LiveEvent) };
  } catch {
    return undefined;
  }
}

function setProgress(client: QueryClient, asset: string, event: LiveEvent): void {
  const progress: Progress = { percent: event.percent ?? 0, eta_ms: event.eta_ms, stage: event.stage };
  client.setQueryData(keys.progress(asset), progress);
}

function refresher(client: QueryClient): (event: LiveEvent) => void {
  let planned = false;
  const assets = new Set<string>();
  return (event) => {
    if (event.asset) assets.add(event.asset);
    if (planned) return;
    planned = true;
    setTimeout(() => {
      planned = false;
      for (const asset of assets) {
        void client.invalidateQueries({ queryKey: keys.asset(asset) });
        void client.invalidateQueries({ queryKey: keys.detail(asset) });
      }
      assets.clear();
      for (const name of ['assets', 'jobs', 'collections', 'members', 'invites', 'users']) {
        void client.invalidateQueries({ queryKey: [name] });
      }
    }, calm);
  };
}
