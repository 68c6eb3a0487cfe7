//! The one thing a node that is none yet may say, to a node whose authority it knows by its hash.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::frame::{Frame, Kind, bad};
use super::trust;
use crate::authority::NODE_HOST;
use crate::net::Message;

/// A join waits for the cluster to agree on it.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Why no answer was had.
#[derive(Debug, thiserror::Error)]
pub enum JoinCallError {
    /// Whoever answers there is not of the cluster that made the token.
    #[error(
        "the node at {0} does not belong to the cluster that made this token, or that cluster has another certificate \
         authority by now and a new token is needed"
    )]
    WrongAuthority(String),
    /// Its certificate does not hold at the time that this machine has.
    #[error(
        "the certificate of the node at {0} is not valid at the time that this machine has: set the machine's clock"
    )]
    WrongTime(String),
    /// Nobody answers.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was asked and did not take it.
    #[error("{0}")]
    Refused(String),
}

/// Sends one request to join to `address`, whose certificate must come from the authority with that hash.
///
/// # Errors
/// [`JoinCallError`].
pub async fn ask_to_join(
    address: &str,
    authority_hash: [u8; 32],
    request: Bytes,
) -> Result<Bytes, JoinCallError> {
    let unreachable = |source: io::Error| match tls_error(&source) {
        Some(rustls::Error::InvalidCertificate(wrong)) if is_about_time(wrong) => {
            JoinCallError::WrongTime(address.to_owned())
        }
        Some(rustls::Error::InvalidCertificate(_)) => JoinCallError::WrongAuthority(address.to_owned()),
        _ => JoinCallError::Unreachable { address: address.to_owned(), source },
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let connect = async {
        let socket = TcpStream::connect(address).await?;
        let config = trust::join_client(authority_hash).map_err(io::Error::other)?;
        let name = ServerName::try_from(NODE_HOST).map_err(|_| bad("a name"))?;
        TlsConnector::from(config).connect(name, socket).await
    };
    let mut stream =
        timeout(CONNECT_WITHIN, connect).await.map_err(late).and_then(|done| done).map_err(unreachable)?;
    let exchange = async {
        let message = Message { head: request, body: Bytes::new() };
        let frame = Frame { id: 1, message, ..Frame::plain(Kind::Call) };
        frame.write(&mut stream).await?;
        stream.flush().await?;
        Frame::read(&mut stream).await
    };
    let answer =
        timeout(ANSWER_WITHIN, exchange).await.map_err(late).and_then(|done| done).map_err(unreachable)?;
    match answer.kind {
        Kind::Answer => Ok(answer.message.head),
        _ => Err(JoinCallError::Refused(String::from_utf8_lossy(&answer.message.head).into_owned())),
    }
}

/// Whether a connection failed because a certificate, theirs or ours, is not valid at the time that one side has.
pub(super) fn is_a_matter_of_time(error: &io::Error) -> bool {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(wrong)) => is_about_time(wrong),
        Some(rustls::Error::AlertReceived(alert)) => *alert == AlertDescription::CertificateExpired,
        _ => false,
    }
}

fn is_about_time(wrong: &CertificateError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(wrong, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}
