import { useQuery } from '@tanstack/react-query';
import type { Asset, Progress } from '../../api/model';
import { keys } from '../../api/queries';

/** The newest progress of an asset: what the event stream put into the cache, else what the list said. */
export function useProgress(asset: Asset): Progress | undefined {
  const live = useQuery<Progress | null>({
    queryKey: keys.progress(asset.id),
    queryFn: () => null,
    enabled: false,
  }).data;
  return live ?? asset.progress ?? undefined;
}
