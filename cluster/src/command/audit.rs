//! What is recorded without changing anything else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::ApplicationId;

/// A record by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditCommand {
    /// A sensitive act that changes nothing: a sign-in refused, a View or download started, the audit log read.
    Record {
        /// What, such as `session.refused`.
        action: String,
        /// On what, such as `asset:01h…`.
        target: String,
        /// In which application.
        application: Option<ApplicationId>,
        /// `ok`, or a refusal's code.
        result: String,
        /// A few bounded facts, never a secret.
        details: BTreeMap<String, String>,
    },
}
