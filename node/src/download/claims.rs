//! A download link: what is to be had, by whom, until when; and the one client that may use it.
//!
//! The first GET binds the link. From then on it is for that client only: the same address, and either the cookie it was
//! given or, for a tool that keeps none, the same `User-Agent` asking for a further range. A second GET for the whole
//! without the cookie is a second client, whatever it calls itself. Bindings are in this node's memory; a link of an
//! earlier life of the node is refused, so that a restart does not let a second client in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::actor::ActorKind;
use cluster::id::AssetId;
use pipeline::tracks::RenditionId;
use serde::{Deserialize, Serialize};

use crate::play::view::same_client;
use crate::token::Claims;

/// How long a link waits for its client.
pub const LINK_LIFETIME_MS: u64 = 10 * 60 * 1000;
/// How long its client may take, with all its ranges.
pub const DOWNLOAD_LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;
/// Bindings kept; the ones that end first go first.
const MOST_BINDINGS: usize = 10_000;

/// What is downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The file as it was uploaded.
    Original,
    /// One rendition, joined with the sound.
    Rendition(RenditionId),
}

/// What a link says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadClaims {
    /// Names it in the audit log.
    pub download: [u8; 16],
    /// The life of the node that made it.
    pub life: [u8; 8],
    /// Whose bytes.
    pub asset: AssetId,
    /// Which of them.
    pub what: What,
    /// By what right.
    pub who: ActorKind,
    /// When it must have been used for the first time.
    pub expires_ms: u64,
}

impl Claims for DownloadClaims {
    const PURPOSE: &'static str = "mediakeep download 1";
}

/// Who comes with a link.
#[derive(Debug, Clone)]
pub struct Client {
    /// From where.
    pub address: Option<IpAddr>,
    /// What it calls itself.
    pub user_agent: String,
    /// The cookie it was given, if it brings one.
    pub cookie: Option<String>,
    /// It asks for a part that does not begin at the front.
    pub goes_on: bool,
}

#[derive(Debug, Clone)]
struct Binding {
    address: Option<IpAddr>,
    user_agent: String,
    cookie: String,
    until_ms: u64,
}

/// Whether a client may have what the link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The first: it is to be given this cookie.
    Bound(String),
    /// The same as before.
    Known,
    /// Another.
    Refused,
    /// Too late, or of an earlier life of the node.
    Expired,
}

/// The links in use.
#[derive(Debug, Clone)]
pub struct Downloads {
    bindings: Arc<Mutex<HashMap<[u8; 16], Binding>>>,
    life: [u8; 8],
}

impl Default for Downloads {
    fn default() -> Self {
        Self { bindings: Arc::default(), life: rand::random() }
    }
}

impl Downloads {
    /// This life of the node, for new links.
    pub fn life(&self) -> [u8; 8] {
        self.life
    }

    /// Binds the link to its first client, or compares.
    pub fn admit(&self, claims: &DownloadClaims, client: &Client, now_ms: u64) -> Admission {
        let mut bindings = self.locked();
        if let Some(binding) = bindings.get(&claims.download) {
            return match () {
                () if now_ms >= binding.until_ms => Admission::Expired,
                () if is_same(binding, client) => Admission::Known,
                () => Admission::Refused,
            };
        }
        if now_ms >= claims.expires_ms || claims.life != self.life {
            return Admission::Expired;
        }
        if bindings.len() >= MOST_BINDINGS {
            let oldest = bindings.iter().min_by_key(|(_, binding)| binding.until_ms).map(|(id, _)| *id);
            oldest.and_then(|id| bindings.remove(&id));
        }
        let secret: [u8; 16] = rand::random();
        let cookie = data_encoding::HEXLOWER.encode(&secret);
        let binding = Binding {
            address: client.address,
            user_agent: client.user_agent.clone(),
            cookie: cookie.clone(),
            until_ms: now_ms + DOWNLOAD_LIFETIME_MS,
        };
        bindings.insert(claims.download, binding);
        Admission::Bound(cookie)
    }

    /// Whether the link is still free or this client's: for HEAD, which binds nothing.
    pub fn would_admit(&self, claims: &DownloadClaims, client: &Client, now_ms: u64) -> bool {
        match self.locked().get(&claims.download) {
            Some(binding) => now_ms < binding.until_ms && is_same(binding, client),
            None => now_ms < claims.expires_ms && claims.life == self.life,
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<[u8; 16], Binding>> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(binding: &Binding, client: &Client) -> bool {
    let same_address = match (binding.address, client.address) {
        (Some(one), Some(other)) => same_client(one, other),
        _ => false,
    };
    let known_cookie = client.cookie.as_ref().map(|cookie| {
        bool::from(subtle::ConstantTimeEq::ct_eq(cookie.as_bytes(), binding.cookie.as_bytes()))
    });
    let goes_on = client.goes_on && client.user_agent == binding.user_agent;
    same_address && known_cookie.unwrap_or(goes_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(downloads: &Downloads) -> DownloadClaims {
        let who = ActorKind::Anonymous;
        let (asset, what) = (AssetId([1; 16]), What::Original);
        DownloadClaims { download: [9; 16], life: downloads.life(), asset, what, who, expires_ms: 1000 }
    }

    fn client(address: &str, cookie: Option<&str>, goes_on: bool) -> Client {
        let address = address.parse().ok();
        Client { address, user_agent: "tool/1".into(), cookie: cookie.map(str::to_owned), goes_on }
    }

    #[test]
    fn the_first_client_goes_on_and_a_second_is_refused() {
        let downloads = Downloads::default();
        let link = claims(&downloads);
        let Admission::Bound(cookie) = downloads.admit(&link, &client("10.0.0.1", None, false), 0) else {
            panic!("the first client binds the link")
        };
        let admit = |client| downloads.admit(&link, &client, 10);
        assert_eq!(admit(client("10.0.0.1", Some(&cookie), false)), Admission::Known);
        assert_eq!(admit(client("10.0.0.1", None, true)), Admission::Known);
        assert_eq!(admit(client("10.0.0.1", None, false)), Admission::Refused);
        assert_eq!(admit(client("10.0.0.1", Some("guess"), true)), Admission::Refused);
        assert_eq!(admit(client("10.0.0.2", Some(&cookie), true)), Admission::Refused);
        let other_tool = Client { user_agent: "tool/2".into(), ..client("10.0.0.1", None, true) };
        assert_eq!(admit(other_tool), Admission::Refused);
        assert_eq!(
            downloads.admit(&link, &client("10.0.0.1", Some(&cookie), true), DOWNLOAD_LIFETIME_MS),
            Admission::Expired
        );
    }

    #[test]
    fn an_old_link_and_one_of_an_earlier_life_are_refused() {
        let downloads = Downloads::default();
        let link = claims(&downloads);
        assert_eq!(downloads.admit(&link, &client("10.0.0.1", None, false), 1000), Admission::Expired);
        let earlier = DownloadClaims { life: [0; 8], ..link };
        assert_eq!(downloads.admit(&earlier, &client("10.0.0.1", None, false), 0), Admission::Expired);
        assert!(downloads.would_admit(&link, &client("10.0.0.1", None, false), 0));
    }
}
