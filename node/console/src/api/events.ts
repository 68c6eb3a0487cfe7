/**
 * Live updates: one `EventSource`, whose messages mark cached answers stale.
 *
 * Progress never passes through State, so it is put straight into the cache under the asset's name.
 */
import type { InfiniteData, QueryClient, QueryKey } from '@tanstack/react-query';
import { nodeAnswered, nodeWentQuiet } from './connection';
import type { Asset, Page, Progress } from './model';
import { assetQuery, keys, meQuery } from './queries';

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
  for (const name of ['asset', 'job', 'progress', 'access', 'collection', 'cluster', 'alert', 'backup', 'lagged']) {
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

/** Lists that any event may have changed. */
const lists = ['jobs', 'collections', 'members', 'invites', 'users', 'cluster', 'alerts', 'backups'];
/** Who may do what, oneself included: on every page, so asked for again only when it may have changed. */
const accessAnswers = ['me', 'custom-roles'];

function refresher(client: QueryClient): (event: LiveEvent) => void {
  let planned = false;
  let access = false;
  const assets = new Set<string>();
  return (event) => {
    if (event.asset) assets.add(event.asset);
    access ||= event.type === 'access' || event.type === 'lagged';
    if (planned) return;
    planned = true;
    setTimeout(() => {
      planned = false;
      for (const asset of assets) {
        void client.invalidateQueries({ queryKey: keys.asset(asset) });
        void client.invalidateQueries({ queryKey: keys.detail(asset) });
      }
      refreshLists(client, [...assets]);
      assets.clear();
      for (const name of access ? [...lists, ...accessAnswers] : lists) {
        void client.invalidateQueries({ queryKey: [name] });
      }
      access = false;
    }, calm);
  };
}

/** A list longer than this is not asked for again as a whole: only the assets that changed are looked at. */
const pagesAsked = 4;
const assetsAsked = 50;
type Pages = InfiniteData<Page<Asset>>;

function refreshLists(client: QueryClient, changed: string[]): void {
  const isLong = (data: unknown) => ((data as Pages | undefined)?.pages.length ?? 0) > pagesAsked;
  void client.invalidateQueries({
    queryKey: ['assets'],
    predicate: (query) => !isLong(query.state.data) || changed.length > assetsAsked,
  });
  for (const [queryKey, pages] of client.getQueriesData<Pages>({ queryKey: ['assets'] })) {
    if (!pages || !isLong(pages)) continue;
    const listed = new Set(pages.pages.flatMap((page) => page.items.map((asset) => asset.id)));
    for (const id of changed.filter((one) => listed.has(one))) void renew(client, queryKey, id);
  }
}

/** Puts the asset as it is now in its place, or takes it out when it is no longer there or went to the trash. */
async function renew(client: QueryClient, queryKey: QueryKey, id: string): Promise<void> {
  const now = await client.fetchQuery({ ...assetQuery(id), staleTime: 0 }).catch(() => null);
  client.setQueryData<Pages>(queryKey, (data) => {
    if (!data) return data;
    const replaced = (asset: Asset) => {
      if (asset.id !== id) return [asset];
      return now && Boolean(now.trashed_ms) === Boolean(asset.trashed_ms) ? [now] : [];
    };
    return { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.flatMap(replaced) })) };
  });
}
