//! Commands about people, sign-ins, keys, applications and members.

use serde::{Deserialize, Serialize};

use super::values::{PasswordHash, Policy, Role, SecretHash};
use crate::id::{ApiKeyId, ApplicationId, InviteId, SessionId, UserId};

/// A change of who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessCommand {
    /// First run: the first cluster admin and the first application. Anybody may, once; the node has checked the
    /// claim code.
    Claim {
        /// The first person, a cluster admin.
        user: UserId,
        /// Their name.
        username: String,
        /// Their passphrase's hash.
        password_hash: PasswordHash,
        /// The first application; the person is its admin.
        application: ApplicationId,
        /// Its name.
        application_name: String,
    },
    /// A new person, by a cluster admin.
    CreateUser {
        /// The person.
        user: UserId,
        /// Their name.
        username: String,
        /// Their passphrase's hash.
        password_hash: PasswordHash,
    },
    /// An invitation to join an application.
    CreateInvite {
        /// The invitation.
        invite: InviteId,
        /// What one joins.
        application: ApplicationId,
        /// As what.
        role: Role,
        /// Hash of the secret in the link.
        secret_hash: SecretHash,
        /// When it ends.
        expires_ms: u64,
    },
    /// A new person joins by an invitation. The secret is the proof: nobody need be signed in.
    AcceptInvite {
        /// Hash of the secret in the link.
        secret_hash: SecretHash,
        /// The new person.
        user: UserId,
        /// Their name.
        username: String,
        /// Their passphrase's hash.
        password_hash: PasswordHash,
    },
    /// The signed-in person joins by an invitation.
    JoinByInvite {
        /// Hash of the secret in the link.
        secret_hash: SecretHash,
    },
    /// An invitation is withdrawn.
    RevokeInvite {
        /// Which.
        invite: InviteId,
    },
    /// A new passphrase for oneself (the node has checked the current one), or by a cluster admin.
    SetPassword {
        /// Whose.
        user: UserId,
        /// Its hash.
        password_hash: PasswordHash,
        /// End every other sign-in of that person.
        end_other_sessions: bool,
    },
    /// A one-use reset link for a person, by a cluster admin or a node (recovery).
    StartReset {
        /// Whose.
        user: UserId,
        /// Hash of the secret in the link.
        secret_hash: SecretHash,
        /// When it ends.
        expires_ms: u64,
    },
    /// A reset link is used. Ends every sign-in of that person.
    FinishReset {
        /// Hash of the secret in the link.
        secret_hash: SecretHash,
        /// The new passphrase's hash.
        password_hash: PasswordHash,
    },
    /// Suspends a person, or lets them in again. Suspending ends every sign-in.
    SuspendUser {
        /// Whom.
        user: UserId,
        /// Suspend, or let in.
        suspended: bool,
    },
    /// Removes a person with sign-ins and memberships. What they uploaded stays.
    DeleteUser {
        /// Whom.
        user: UserId,
    },
    /// Makes a person cluster admin, or ends it.
    SetClusterAdmin {
        /// Whom.
        user: UserId,
        /// Admin or not.
        admin: bool,
    },
    /// A sign-in. Proposed by the node as `ActorKind::System` (with the client's address) after it has verified
    /// the passphrase.
    CreateSession {
        /// The sign-in.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// Hash of the cookie's or token's secret.
        secret_hash: SecretHash,
        /// When it ends.
        expires_ms: u64,
        /// What the client called itself.
        user_agent: String,
    },
    /// Ends one sign-in: one's own, or by a cluster admin.
    EndSession {
        /// Which.
        session: SessionId,
    },
    /// Ends all sign-ins of a person.
    EndSessions {
        /// Whose.
        user: UserId,
        /// But this one.
        except: Option<SessionId>,
    },
    /// A key for another system.
    CreateApiKey {
        /// The key.
        key: ApiKeyId,
        /// What people call it.
        name: String,
        /// Hash of its secret.
        secret_hash: SecretHash,
        /// The one application it is for.
        application: ApplicationId,
        /// As what.
        role: Role,
        /// When it ends; `None`: when revoked.
        expires_ms: Option<u64>,
    },
    /// A key is withdrawn.
    RevokeApiKey {
        /// Which.
        key: ApiKeyId,
    },
    /// A new application, by a cluster admin.
    CreateApplication {
        /// The application.
        application: ApplicationId,
        /// Its name.
        name: String,
    },
    /// Changes an application's name or settings.
    UpdateApplication {
        /// Which.
        application: ApplicationId,
        /// What changes.
        patch: ApplicationPatch,
    },
    /// Removes an application that holds no assets, at once. What came before [`TrashApplication`](Self::TrashApplication).
    DeleteApplication {
        /// Which.
        application: ApplicationId,
    },
    /// Adds a person to an application, or changes their role.
    SetMember {
        /// Where.
        application: ApplicationId,
        /// Whom.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// Takes a person out of an application. One may leave by oneself.
    RemoveMember {
        /// Where.
        application: ApplicationId,
        /// Whom.
        user: UserId,
    },
    /// Forgets invitations, reset links and counted Views that ended an hour ago or longer. By a node.
    ForgetEndedLinks,
    /// Changes how many videos one person, or one API key, may watch at once in an application, and its name or settings
    /// with it. Views that run beyond it end, the oldest first; those that began before there was a limit end, too.
    LimitViews {
        /// Which.
        application: ApplicationId,
        /// What else changes.
        patch: ApplicationPatch,
        /// How many; `None`: as many as they like.
        views_at_once: Option<u32>,
    },
    /// To the trash: nobody gets at the application or anything in it, until it is restored or its time there is over.
    TrashApplication {
        /// Which.
        application: ApplicationId,
    },
    /// Back from the trash, with everything in it.
    RestoreApplication {
        /// Which.
        application: ApplicationId,
    },
    /// Forgets an application in the trash and the keys of all its assets. Nothing brings it back; a node carries it out by
    /// [`ExpireApplication`](Self::ExpireApplication).
    PurgeApplication {
        /// Which.
        application: ApplicationId,
    },
    /// By a node: an application whose time in the trash is over. The first time it is only noted (`Outcome::NotedDue`);
    /// when still due an hour later some of its assets are purged (`Outcome::Count`), again and again, and it itself at last
    /// (`Outcome::Purged`).
    ExpireApplication {
        /// Which.
        application: ApplicationId,
    },
}

/// What changes of an application; `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationPatch {
    /// Its name.
    pub name: Option<String>,
    /// Its settings.
    pub policy: Option<Policy>,
}
