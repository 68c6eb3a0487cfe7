//! An alert as one line of RFC 5424, by UDP or by TCP with each message led by its length (RFC 6587).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cluster::command::{SyslogChannel, SyslogTransport};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use super::message::rfc3339;
use super::{DeliveryError, Message};
use crate::outbound::{EXCHANGE_WITHIN, Guard};

/// The facility of programs that keep watch: `daemon`.
const FACILITY: u8 = 3;
/// The private enterprise number that documentation uses (RFC 5612).
const ENTERPRISE: u32 = 32_473;
/// Every receiver must take so many bytes of a datagram (RFC 5424, 6.1).
const DATAGRAM: usize = 2_048;

/// Sends `message`. With UDP nobody says whether it arrived.
///
/// # Errors
/// [`DeliveryError`].
pub(super) async fn send(
    channel: &SyslogChannel,
    guard: &Guard,
    message: &Message,
) -> Result<(), DeliveryError> {
    let addresses = guard.look_up(&channel.host, channel.port).await?;
    let line = line(message);
    let sending = async {
        match channel.transport {
            SyslogTransport::Udp => by_datagram(&addresses, &line).await,
            SyslogTransport::Tcp => by_connection(&addresses, &line).await,
        }
    };
    let sent = tokio::time::timeout(EXCHANGE_WITHIN, sending).await;
    let sent = sent.map_err(|_| DeliveryError::Unreachable("it took too long".to_owned()))?;
    sent.map_err(|error| DeliveryError::Unreachable(error.to_string()))
}

async fn by_datagram(addresses: &[SocketAddr], line: &str) -> std::io::Result<()> {
    let to = addresses.first().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let from: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((from, 0)).await?;
    let end = line.floor_char_boundary(DATAGRAM.min(line.len()));
    socket.send_to(&line.as_bytes()[..end], to).await.map(drop)
}

async fn by_connection(addresses: &[SocketAddr], line: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addresses).await?;
    stream.write_all(format!("{} {line}", line.len()).as_bytes()).await?;
    stream.shutdown().await
}

/// `<PRI>1 TIME HOST APP PROCID MSGID [DATA] TEXT`.
fn line(message: &Message) -> String {
    let severity = match message.severity {
        "critical" => 2,
        "warning" => 4,
        _ => 5,
    };
    let priority = FACILITY * 8 + severity;
    let time = rfc3339(message.sent_ms);
    let host = word(&format!("mediakeep-{}", message.cluster.get(..8).unwrap_or(&message.cluster)), 255);
    let id = word(&message.kind, 32);
    let mut line = format!("<{priority}>1 {time} {host} mediakeep - {id} [alert@{ENTERPRISE}");
    let own = [
        ("id", message.id.as_str()),
        ("change", message.change),
        ("severity", message.severity),
        ("subject", &message.subject),
    ];
    let details = message.details.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.into_iter().chain(details) {
        // Writing to a string cannot fail.
        let _ = write!(line, " {}=\"{}\"", word(name, 32), escaped(value));
    }
    let _ = write!(line, "] {}", message.line());
    line
}

/// Printable ASCII without what ends a field, of at most `most` characters; `-` when nothing is left.
fn word(text: &str, most: usize) -> String {
    let kept = text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"'));
    let word: String = kept.take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// RFC 5424, 6.3.3: `"`, `\` and `]` are escaped; and no line ends, whatever a receiver makes of them.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '"' | '\\' | ']' => escaped.extend(['\\', letter]),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::message::sample;
    use super::*;

    #[test]
    fn a_line_is_as_the_standard_says_and_nothing_breaks_out_of_it() {
        let found = line(&sample());
        let wanted = "<28>1 2027-01-15T08:00:02Z mediakeep-c0ffee mediakeep - disk_nearly_full [alert@32473 \
                      id=\"c0ffee-7-1-raised\" change=\"raised\" severity=\"warning\" subject=\"node:3\" \
                      free_percent=\"14\" node=\"n\\]3 \"] [warning] A disk is nearly full, free percent 14, node n]3 ";
        assert_eq!(found, wanted);
    }
}
