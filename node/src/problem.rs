//! The one place where an error becomes an answer: every refusal and failure maps here to an RFC 9457
//! `application/problem+json` document with a stable `code`.
//!
//! Handlers return `Result<_, Problem>`. Inner layers keep their own typed errors without HTTP in them; `From`
//! implementations below map each. What is the caller's fault says how to do better; what is ours says only the
//! request id, and the cause is logged once, by [`crate::answer`].

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use cluster::ProposeError;
use cluster::audit::AuditError;
use cluster::command::Role;
use cluster::keyring::KeyError;
use cluster::recovery::RecoveryError;
use cluster::refusal::{Needs, Refusal, RefusalClass};
use cluster::store::BlobError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::sentence;
use crate::auth::hashing::HashingError;
use crate::auth::passphrase::Weakness;
use crate::play::outage::OutageError;
use crate::tls::TlsError;

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// A URI naming the kind of problem; `urn:mediakeep:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short sentence, the same for every occurrence of this code.
    pub title: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// The stable code a program may branch on.
    pub code: String,
    /// What went wrong this time, and what to do.
    pub detail: String,
    /// Names this request in the log.
    pub request_id: String,
    /// For `forbidden`: the role that would be enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

/// An error answer on its way out. Boxed, so that the way of success stays light.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    needs: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.detail)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    /// The bare answer; [`crate::answer`] replaces it by one that carries the request id.
    fn error_response(&self) -> HttpResponse {
        self.answer("")
    }
}

impl Problem {
    /// Any problem: prefer the named constructors.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let code = Cow::Borrowed(code);
        Self(Box::new(Parts { status, code, detail: detail.into(), needs: None, header: None, cause: None }))
    }

    /// 400: the request itself is malformed or breaks a rule.
    #[must_use]
    pub fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: nobody is logged in, or the session or key no longer counts.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let mut problem =
            Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Log in, or send a valid API key.");
        problem.0.header =
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mediakeep\"")));
        problem
    }

    /// 403 with a reason of its own.
    #[must_use]
    pub fn forbidden(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404: no such thing, or none the caller may know of.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here, or nothing you may see.")
    }

    /// 405, with the methods that do exist.
    #[must_use]
    pub fn method_not_allowed(allow: String) -> Self {
        let detail = format!("This address answers {allow}.");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        problem.0.header = HeaderValue::try_from(allow).ok().map(|value| (header::ALLOW, value));
        problem
    }

    /// 409: true a moment ago, or true already.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 413: the body is larger than this operation takes.
    #[must_use]
    pub fn too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("The body may have at most {limit} bytes."),
        )
    }

    /// 415: the content type is not one this operation takes.
    #[must_use]
    pub fn unsupported_media_type(expected: &'static str) -> Self {
        let detail = format!("Send the body as {expected}.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 429, with the seconds to wait.
    #[must_use]
    pub fn too_many(code: &'static str, wait_seconds: u64) -> Self {
        let detail = format!("Too many attempts. Try again in {wait_seconds} s.");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail);
        problem.0.header = Some((header::RETRY_AFTER, HeaderValue::from(wait_seconds)));
        problem
    }

    /// 500: a fault of ours. The cause goes to the log only.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "Something went wrong on this node. The log names it by the request id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).caused_by(cause)
    }

    /// 503: not now; the same request may well succeed a little later.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.0.header = Some((header::RETRY_AFTER, HeaderValue::from(2)));
        problem
    }

    /// 507: the disk is as full as it may become.
    #[must_use]
    pub fn disk_full() -> Self {
        let detail =
            "This node's disk is full. Delete something or add space, then try again; what was sent is kept.";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", detail)
    }

    /// Remembers why, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The answer, naming the request.
    #[must_use]
    pub fn answer(&self, request_id: &str) -> HttpResponse {
        let body = ProblemBody {
            kind: format!("urn:mediakeep:problem:{}", self.0.code),
            title: self.0.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.0.status.as_u16(),
            code: self.0.code.clone().into_owned(),
            detail: self.0.detail.clone().into_owned(),
            request_id: request_id.to_owned(),
            needs: self.0.needs.clone(),
        };
        let mut answer = HttpResponse::build(self.0.status);
        answer.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        answer.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some((name, value)) = &self.0.header {
            answer.insert_header((name.clone(), value.clone()));
        }
        answer.body(serde_json::to_vec(&body).unwrap_or_default())
    }

    /// What actix itself refused (path, query, body, protocol), in our terms.
    #[must_use]
    pub fn from_actix(error: &actix_web::Error) -> Self {
        let status = error.as_response_error().status_code();
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "too_large", "The body is larger than this operation takes.")
            }
            StatusCode::REQUEST_TIMEOUT => {
                Self::new(status, "timed_out", "The request took too long to arrive.")
            }
            status if status.is_client_error() => Self::new(status, "bad_request", error.to_string()),
            _ => Self::internal(error.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.class() {
            RefusalClass::NotSignedIn => return Self::unauthenticated(),
            RefusalClass::NotFound => {
                let mut problem = Self::not_found();
                problem.0.code = refusal.code().into();
                return problem;
            }
            RefusalClass::Forbidden => StatusCode::FORBIDDEN,
            RefusalClass::Conflict => StatusCode::CONFLICT,
            RefusalClass::Invalid => StatusCode::BAD_REQUEST,
        };
        let needs = match &refusal {
            Refusal::Forbidden { needs } => Some(needed(*needs)),
            _ => None,
        };
        let detail = needs.map_or_else(|| sentence(&refusal.to_string()), |(_, detail)| detail.to_owned());
        let mut problem = Self::new(status, refusal.code(), detail);
        problem.0.needs = needs.map(|(needs, _)| needs.to_owned());
        problem
    }
}

fn needed(needs: Needs) -> (&'static str, &'static str) {
    match needs {
        Needs::Role(Role::Admin) => ("admin", "This needs the role admin in the application."),
        Needs::Role(Role::User) => ("user", "This needs the role user in the application."),
        Needs::Role(Role::ReadOnly) => ("read_only", "This needs the role read-only in the application."),
        Needs::Role(Role::Viewer) => ("viewer", "This needs the role viewer in the application."),
        Needs::ClusterAdmin => ("cluster_admin", "This needs a cluster admin."),
        Needs::Person => ("person", "This needs a signed-in person; an API key is not enough."),
        Needs::Node => ("node", "Only nodes do this."),
        Needs::AccessRule => ("access_rule", "This video's access rule does not admit you."),
        Needs::Policy => ("policy", "The application's policy does not allow this."),
        Needs::Ability(_) => ("ability", "Your role in the application does not allow this."),
    }
}

impl From<ProposeError> for Problem {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Refused(refusal) => refusal.into(),
            ProposeError::TooLarge { limit, .. } => Self::too_large(limit as u64),
            ProposeError::ReadOnly(_) => {
                Self::unavailable("read_only", "This node is read-only: acknowledged records are missing.")
            }
            ProposeError::OutcomeUnknown => Self::unavailable(
                "outcome_unknown",
                "The change was sent, and whether it was made is not known yet. Look before you repeat it.",
            ),
            other => Self::unavailable("cluster_unavailable", "The cluster cannot take changes now.")
                .caused_by(other),
        }
    }
}

/// What a failed operation on a Blob means to whoever asked.
impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => Self::disk_full(),
            BlobError::NotFound => Self::not_found().caused_by(error),
            BlobError::Fenced { .. } | BlobError::WriterOver => Self::conflict(
                "writer_replaced",
                "Somebody else has taken over writing; ask again where it stands.",
            ),
            BlobError::Sealed(_) => Self::conflict("blob_sealed", "It is complete; nothing can be added."),
            BlobError::TooFewCopies { .. } | BlobError::Unreachable(_) => Self::unavailable(
                "too_few_copies",
                "Too few nodes can be reached to keep this safely; what was acknowledged is safe. Try again soon.",
            )
            .caused_by(error),
            BlobError::Corrupt { .. } | BlobError::Damaged(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "damaged",
                "Every copy of this that can be reached is damaged here. Nothing was changed; a backup may hold it.",
            )
            .caused_by(error),
            other => Self::internal(other),
        }
    }
}

impl From<OutageError> for Problem {
    fn from(error: OutageError) -> Self {
        match error {
            OutageError::NoNewView => Self::unavailable("no_leader", error.to_string()),
            OutageError::GraceOver => Self::unavailable("offline_grace_over", error.to_string()),
            OutageError::Propose(error) => error.into(),
            OutageError::Journal(error) => {
                Self::unavailable("cluster_unavailable", "The start could not be put on record now.")
                    .caused_by(error)
            }
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        Self::internal(error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::internal(error)
    }
}

impl From<RecoveryError> for Problem {
    fn from(error: RecoveryError) -> Self {
        Self::invalid("recovery_key_wrong", sentence(&error.to_string()))
    }
}

impl From<HashingError> for Problem {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => {
                Self::unavailable("busy", "Too many log-ins at once. Try again in a moment.")
            }
            failed => Self::internal(failed),
        }
    }
}

impl From<Weakness> for Problem {
    fn from(weakness: Weakness) -> Self {
        Self::invalid(weakness.code(), weakness.to_string())
    }
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        match error.code() {
            Some(code) => Self::invalid(code, sentence(&error.to_string())),
            None => Self::internal(error),
        }
    }
}
