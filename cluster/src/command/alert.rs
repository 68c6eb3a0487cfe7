//! Commands about alerts: what is wrong now, who has seen it, and where it is told.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// How much an alert matters. Ordered: the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; nothing is to be done now.
    Info,
    /// Somebody should look within a day.
    Warning,
    /// Something is lost or stands still, or soon will.
    Critical,
}

/// Who watches a condition: the leader for all, or each node for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertScope {
    /// The leader.
    Cluster,
    /// This node.
    Node(NodeId),
}

/// Something that is wrong now. Kind and subject name it; the same two are the same alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertFact {
    /// What, such as `disk_nearly_full`. Stable.
    pub kind: String,
    /// With what, such as `node:3`.
    pub subject: String,
    /// How much it matters.
    pub severity: Severity,
    /// A few bounded facts, never a secret or a title.
    pub details: BTreeMap<String, String>,
}

/// A way out of the cluster for alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// An HTTPS address.
    Webhook,
    /// A syslog server.
    Syslog,
    /// Mail.
    Email,
}

impl ChannelKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Webhook, Self::Syslog, Self::Email];

    /// The word as used in addresses and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Syslog => "syslog",
            Self::Email => "email",
        }
    }
}

/// What is told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertChange {
    /// It is there.
    Raised,
    /// It is over.
    Resolved,
}

impl AlertChange {
    /// The word as used in messages and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Resolved => "resolved",
        }
    }
}

/// A secret of a channel. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSecret(pub String);

impl fmt::Debug for ChannelSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ChannelSecret(redacted)")
    }
}

/// An HTTPS address that is sent each alert as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookChannel {
    /// The address.
    pub url: String,
    /// Signs each message.
    pub secret: ChannelSecret,
    /// The authority to trust instead of the public ones (PEM).
    pub authority: Option<String>,
}

/// How a syslog server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogTransport {
    /// Datagrams: nobody says whether they came.
    Udp,
    /// A connection, each message led by its length (RFC 6587).
    Tcp,
}

/// A syslog server (RFC 5424).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogChannel {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How.
    pub transport: SyslogTransport,
}

/// How the connection to a mail server is protected. Never not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// TLS from the first byte, usually on port 465.
    Tls,
    /// Plain first, TLS before anything is said, usually on port 587.
    StartTls,
}

/// A mail server and who is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailChannel {
    /// Name or address of the server.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How it is protected.
    pub security: MailSecurity,
    /// Whom to sign in as, where the server asks.
    pub username: Option<String>,
    /// With what.
    pub password: Option<ChannelSecret>,
    /// Who writes.
    pub from: String,
    /// Who is written to.
    pub to: Vec<String>,
    /// The authority to trust instead of the public ones (PEM).
    pub authority: Option<String>,
}

/// Where alerts are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertChannels {
    /// What matters less is only shown in the console.
    pub least: Severity,
    /// An HTTPS address.
    pub webhook: Option<WebhookChannel>,
    /// A syslog server.
    pub syslog: Option<SyslogChannel>,
    /// Mail.
    pub email: Option<EmailChannel>,
}

impl Default for AlertChannels {
    fn default() -> Self {
        Self { least: Severity::Warning, webhook: None, syslog: None, email: None }
    }
}

impl AlertChannels {
    /// Whether this way is set up.
    #[must_use]
    pub fn has(&self, channel: ChannelKind) -> bool {
        match channel {
            ChannelKind::Webhook => self.webhook.is_some(),
            ChannelKind::Syslog => self.syslog.is_some(),
            ChannelKind::Email => self.email.is_some(),
        }
    }
}

/// A change of what is known of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertCommand {
    /// All that is wrong now in a scope. What was wrong and is not named any more is over.
    Observe {
        /// Who looked.
        scope: AlertScope,
        /// All of it.
        open: Vec<AlertFact>,
    },
    /// A person has seen an alert and takes care of it.
    Acknowledge {
        /// Its number.
        alert: u64,
    },
    /// Where alerts are told from now on.
    SetChannels {
        /// All of them.
        channels: Box<AlertChannels>,
    },
    /// An alert was told by a channel, or given up on.
    NoteDelivery {
        /// Its number.
        alert: u64,
        /// By which way.
        channel: ChannelKind,
        /// What.
        change: AlertChange,
        /// Whether the other side took it.
        delivered: bool,
    },
}
