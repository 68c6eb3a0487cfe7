/** Every call the console makes, one function each. */
import { apiUrl, askForTheLatest, call } from './client';
import type {
  Ability,
  AccessRule,
  Alert,
  AlertChannels,
  AlertChannelsChange,
  ApiKey,
  Application,
  Asset,
  AuditRecord,
  AuditVerification,
  Certificate,
  ChannelName,
  ClaimAnswer,
  Cluster,
  Collection,
  CountedView,
  CustomRole,
  Detail,
  Edge,
  Inventory,
  Invite,
  Job,
  JoinToken,
  Me,
  Member,
  Page,
  Policy,
  RoleChoice,
  Session,
  Status,
  System,
  TrashedApplication,
  User,
  View,
} from './model';

/** Members, keys and collections of one application are few; one page of this size holds them. */
const wholeList = 500;

async function list<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<T> = await call('GET', path, { query: { limit: wholeList, cursor } });
    items.push(...page.items);
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
  return items;
}

// System and first run
export const system = () => call<System>('GET', '/system');
export async function status(): Promise<Status> {
  const status = await call<Status>('GET', '/system/status', { here: true });
  askForTheLatest(status.has_leader !== false);
  return status;
}
export const claim = (claim: { code: string; username: string; password: string; application_name: string }) =>
  call<ClaimAnswer>('POST', '/claim', { json: claim, quiet: true });
export const confirmRecovery = (recovery_key: string) =>
  call<void>('POST', '/claim/recovery-confirmed', { json: { recovery_key } });
export const newRecoveryKey = () => call<{ recovery_key: string }>('POST', '/system/recovery-key');

// Cluster
export const cluster = () => call<Cluster>('GET', '/cluster');
export const edges = () => call<{ items: Edge[] }>('GET', '/edges');
export const removeEdge = (id: string) => call<void>('DELETE', `/edges/${id}`);
/** Another cluster key, or authority, in place of the one that is named: sent twice, it does nothing to the next. */
export const rotateClusterKey = (epoch: number) => call<void>('POST', '/cluster/key/rotate', { json: { epoch } });
export const replaceAuthority = (fingerprint: string) =>
  call<void>('POST', '/cluster/authority/replace', { json: { fingerprint } });
export const abandonAuthority = (fingerprint: string) =>
  call<void>('POST', '/cluster/authority/abandon', { json: { fingerprint } });
export const createJoinToken = () => call<JoinToken>('POST', '/cluster/tokens', { json: {} });
export const drainNode = (id: string, draining: boolean) =>
  call<void>('POST', `/nodes/${id}/drain`, { json: { draining } });
export const removeNode = (id: string) => call<void>('DELETE', `/nodes/${id}`);

// Alerts
export const alerts = (open: boolean, cursor?: string) =>
  call<Page<Alert>>('GET', '/alerts', { query: { open, cursor } });
export const acknowledgeAlert = (id: number) => call<void>('POST', `/alerts/${id}/acknowledge`);
export const alertChannels = () => call<AlertChannels>('GET', '/alerts/channels');
export const setAlertChannels = (json: AlertChannelsChange) => call<AlertChannels>('PUT', '/alerts/channels', { json });
export const testAlertChannel = (channel: ChannelName) => call<void>('POST', `/alerts/channels/${channel}/test`);

// Session and account
export const me = () => call<Me>('GET', '/me', { quiet: true });
export const logIn = (username: string, password: string) =>
  call<unknown>('POST', '/sessions', { json: { username, password }, quiet: true });
export const logOut = () => call<void>('DELETE', '/sessions/current', { quiet: true });
export const sessions = () => list<Session>('/sessions');
export const endSession = (id: string) => call<void>('DELETE', `/sessions/${id}`);
export const changePassword = (current: string, next: string) =>
  call<void>('PUT', '/me/password', { json: { current, new: next }, quiet: true });
export const acceptInvite = (accept: { secret: string; username: string; password: string }) =>
  call<unknown>('POST', '/invites/accept', { json: accept, quiet: true });
export const finishReset = (secret: string, password: string) =>
  call<void>('POST', '/resets', { json: { secret, password }, quiet: true });

// Assets
/** The orders offered; the first is the usual one. */
export const sorts = ['-created', 'created', 'title', '-title', '-duration', '-size'] as const;

export interface AssetFilter {
  q?: string;
  state?: string;
  tag?: string;
  collection?: string;
  owner?: string;
  sort?: string;
  trashed?: boolean;
}
/** A short first page is there at once; who scrolls on gets more at a time. */
const firstPage = 60;
const laterPage = 250;
export const assets = (app: string, filter: AssetFilter, cursor: string | undefined, signal?: AbortSignal) =>
  call<Page<Asset>>('GET', `/applications/${app}/assets`, {
    query: { ...filter, cursor, limit: cursor ? laterPage : firstPage },
    signal,
  });
export const asset = (id: string) => call<Asset>('GET', `/assets/${id}`);
export const detail = (id: string) => call<Detail>('GET', `/assets/${id}/detail`);
export interface AssetChange {
  title?: string;
  description?: string;
  tags?: string[];
  fields?: Record<string, string>;
  collections?: string[];
  access?: AccessRule;
}
export const changeAsset = (id: string, change: AssetChange) => call<Asset>('PATCH', `/assets/${id}`, { json: change });
export type AssetAction =
  | 'publish'
  | 'unpublish'
  | 'trash'
  | 'restore'
  | 'purge'
  | 'hold'
  | 'release-hold'
  | 'retry'
  | 'cancel';
export const actOnAsset = (id: string, action: AssetAction, body: Record<string, unknown> = {}) =>
  call<unknown>('POST', `/assets/${id}/${action}`, { json: body });
export interface BulkResult {
  id: string;
  result: string;
  detail?: string | null;
}
const mostAtOnce = 200;
export interface BulkAction {
  action: 'publish' | 'unpublish' | 'trash' | 'restore' | 'purge' | 'add_to_collection' | 'add_tag';
  collection?: string;
  tag?: string;
}
/** More than the node takes at once goes in several calls; the results come back together. */
export async function actOnMany(ids: string[], action: BulkAction): Promise<BulkResult[]> {
  const results: BulkResult[] = [];
  for (let start = 0; start < ids.length; start += mostAtOnce) {
    const part = ids.slice(start, start + mostAtOnce);
    const answer = await call<{ results: BulkResult[] }>('POST', '/assets/bulk', { json: { ids: part, ...action } });
    results.push(...answer.results);
  }
  return results;
}
export const setPoster = (id: string, picture: Blob) =>
  call<void>('PUT', `/assets/${id}/poster`, { body: picture, type: 'image/jpeg' });
export const putCaptions = (id: string, language: string, text: string) =>
  call<void>('PUT', `/assets/${id}/captions/${language}`, { body: text, type: 'text/vtt' });
export const deleteCaptions = (id: string, language: string) =>
  call<void>('DELETE', `/assets/${id}/captions/${language}`);
export const posterUrl = (asset: { id: string; updated_ms?: number | null }) =>
  apiUrl(`/assets/${asset.id}/poster`, { v: asset.updated_ms });
export const storyboardUrl = (id: string) => apiUrl(`/assets/${id}/storyboard.vtt`);
/** Begins to watch; `inPlaceOf` names a View of one's own that ends for it. */
export const startView = (id: string, inPlaceOf?: string) =>
  call<View>('POST', `/assets/${id}/views`, { json: { carrier: 'cookie', steered: true, in_place_of: inPlaceOf } });
/** What one watches where only so many Views may run at once. */
export const countedViews = async () => (await call<{ items: CountedView[] }>('GET', '/views')).items;
/** Ends a counted View, also while the page goes away. */
export const endView = (view: string) => call<void>('DELETE', `/views/${view}`, { quiet: true, keepalive: true });
/** Prolongs a View that is about to end. */
export const renewView = (renewal: string) => call<View>('POST', '/views/renew', { json: { renewal }, quiet: true });
export const download = (id: string, what: string) =>
  call<{ url: string }>('POST', `/assets/${id}/downloads`, { json: { what } });

/** The passphrase once more. A wrong one is an answer, and no end of the session. */
export const confirmPassphrase = (password: string) =>
  call<void>('POST', '/sessions/current/confirm', { json: { password }, quiet: true });

// Collections
export const collections = (app: string) => list<Collection>(`/applications/${app}/collections`);
export const tags = (app: string) => list<{ tag: string; asset_count: number }>(`/applications/${app}/tags`);
export const createCollection = (app: string, name: string) =>
  call<Collection>('POST', `/applications/${app}/collections`, { json: { name } });
export const renameCollection = (id: string, name: string) =>
  call<void>('PATCH', `/collections/${id}`, { json: { name } });
/** Without `deleteOverdue`, a rule that would delete assets at once is refused and tells how many. */
export const setRetention = (id: string, days: number | null, deleteOverdue: boolean) =>
  call<Collection>('PUT', `/collections/${id}/retention`, { json: { days, delete_overdue: deleteOverdue } });
export const deleteCollection = (id: string) => call<void>('DELETE', `/collections/${id}`);

// Jobs
export interface JobFilter {
  state?: string;
}
export const jobs = (filter: JobFilter, cursor?: string) =>
  call<Page<Job>>('GET', '/jobs', { query: { ...filter, cursor, limit: 50 } });
export const cancelJob = (id: string) => call<void>('POST', `/jobs/${id}/cancel`);
export const retryJob = (id: string) => call<void>('POST', `/jobs/${id}/retry`);

// Users, members, invites, keys
export const users = () => list<User>('/users');
export const createUser = (user: { username: string; password: string }) =>
  call<User>('POST', '/users', { json: user });
export const changeUser = (id: string, change: { suspended?: boolean; admin?: boolean }) =>
  call<void>('PATCH', `/users/${id}`, { json: change });
export const deleteUser = (id: string) => call<void>('DELETE', `/users/${id}`);
export const resetUser = (id: string) => call<{ secret: string; expires_ms?: number }>('POST', `/users/${id}/reset`);
export const applications = () => list<Application>('/applications');
export const application = (app: string) => call<Application>('GET', `/applications/${app}`);
export const createApplication = (name: string) => call<Application>('POST', '/applications', { json: { name } });
export const changeApplication = (
  app: string,
  change: { name?: string; policy?: Policy; views_at_once?: number | null },
) => call<void>('PATCH', `/applications/${app}`, { json: change });
export const deleteApplication = (app: string) => call<void>('DELETE', `/applications/${app}`);
export const trashedApplications = () => list<TrashedApplication>('/trashed-applications');
export const restoreApplication = (app: string) => call<void>('POST', `/trashed-applications/${app}/restore`);
export const purgeApplication = (app: string) => call<void>('DELETE', `/trashed-applications/${app}`);
export const members = (app: string) => list<Member>(`/applications/${app}/members`);
export const setMember = (app: string, user: string, role: RoleChoice) =>
  call<void>('PUT', `/applications/${app}/members/${user}`, { json: role });
export const removeMember = (app: string, user: string) => call<void>('DELETE', `/applications/${app}/members/${user}`);
export const invites = (app: string) => list<Invite>(`/applications/${app}/invites`);
export const createInvite = (app: string, role: RoleChoice) =>
  call<{ secret: string; expires_ms?: number }>('POST', `/applications/${app}/invites`, { json: role });
export const revokeInvite = (app: string, id: string) => call<void>('DELETE', `/applications/${app}/invites/${id}`);
export const customRoles = (app: string) => list<CustomRole>(`/applications/${app}/roles`);
/** Makes a role, or changes the one with this id. */
export const setCustomRole = (app: string, id: string | undefined, role: { name: string; abilities: Ability[] }) =>
  id === undefined
    ? call<CustomRole>('POST', `/applications/${app}/roles`, { json: role })
    : call<CustomRole>('PUT', `/applications/${app}/roles/${id}`, { json: role });
export const removeCustomRole = (app: string, id: string) => call<void>('DELETE', `/applications/${app}/roles/${id}`);
export const apiKeys = (app: string) => list<ApiKey>(`/applications/${app}/api-keys`);
export const createApiKey = (app: string, key: { name: string; expires_ms?: number | null } & RoleChoice) =>
  call<{ secret: string }>('POST', `/applications/${app}/api-keys`, { json: key });
export const revokeApiKey = (id: string) => call<void>('DELETE', `/api-keys/${id}`);

// Certificate
export const certificate = () => call<Certificate>('GET', '/system/certificate');
export const installCertificate = (chain: string, key: string) =>
  call<Certificate>('PUT', '/system/certificate', { json: { chain, key } });
export const removeCertificate = () => call<Certificate>('DELETE', '/system/certificate');

// Cryptography
export const cryptography = () => call<Inventory>('GET', '/system/cryptography');

// Audit
export interface AuditFilter {
  application?: string;
  actor?: string;
  action?: string;
  target?: string;
  result?: string;
  from_ms?: number;
  to_ms?: number;
}
export const audit = (filter: AuditFilter, cursor?: string) =>
  call<Page<AuditRecord>>('GET', '/audit', { query: { ...filter, cursor, limit: 100 } });
export const verifyAudit = () => call<AuditVerification>('GET', '/audit/verify');
