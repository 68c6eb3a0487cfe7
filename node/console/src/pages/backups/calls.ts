/** What the page of backups asks the node, and under which names the answers are kept. In the page's own chunk. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { call } from '../../api/client';
import type { Page } from '../../api/model';
import type { components } from '../../api/schema';

type Schemas = components['schemas'];
export type BackupTarget = Schemas['BackupTargetView'];
export type BackupRun = Schemas['BackupRunView'];
export type Place = Schemas['PlaceView'];
export type SetTarget = Schemas['SetBackupTarget'];

/** News of backups marks everything under this name stale. */
export const backupsKey = ['backups'] as const;

export const targetsQuery = queryOptions({
  queryKey: [...backupsKey, 'targets'],
  queryFn: async () => (await call<Schemas['BackupTargetList']>('GET', '/backup-targets')).items,
});
/** With `interim`, also the whole backups between the daily ones. */
export const runsQuery = (interim: boolean) =>
  infiniteQueryOptions({
    queryKey: [...backupsKey, 'runs', interim],
    queryFn: ({ pageParam }) =>
      call<Page<BackupRun>>('GET', '/backups', { query: { interim, cursor: pageParam, limit: 20 } }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
/** Takes a backup; otherwise it looks at one. */
export const takesOne = (run: BackupRun) => run.kind === 'copy' || run.kind === 'interim';
export const runQuery = (id: string) =>
  queryOptions({ queryKey: [...backupsKey, 'run', id], queryFn: () => call<BackupRun>('GET', `/backups/${id}`) });

export const setTarget = (id: string | undefined, json: SetTarget) =>
  id === undefined
    ? call<BackupTarget>('POST', '/backup-targets', { json })
    : call<BackupTarget>('PUT', `/backup-targets/${id}`, { json });
export const removeTarget = (id: string) => call<void>('DELETE', `/backup-targets/${id}`);
export const backUp = (target: string) => call<BackupRun>('POST', '/backups', { json: { target } });
export type Check = 'quick' | 'full' | 'drill';
export const check = ({ run, how }: { run: string; how: Check }) =>
  how === 'drill'
    ? call<BackupRun>('POST', `/backups/${run}/drill`)
    : call<BackupRun>('POST', `/backups/${run}/verify`, { json: { full: how === 'full' } });
