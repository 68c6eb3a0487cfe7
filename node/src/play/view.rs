//! The View: one viewer's temporary right to watch one asset, and the check every playlist, key and segment makes of it.
//!
//! A View is a signed token, not State. What can end it early is looked up in State on every request, without a lock:
//! `cluster::permission::may_watch` looks at the session or API key it was made under, the person, the asset's rule,
//! window and life, and the asset's view epoch.

use std::net::IpAddr;

use cluster::actor::ActorKind;
use cluster::id::{AssetId, ViewId};
use cluster::permission::{ViewSubject, Watching, may_watch};
use cluster::refusal::Refusal;
use cluster::state::State;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::token::{Claims, TokenError};

/// How long a cookie's View lives; the page renews it silently.
pub const COOKIE_LIFETIME_MS: u64 = 15 * 60 * 1000;
/// How long a capability path lives: a player that cannot renew watches a long film with it.
pub const PATH_LIFETIME_MS: u64 = 8 * 60 * 60 * 1000;
/// How long after its start a View may still be renewed.
pub const RENEWABLE_MS: u64 = 24 * 60 * 60 * 1000;
/// Two nodes' stamps may differ by this much.
const SKEW_MS: u64 = 60 * 1000;

/// How the token reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    /// The `__Secure-view` cookie of the console, beside the session cookie.
    Cookie,
    /// In the path, for any other player.
    Path {
        /// The one address that may use it; `None` when whoever asked let it free.
        address: Option<IpAddr>,
    },
}

impl Carrier {
    /// How long a token that travels this way lives.
    pub fn lifetime_ms(self) -> u64 {
        match self {
            Self::Cookie => COOKIE_LIFETIME_MS,
            Self::Path { .. } => PATH_LIFETIME_MS,
        }
    }
}

/// What a View's token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewClaims {
    /// Names the View in the audit log.
    pub view: ViewId,
    /// What may be watched.
    pub asset: AssetId,
    /// By what right.
    pub subject: ViewSubject,
    /// When it began.
    pub started_ms: u64,
    /// When this token ends.
    pub expires_ms: u64,
    /// How it must reach us.
    pub carrier: Carrier,
}

impl ViewClaims {
    /// What the check of a running View looks at.
    pub fn watching(&self) -> Watching {
        let Self { view, asset, subject, started_ms, .. } = *self;
        Watching { view, asset, subject, started_ms }
    }
}

impl Claims for ViewClaims {
    const PURPOSE: &'static str = "mediakeep view 1";
}

/// What the page sends to go on watching: proof that the View was begun, and so audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalClaims(pub ViewClaims);

impl Claims for RenewalClaims {
    const PURPOSE: &'static str = "mediakeep view renewal 1";
}

/// Why something is not given to a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ViewError {
    /// No token where one must be.
    #[error("this address can only be watched with a running view")]
    Missing,
    /// Not one of our tokens.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// For another asset, another way, another address or another session.
    #[error("this link is not for this use")]
    Misused,
    /// Over; a new one may be had.
    #[error("this view has expired; start it again")]
    Expired,
    /// The right has ended.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// How a token was presented.
#[derive(Debug, Clone, Copy)]
pub enum Presented {
    /// In the path.
    InPath {
        /// From where.
        address: Option<IpAddr>,
    },
    /// In a cookie for this asset, together with this sign-in.
    InCookie {
        /// The asset of the path.
        asset: AssetId,
        /// Who the session cookie says it is.
        caller: ActorKind,
    },
}

/// Whether the claims of a good token may be used this way by this client now.
pub fn check(claims: &ViewClaims, state: &State, now_ms: u64, presented: Presented) -> Result<(), ViewError> {
    if !fits(claims, presented) {
        return Err(ViewError::Misused);
    }
    // A token from the future was made by a clock that cannot be believed.
    let from_future = claims.expires_ms > now_ms.saturating_add(claims.carrier.lifetime_ms() + SKEW_MS);
    if now_ms >= claims.expires_ms || from_future {
        return Err(ViewError::Expired);
    }
    Ok(may_watch(state, &claims.watching(), now_ms)?)
}

pub(crate) fn fits(claims: &ViewClaims, presented: Presented) -> bool {
    match (claims.carrier, presented) {
        (Carrier::Path { address: None }, Presented::InPath { .. }) => true,
        (Carrier::Path { address: Some(bound) }, Presented::InPath { address: Some(from) }) => {
            same_client(bound, from)
        }
        (Carrier::Cookie, Presented::InCookie { asset, caller }) => {
            asset == claims.asset && caller == claims.subject.who
        }
        _ => false,
    }
}

/// IPv4 addresses are compared whole, also when mapped into IPv6; of an IPv6 address the network, for its lower half
/// changes by itself.
pub fn same_client(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_its_v4_address_or_its_v6_network() {
        assert!(same_client(ip("10.0.0.1"), ip("::ffff:10.0.0.1")));
        assert!(!same_client(ip("10.0.0.1"), ip("10.0.0.2")));
        assert!(same_client(ip("2001:db8:1:2::3"), ip("2001:db8:1:2:ffff::4")));
        assert!(!same_client(ip("2001:db8:1:2::3"), ip("2001:db8:1:3::3")));
        assert!(!same_client(ip("::1"), ip("127.0.0.1")));
    }

    #[test]
    fn a_token_is_good_until_its_end_and_one_from_the_future_is_not_believed() {
        let asset = AssetId([1; 16]);
        let claims = |expires_ms| ViewClaims {
            view: ViewId::ZERO,
            asset,
            subject: ViewSubject { who: ActorKind::Anonymous, view_epoch: 0 },
            started_ms: 0,
            expires_ms,
            carrier: Carrier::Path { address: None },
        };
        let (state, now_ms) = (State::default(), 1_000_000_000);
        let outcome =
            |expires_ms| check(&claims(expires_ms), &state, now_ms, Presented::InPath { address: None });
        for expires_ms in [0, now_ms - 1, now_ms, now_ms + PATH_LIFETIME_MS + SKEW_MS + 1, u64::MAX] {
            assert_eq!(outcome(expires_ms), Err(ViewError::Expired), "{expires_ms}");
        }
        // In between the token itself is good, and State has the word.
        for expires_ms in [now_ms + 1, now_ms + PATH_LIFETIME_MS + SKEW_MS] {
            assert!(matches!(outcome(expires_ms), Err(ViewError::Refused(_))), "{expires_ms}");
        }
    }

    #[test]
    fn a_token_fits_only_the_way_it_was_made_for() {
        let (asset, other) = (AssetId([1; 16]), AssetId([2; 16]));
        let who = ActorKind::ApiKey(cluster::id::ApiKeyId([3; 16]));
        let claims = |carrier| ViewClaims {
            view: ViewId::ZERO,
            asset,
            subject: ViewSubject { who, view_epoch: 0 },
            started_ms: 0,
            expires_ms: 1,
            carrier,
        };
        let here = Some(ip("10.0.0.1"));
        let in_cookie = |asset, caller| Presented::InCookie { asset, caller };
        let in_path = |address| Presented::InPath { address };
        let cookie = claims(Carrier::Cookie);
        assert!(fits(&cookie, in_cookie(asset, who)));
        assert!(!fits(&cookie, in_cookie(other, who)));
        assert!(!fits(&cookie, in_cookie(asset, ActorKind::Anonymous)));
        assert!(!fits(&cookie, in_path(here)));
        let bound = claims(Carrier::Path { address: here });
        assert!(fits(&bound, in_path(here)));
        assert!(!fits(&bound, in_path(Some(ip("10.0.0.2")))));
        assert!(!fits(&bound, in_path(None)));
        assert!(!fits(&bound, in_cookie(asset, who)));
        assert!(fits(&claims(Carrier::Path { address: None }), in_path(Some(ip("10.0.0.2")))));
    }
}
