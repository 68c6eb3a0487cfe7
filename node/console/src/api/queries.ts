/** TanStack queries and their keys: one place that says what is cached under which name. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import * as api from './calls';
import { Problem } from './client';
import type { Me } from './model';

export const keys = {
  system: ['system'] as const,
  status: ['status'] as const,
  me: ['me'] as const,
  cluster: ['cluster'] as const,
  edges: ['edges'] as const,
  alerts: ['alerts'] as const,
  assets: (app: string) => ['assets', app] as const,
  asset: (id: string) => ['asset', id] as const,
  detail: (id: string) => ['detail', id] as const,
  jobs: ['jobs'] as const,
  users: ['users'] as const,
  applications: ['applications'] as const,
  application: (app: string) => ['application', app] as const,
  members: (app: string) => ['members', app] as const,
  invites: (app: string) => ['invites', app] as const,
  customRoles: (app: string) => ['custom-roles', app] as const,
  apiKeys: (app: string) => ['api-keys', app] as const,
  collections: (app: string) => ['collections', app] as const,
  sessions: ['sessions'] as const,
  audit: ['audit'] as const,
  certificate: ['certificate'] as const,
  cryptography: ['cryptography'] as const,
  progress: (asset: string) => ['progress', asset] as const,
};

export const systemQuery = queryOptions({ queryKey: keys.system, queryFn: api.system, staleTime: 30_000 });
export const openAlertsQuery = queryOptions({ queryKey: [...keys.alerts, 'open'], queryFn: () => api.alerts(true) });
export const pastAlertsQuery = infiniteQueryOptions({
  queryKey: [...keys.alerts, 'past'],
  queryFn: ({ pageParam }) => api.alerts(false, pageParam),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
export const alertChannelsQuery = queryOptions({
  queryKey: [...keys.alerts, 'channels'],
  queryFn: api.alertChannels,
});
export const clusterQuery = queryOptions({ queryKey: keys.cluster, queryFn: api.cluster });
export const edgesQuery = queryOptions({ queryKey: keys.edges, queryFn: api.edges });
export const statusQuery = queryOptions({ queryKey: keys.status, queryFn: api.status });

export const certificateQuery = queryOptions({ queryKey: keys.certificate, queryFn: api.certificate });
export const cryptographyQuery = queryOptions({ queryKey: keys.cryptography, queryFn: api.cryptography });

/** Who is logged in, or `null`. */
export const meQuery = queryOptions({
  queryKey: keys.me,
  queryFn: async (): Promise<Me | null> => {
    try {
      return await api.me();
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

export const assetsQuery = (app: string, filter: api.AssetFilter) =>
  infiniteQueryOptions({
    queryKey: [...keys.assets(app), filter],
    queryFn: ({ pageParam, signal }) => api.assets(app, filter, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

export const assetQuery = (id: string) => queryOptions({ queryKey: keys.asset(id), queryFn: () => api.asset(id) });
export const detailQuery = (id: string) => queryOptions({ queryKey: keys.detail(id), queryFn: () => api.detail(id) });
export const jobsQuery = (filter: api.JobFilter) =>
  infiniteQueryOptions({
    queryKey: [...keys.jobs, filter],
    queryFn: ({ pageParam }) => api.jobs(filter, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
export const usersQuery = queryOptions({ queryKey: keys.users, queryFn: api.users });
export const applicationsQuery = queryOptions({ queryKey: keys.applications, queryFn: api.applications });
export const trashedApplicationsQuery = queryOptions({
  queryKey: [...keys.applications, 'trashed'],
  queryFn: api.trashedApplications,
});
export const applicationQuery = (app: string) =>
  queryOptions({ queryKey: keys.application(app), queryFn: () => api.application(app) });
export const membersQuery = (app: string) =>
  queryOptions({ queryKey: keys.members(app), queryFn: () => api.members(app) });
export const customRolesQuery = (app: string) =>
  queryOptions({ queryKey: keys.customRoles(app), queryFn: () => api.customRoles(app) });
export const invitesQuery = (app: string) =>
  queryOptions({ queryKey: keys.invites(app), queryFn: () => api.invites(app) });
export const apiKeysQuery = (app: string) =>
  queryOptions({ queryKey: keys.apiKeys(app), queryFn: () => api.apiKeys(app) });
export const collectionsQuery = (app: string) =>
  queryOptions({ queryKey: keys.collections(app), queryFn: () => api.collections(app), staleTime: 30_000 });
export const tagsQuery = (app: string) =>
  queryOptions({ queryKey: ['tags', app], queryFn: () => api.tags(app), staleTime: 30_000 });
export const sessionsQuery = queryOptions({ queryKey: keys.sessions, queryFn: api.sessions });
export const auditQuery = (filter: api.AuditFilter) =>
  infiniteQueryOptions({
    queryKey: [...keys.audit, filter],
    queryFn: ({ pageParam }) => api.audit(filter, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
