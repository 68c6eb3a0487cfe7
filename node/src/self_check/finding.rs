//! What can be found when a node is looked at from outside. Codes are stable: they are in alerts and in docs/operating.md.

use std::collections::BTreeSet;

use cluster::command::Severity;

use crate::tls::TlsError;

/// Something that is weaker than it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Nobody can be connected to, or an answer does not come in time.
    NoAnswer,
    /// A client of today cannot agree on TLS with it.
    NoCurrentTls,
    /// SSL 3 is accepted.
    Ssl3,
    /// TLS 1.0 is accepted.
    Tls10,
    /// TLS 1.1 is accepted.
    Tls11,
    /// Who has the key may read what was recorded before: RSA key exchange is accepted.
    NoForwardSecrecy,
    /// TLS 1.3 is not offered.
    NoTls13,
    /// HTTP/2 is not offered.
    NoHttp2,
    /// The certificate's time is over or has not begun.
    CertificateNotValid,
    /// It is not the chain that the node means to serve, or whoever shows it has not got its key.
    CertificateOther,
    /// It does not vouch for the name by which the node is reached.
    CertificateName,
    /// A key or a signature of the chain can be forged.
    CertificateWeak,
    /// It is not for servers, its chain is broken, or it cannot be read.
    CertificateUnfit,
    /// A header of the strict set is missing or weaker. Which one, by name.
    Header(&'static str),
    /// Plain HTTP is not redirected to HTTPS.
    NoRedirect,
}

impl Finding {
    /// Its stable code; for a header, its name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::NoCurrentTls => "no_current_tls",
            Self::Ssl3 => "ssl_3",
            Self::Tls10 => "tls_1_0",
            Self::Tls11 => "tls_1_1",
            Self::NoForwardSecrecy => "no_forward_secrecy",
            Self::NoTls13 => "no_tls_1_3",
            Self::NoHttp2 => "no_http_2",
            Self::CertificateNotValid => "certificate_not_valid",
            Self::CertificateOther => "certificate_other",
            Self::CertificateName => "certificate_name",
            Self::CertificateWeak => "certificate_weak",
            Self::CertificateUnfit => "certificate_unfit",
            Self::Header(name) => name,
            Self::NoRedirect => "no_redirect",
        }
    }

    /// How bad it is: what lets others read along or pass for the node is critical.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Ssl3 | Self::Tls10 | Self::Tls11 | Self::CertificateNotValid | Self::CertificateOther => {
                Severity::Critical
            }
            _ => Severity::Warning,
        }
    }

    /// What is wrong with a chain that is not fit to be served.
    pub(super) fn of_certificate(error: &TlsError) -> Self {
        match error {
            TlsError::Expired | TlsError::NotYetValid => Self::CertificateNotValid,
            TlsError::Weak { .. } => Self::CertificateWeak,
            TlsError::Nameless => Self::CertificateName,
            _ => Self::CertificateUnfit,
        }
    }
}

/// The codes in one line, with a space between them.
#[must_use]
pub fn listed(findings: &BTreeSet<Finding>) -> String {
    findings.iter().map(|finding| finding.code()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use cluster::state::Limits;

    use super::*;

    #[test]
    fn everything_at_once_still_fits_into_one_detail_of_an_alert() {
        let headers = crate::headers::weakened(|name| match name {
            "access-control-allow-origin" => vec!["*".to_owned()],
            _ => Vec::new(),
        });
        assert_eq!(headers.len(), 12);
        let mut all: BTreeSet<Finding> = headers.into_iter().map(Finding::Header).collect();
        all.extend([
            Finding::NoAnswer,
            Finding::NoCurrentTls,
            Finding::Ssl3,
            Finding::Tls10,
            Finding::Tls11,
            Finding::NoForwardSecrecy,
            Finding::NoTls13,
            Finding::NoHttp2,
            Finding::CertificateNotValid,
            Finding::CertificateOther,
            Finding::CertificateName,
            Finding::CertificateWeak,
            Finding::CertificateUnfit,
            Finding::NoRedirect,
        ]);
        let (_, most) = Limits::AUDIT_DETAILS;
        assert!(listed(&all).len() <= most as usize, "{} characters", listed(&all).len());
    }
}
