//! How many and how long: everything in State is bounded.

/// The bounds. They are part of what apply decides, so a change of one is a change of version.
#[derive(Debug, Clone, Copy)]
pub struct Limits;

impl Limits {
    /// People.
    pub const USERS: usize = 100_000;
    /// The most that a limit of Views at once may be.
    pub const VIEWS_AT_ONCE: u32 = 100;
    /// The longest a View may be made for without being prolonged: one day.
    pub const VIEW_MS: u64 = Self::DAY_MS;
    /// Sign-ins of one person; the oldest goes when one more is made.
    pub const SESSIONS_PER_USER: usize = 64;
    /// Applications.
    pub const APPLICATIONS: usize = 1_000;
    /// API keys of one application.
    pub const API_KEYS_PER_APPLICATION: usize = 200;
    /// Open invitations of one application.
    pub const INVITES_PER_APPLICATION: usize = 1_000;
    /// Open reset links.
    pub const RESETS: usize = 10_000;
    /// Roles of an application's own making.
    pub const ROLES_PER_APPLICATION: usize = 100;
    /// Collections of one application.
    pub const COLLECTIONS_PER_APPLICATION: usize = 1_000;
    /// Assets.
    pub const ASSETS: usize = 10_000_000;
    /// Blobs of one asset that State knows of at once.
    pub const BLOBS_PER_ASSET: usize = 128;
    /// Ended Jobs kept for the activity page.
    pub const ENDED_JOBS: usize = 1_000;
    /// Parts of one Job: each has a Blob of its asset while it is worked on.
    pub const PARTS_PER_JOB: u32 = 64;
    /// Tombstones kept.
    pub const TOMBSTONES: usize = 10_000;
    /// Names of one certificate.
    pub const CERTIFICATE_NAMES: usize = 100;
    /// Nodes.
    pub const NODES: usize = 100;
    /// Edge nodes.
    pub const EDGES: usize = 200;
    /// What one edge keeps warm.
    pub const WARM_PER_EDGE: usize = 200;
    /// Purges that edges are told one by one. One that was away for longer forgets all it held.
    pub const EDGE_PURGES: usize = 256;
    /// Networks of the site map.
    pub const SITE_NETWORKS: u32 = 1_000;
    /// Answers kept for one node's requests; it rarely waits for more than a few.
    pub const ANSWERS_PER_NODE: usize = 16_384;
    /// Join tokens that are not over.
    pub const JOIN_TOKENS: usize = 100;
    /// Places for backups.
    pub const BACKUP_TARGETS: usize = 16;
    /// Checks, and backups that came to nothing, that are remembered.
    pub const BACKUP_CHECKS: usize = 200;
    /// Of backups between two of the schedule, so many that came to nothing are remembered.
    pub const FAILED_INTERIM_BACKUPS: usize = 20;
    /// Flaws that a run names.
    pub const BACKUP_FLAWS: usize = 50;
    /// The longest a backup is kept: ten years.
    pub const BACKUP_KEEP_DAYS: u16 = 3_650;
    /// The longest between the backups of a place that has one every few minutes: a quarter of a day.
    pub const BACKUP_PACE_MINUTES: u16 = 360;
    /// What a running backup names stays pinned for so long after its node was heard of last.
    pub const BACKUP_PIN_MS: u64 = 30 * 60 * 1000;
    /// Bytes of a sealed secret of a target.
    pub const SEALED_SECRET: usize = 8_192;
    /// Characters of an authority's certificates (PEM).
    pub const AUTHORITY: u32 = 8_192;
    /// Bytes of the authority's certificate.
    pub const CERTIFICATE: usize = 4_096;
    /// The longest a join token may be made for: one hour.
    pub const JOIN_TOKEN_MS: u64 = 60 * 60 * 1000;

    /// Alerts of one scope that are there at once.
    pub const OPEN_ALERTS: usize = 200;
    /// Alerts kept, those that are over included.
    pub const ALERTS: usize = 1_000;
    /// Bytes of the authority a channel trusts (PEM).
    pub const AUTHORITY_PEM: usize = 6_000;
    /// Addresses that alerts are mailed to.
    pub const ALERT_ADDRESSES: usize = 20;

    /// Characters of a title, a file name, or a name of a node, site, application, collection or key.
    pub const NAME: u32 = 200;
    /// Characters of a description.
    pub const DESCRIPTION: u32 = 4_000;
    /// Tags, and characters of one.
    pub const TAGS: (u32, u32) = (32, 64);
    /// Own fields, and characters of a name and of a value.
    pub const FIELDS: (u32, u32, u32) = (32, 64, 500);
    /// Collections one asset is in.
    pub const COLLECTIONS_PER_ASSET: u32 = 32;
    /// People named by an access rule.
    pub const RULE_USERS: u32 = 500;
    /// Characters of a user name.
    pub const USERNAME: u32 = 64;
    /// Characters of a label, code, media type and the like.
    pub const SHORT: u32 = 128;
    /// Characters of a reason.
    pub const REASON: u32 = 1_000;
    /// Bytes of a wrapped or sealed key.
    pub const SEALED_KEY: usize = 512;
    /// Details of an audit record, and characters of one.
    pub const AUDIT_DETAILS: (usize, u32) = (16, 500);

    /// The longest a sign-in may be made for: 90 days.
    pub const SESSION_MS: u64 = 90 * Self::DAY_MS;
    /// The longest an invitation or reset link may be made for: 30 days.
    pub const LINK_MS: u64 = 30 * Self::DAY_MS;
    /// One day.
    pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    /// What expires is due by two stamps this far apart.
    pub const DUE_AGAIN_MS: u64 = 60 * 60 * 1000;
    /// The longest offline grace: one day.
    pub const OFFLINE_GRACE_MS: u64 = Self::DAY_MS;
    /// The longest that a collection keeps its assets before they are deleted: a hundred years.
    pub const RETENTION_DAYS: u16 = 36_500;
    /// The longest an asset stays in the trash: ten years.
    pub const TRASH_DAYS: u16 = 3_650;
}
