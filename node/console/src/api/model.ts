/** What the console knows of the node's answers. Names are the API's own. */

export type Role = 'admin' | 'user' | 'read_only' | 'viewer';
export const roles: Role[] = ['admin', 'user', 'read_only', 'viewer'];

/** What a role may allow, in the groups that people choose from. */
export const abilityGroups = {
  see: ['watch', 'download', 'download_original', 'see_all'],
  change: ['upload', 'describe', 'publish', 'access', 'trash', 'collections', 'process'],
  govern: ['purge', 'hold', 'retention', 'members', 'keys', 'settings', 'audit', 'metrics'],
} as const;
export type Ability = (typeof abilityGroups)[keyof typeof abilityGroups][number];

/** A role of an application's own making. */
export interface NamedRole {
  id: string;
  name: string;
}

export interface CustomRole extends NamedRole {
  abilities: Ability[];
  holders: number;
}

/** Somebody's role: a built-in one, unless there is one of the application's own. */
export interface Held {
  role: Role;
  custom_role?: NamedRole | null;
}

/** The role to give. */
export type RoleChoice = { role: Role } | { custom_role: string };

export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

export interface System {
  product: string;
  version: string;
  claimed: boolean;
  console?: string | null;
  security_contact?: string | null;
  certificate_fingerprint?: string | null;
}

export interface Membership extends Held {
  id: string;
  name: string;
  abilities: Ability[];
}

export interface Me {
  user: User;
  applications: Membership[];
  /** Told to cluster admins: the recovery key was not typed again yet. */
  recovery_unconfirmed: boolean;
}

export interface ClaimAnswer {
  recovery_key: string | null;
}

export type AssetState = 'uploading' | 'processing' | 'ready' | 'failed';

export type AccessRule = { kind: 'members' } | { kind: 'users'; users: string[] } | { kind: 'editors' };

export interface Asset {
  id: string;
  application: string;
  title: string;
  description: string;
  file_name?: string | null;
  media_type?: string | null;
  tags: string[];
  fields: Record<string, string>;
  collections: string[];
  owner?: string | null;
  state: AssetState;
  reason_code?: string | null;
  reason?: string | null;
  watchable: boolean;
  progress?: Progress | null;
  duration_ms?: number | null;
  height?: number | null;
  size?: number | null;
  sha256?: string | null;
  published: boolean;
  publish_from_ms?: number | null;
  publish_until_ms?: number | null;
  access: AccessRule;
  trashed_ms?: number | null;
  purge_after_ms?: number | null;
  hold?: string | null;
  has_poster?: boolean;
  created_ms: number;
  updated_ms?: number | null;
}

export interface Progress {
  percent: number;
  eta_ms?: number | null;
  stage?: string | null;
}

export interface Track {
  kind: string;
  codec?: string | null;
  language?: string | null;
  title?: string | null;
  width?: number | null;
  height?: number | null;
  frame_rate?: number | null;
  channels?: number | null;
}

export interface LeftOut {
  kind: string;
  number: number;
  codec: string;
  reason_code: string;
  reason: string;
}

export interface Rendition {
  id: string;
  kind?: string | null;
  width?: number | null;
  height?: number | null;
  frame_rate?: number | null;
  codecs?: string | null;
  bandwidth?: number | null;
  average_bandwidth?: number | null;
  language?: string | null;
  size?: number | null;
}

export interface Caption {
  language: string;
  label?: string | null;
}

export interface Holder {
  node: string;
  name: string;
  site: string;
}

export interface Detail {
  tracks: Track[];
  left_out: LeftOut[];
  renditions: Rendition[];
  captions: Caption[];
  holders: Holder[];
  blobs: { id: string; kind: string; length: number; hash?: string | null }[];
  sha256?: string | null;
  key_epoch?: number | null;
  container?: string | null;
}

export interface Collection {
  id: string;
  name: string;
  asset_count?: number | null;
  retention_days?: number | null;
}

/** An application in the trash. */
export interface TrashedApplication {
  id: string;
  name: string;
  asset_count: number;
  trashed_ms: number;
  purge_after_ms: number;
  being_purged: boolean;
}

export interface Job {
  id: string;
  asset: string;
  asset_title?: string | null;
  application?: string | null;
  kind: string;
  state: 'queued' | 'running' | 'finished' | 'failed' | 'cancelled';
  progress?: Progress | null;
  reason_code?: string | null;
  reason?: string | null;
  created_ms: number;
  updated_ms?: number | null;
}

export interface User {
  id: string;
  username: string;
  admin: boolean;
  suspended: boolean;
  created_ms?: number | null;
}

export interface Member extends Held {
  user: string;
  username: string;
}

export interface Invite extends Held {
  id: string;
  expires_ms: number;
  created_ms?: number | null;
}

export interface ApiKey extends Held {
  id: string;
  name: string;
  expires_ms?: number | null;
  created_ms?: number | null;
  last_used_ms?: number | null;
}

export interface Session {
  id: string;
  user?: string | null;
  username?: string | null;
  created_ms: number;
  expires_ms: number;
  last_seen_ms?: number | null;
  user_agent?: string | null;
  address?: string | null;
  current: boolean;
}

export interface Application {
  id: string;
  name: string;
  policy: Policy;
  /** How many videos one person may watch at once; without it as many as they like. */
  views_at_once?: number | null;
}

export interface Policy {
  offline_grace_ms: number;
  trash_days: number;
  viewer_may_download: boolean;
}

export interface AuditRecord {
  sequence: number;
  time_ms: number;
  actor: string;
  address?: string | null;
  request_id?: string | null;
  action: string;
  target: string;
  application?: string | null;
  result: string;
  details: Record<string, string>;
  hash?: string | null;
}

export interface AuditVerification {
  ok: boolean;
  verified_to?: number | null;
  reason?: string | null;
}

export interface Status {
  node: { name: string; site: string; id?: string | null };
  version?: string | null;
  uptime_ms?: number | null;
  disk: { total: number; free: number; level: string };
  copies?: { wanted: number; held: number } | null;
  key_mode?: string | null;
  key_mode_warning?: string | null;
  recovery_confirmed?: boolean | null;
  cluster?: string | null;
  certificate_fingerprint?: string | null;
  has_leader?: boolean | null;
}

/** The certificate browsers see. */
export interface Certificate {
  source: 'own' | 'installed';
  subject: string;
  issuer: string;
  names: string[];
  not_before_ms: number;
  not_after_ms: number;
  fingerprint: string;
  key: string;
  chain_length: number;
  warnings: { code: string; detail: string }[];
}

/** Every use of cryptography, as far as it is shown. */
export interface Inventory {
  provider: { name: string; version: string };
  /** The validated module, in a build for FIPS 140-3. */
  module?: string | null;
  fips: boolean;
  uses: CryptographyUse[];
}

export interface CryptographyUse {
  id: string;
  algorithm: string;
  key?: { id: string } | null;
  rotation: { how: string };
  state: {
    key_epoch?: number | null;
    since_ms?: number | null;
    epochs?: number | null;
    keys?: number | null;
    keys_under_old_epoch?: number | null;
    not_after_ms?: number | null;
    renewal_ms?: number | null;
    certificate_key?: string | null;
    source?: string | null;
    confirmed?: boolean | null;
    protection?: string | null;
  };
}

export interface View {
  view: string;
  /** What renewing takes. */
  renewal: string;
  playlist_url: string;
  expires_ms: number;
  /** Only so many may run at once here: the node is told when it is over. */
  counted: boolean;
}

/** A View of one's own that counts against a limit. */
export interface CountedView {
  view: string;
  asset: string;
  title?: string | null;
  application: string;
  started_ms: number;
  expires_ms: number;
}

export interface ClusterNode {
  id: string;
  name: string;
  site: string;
  state: 'joining' | 'active' | 'draining';
  role: 'leader' | 'voter' | 'learner';
  alive: boolean;
  silent_ms?: number | null;
  round_trip_ms?: number | null;
  cluster_address: string;
  public_address: string;
  added_ms: number;
  /** What follows is the node's own word: absent while it does not answer. */
  version?: string | null;
  up_ms?: number | null;
  disk_total?: number | null;
  disk_free?: number | null;
  /** Assets it still holds while it is being emptied, and those of them that are being written. */
  assets_left?: number | null;
  assets_written?: number | null;
}

/** How many nodes hold each asset. */
export interface Copies {
  wanted: number;
  assets_with_three: number;
  assets_with_two: number;
  assets_with_one: number;
  assets_with_none: number;
}

export interface Cluster {
  id: string;
  leader?: string | null;
  /** How many more nodes may fail, any of them, with nothing lost and changes still possible. */
  nodes_to_lose: number;
  sites_to_lose: number;
  copies: Copies;
  repair: { missing_bytes: number; eta_ms?: number | null };
  /** By whom nodes know one another; the one before as long as somebody still has a certificate by it. */
  authority?: {
    fingerprint: string;
    former?: { waits_for: { id: string; name: string; edge: boolean }[] } | null;
  } | null;
  /** What data keys are wrapped under; while it is exchanged also how many still are under the one before. */
  key: { epoch: number; rotating: boolean; waiting: number };
  nodes: ClusterNode[];
}

/** A node that holds ciphertext for viewers near it, and nothing else. */
export interface Edge {
  id: string;
  name: string;
  site: string;
  public_address: string;
  alive: boolean;
  serving: boolean;
  silent_ms?: number | null;
  held_bytes?: number | null;
  warm: { id: string; assets?: number | null; whole?: number | null; no_room: boolean }[];
}

/** What a node joins by; shown once. */
export interface JoinToken {
  token: string;
  fingerprint: string;
  expires_ms: number;
  addresses: string[];
}

export type Severity = 'info' | 'warning' | 'critical';

/** Something that is or was wrong. */
export interface Alert {
  id: number;
  kind: string;
  subject: string;
  severity: Severity;
  /** In English, for kinds that the console has no words for. */
  title: string;
  advice: string;
  details: Record<string, string>;
  /** The page of the console where it is seen. */
  link: string;
  first_seen_ms: number;
  last_seen_ms: number;
  times: number;
  resolved_ms?: number | null;
  acknowledged_ms?: number | null;
  acknowledged_by?: string | null;
}

export type ChannelName = 'webhook' | 'syslog' | 'email';

export interface WebhookChannel {
  url: string;
  authority?: string | null;
}

export interface SyslogChannel {
  host: string;
  port: number;
  transport: 'udp' | 'tcp';
}

export interface EmailChannel {
  host: string;
  port: number;
  security: 'tls' | 'start_tls';
  username?: string | null;
  from: string;
  to: string[];
  authority?: string | null;
}

/** Where alerts are told. */
export interface AlertChannels {
  least: Severity;
  webhook?: WebhookChannel | null;
  syslog?: SyslogChannel | null;
  email?: EmailChannel | null;
  email_password_set: boolean;
  /** What cannot be told at present and why, by channel. */
  troubles: Record<string, string>;
  /** Shown once, when it was made. */
  webhook_secret?: string | null;
}

export interface AlertChannelsChange {
  least: Severity;
  webhook?: WebhookChannel | null;
  syslog?: SyslogChannel | null;
  email?: EmailChannel | null;
  email_password?: string;
  new_webhook_secret?: boolean;
}
