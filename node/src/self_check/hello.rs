//! Clients of long ago: their first message, written by hand, since no library that we use still speaks their TLS. Sent by
//! [`super::look()`], which wants to see each of them refused.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::finding::Finding;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

const SSL_3: u16 = 0x0300;
const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;

/// AES, 3DES and RC4, with keys agreed on by ECDHE (ECDSA, RSA), DHE and RSA.
const OF_THEIR_TIME: &[u16] = &[
    0xc00a, 0xc009, 0xc014, 0xc013, 0x0039, 0x0033, 0x0035, 0x002f, 0xc008, 0xc012, 0x0016, 0x000a, 0xc007,
    0xc011, 0x0005, 0x0004,
];
/// All that takes the client's secret under the RSA key of the certificate: AES (GCM, CCM, CBC), Camellia, 3DES, RC4.
const RSA_KEY_EXCHANGE: &[u16] =
    &[0x009d, 0x009c, 0xc09d, 0xc09c, 0x003d, 0x003c, 0x0035, 0x002f, 0x0084, 0x0041, 0x000a, 0x0005];

/// What a client offers that should be refused.
#[derive(Debug)]
pub(super) struct Outdated {
    version: u16,
    suites: &'static [u16],
    /// What it means when it is not.
    pub(super) finding: Finding,
}

/// All of them.
pub(super) const OUTDATED: [Outdated; 4] = [
    Outdated { version: SSL_3, suites: OF_THEIR_TIME, finding: Finding::Ssl3 },
    Outdated { version: TLS_1_0, suites: OF_THEIR_TIME, finding: Finding::Tls10 },
    Outdated { version: TLS_1_1, suites: OF_THEIR_TIME, finding: Finding::Tls11 },
    Outdated { version: TLS_1_2, suites: RSA_KEY_EXCHANGE, finding: Finding::NoForwardSecrecy },
];

impl Outdated {
    /// Whether the server at `address` goes on with such a client that asks for `name`.
    ///
    /// # Errors
    /// When nobody can be connected to.
    pub(super) async fn is_accepted(&self, address: SocketAddr, name: &str) -> io::Result<bool> {
        let mut stream = TcpStream::connect(address).await?;
        // Who refuses sends an alert, or closes, or resets: only the beginning of another answer counts.
        let mut begin = [0; 6];
        let answered = match stream.write_all(&self.hello(name)).await {
            Ok(()) => stream.read_exact(&mut begin).await.is_ok(),
            Err(_) => false,
        };
        Ok(answered && begin[0] == HANDSHAKE && begin[5] == SERVER_HELLO)
    }

    fn hello(&self, name: &str) -> Vec<u8> {
        let random: [u8; 32] = rand::rng().random();
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend(random);
        // No session is taken up.
        body.push(0);
        body.extend(with_length(
            &self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>(),
        ));
        // No compression.
        body.extend([1, 0]);
        if self.version > SSL_3 {
            body.extend(with_length(&self.extensions(name)));
        }
        let mut message = vec![CLIENT_HELLO, 0];
        message.extend(with_length(&body));
        let mut record = vec![HANDSHAKE];
        record.extend(self.version.min(TLS_1_0).to_be_bytes());
        record.extend(with_length(&message));
        record
    }

    fn extensions(&self, name: &str) -> Vec<u8> {
        let mut all = Vec::new();
        let mut add = |kind: u16, content: &[u8]| {
            all.extend(kind.to_be_bytes());
            all.extend(with_length(content));
        };
        if name.parse::<IpAddr>().is_err() {
            let entry = [&[0], with_length(name.as_bytes()).as_slice()].concat();
            add(0, &with_length(&entry));
        }
        // X25519, P-256, P-384, P-521, and points as they are.
        add(10, &with_length(&[0, 29, 0, 23, 0, 24, 0, 25]));
        add(11, &[1, 0]);
        if self.version == TLS_1_2 {
            // RSA (PSS, PKCS #1) and ECDSA, with SHA-256, SHA-384, SHA-512; SHA-1 last.
            add(13, &with_length(&[8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 4, 3, 5, 3, 6, 3, 2, 1, 2, 3]));
        }
        // Secure renegotiation, without which some servers refuse.
        add(0xff01, &[0]);
        all
    }
}

/// Led by its length in two bytes: nothing here comes near 64 KiB.
fn with_length(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    [length.to_be_bytes().as_slice(), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_a_hello_fits_what_follows() {
        for outdated in &OUTDATED {
            let hello = outdated.hello("media.example");
            let length = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
            assert_eq!((hello[0], length(3)), (HANDSHAKE, hello.len() - 5));
            assert_eq!((hello[5], hello[6], length(7)), (CLIENT_HELLO, 0, hello.len() - 9));
            assert_eq!(hello[9..11], outdated.version.to_be_bytes());
            let after_suites = 44 + 2 + length(44);
            let rest = hello.len() - after_suites - 2;
            if outdated.version == SSL_3 {
                assert_eq!(rest, 0);
            } else {
                assert_eq!(length(after_suites + 2), rest - 2);
                assert!(hello.windows(13).any(|part| part == b"media.example"));
            }
        }
    }
}
