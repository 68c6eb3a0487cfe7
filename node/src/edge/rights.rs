//! Whom the cluster has let watch here, as far as nothing has changed since. In memory only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::actor::ActorKind;
use cluster::id::AssetId;

use super::ask::{Admission, Touched, ViewRight};

/// Views that are remembered; of more, those not used for longest are asked about anew.
const MOST: usize = 50_000;

/// A View that was let watch.
#[derive(Debug, Clone)]
pub struct Known {
    /// What the cluster said.
    pub admission: Arc<Admission>,
    /// Something has changed since: it must be asked again.
    pub stale: bool,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    right: ViewRight,
    used: u64,
}

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    views: HashMap<[u8; 32], Entry>,
    uses: u64,
    /// How often anything has changed: an answer to a question from before does not count as fresh.
    changes: u64,
}

fn name(right: &ViewRight) -> [u8; 32] {
    cluster::authority::fingerprint(right.token.as_bytes())
}

impl Rights {
    /// What is known of a View. Whether it fits the viewer is for the caller to check.
    #[must_use]
    pub fn get(&self, right: &ViewRight) -> Option<Known> {
        let mut inner = self.lock();
        inner.uses += 1;
        let now = inner.uses;
        let entry = inner.views.get_mut(&name(right))?;
        entry.used = now;
        Some(entry.known.clone())
    }

    /// To be taken before the cluster is asked, and given to [`Rights::put`].
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The cluster was asked when there had been `changes`, and let it watch.
    pub fn put(&self, right: &ViewRight, admission: Arc<Admission>, changes: u64) {
        let mut inner = self.lock();
        if inner.views.len() >= MOST {
            let mut uses: Vec<u64> = inner.views.values().map(|entry| entry.used).collect();
            let (_, middle, _) = uses.select_nth_unstable(MOST / 8);
            let oldest = *middle;
            inner.views.retain(|_, entry| entry.used > oldest);
        }
        inner.uses += 1;
        let known = Known { admission, stale: inner.changes != changes };
        let entry = Entry { known, right: right.clone(), used: inner.uses };
        inner.views.insert(name(right), entry);
    }

    /// The cluster does not let it watch.
    pub fn remove(&self, right: &ViewRight) {
        self.lock().views.remove(&name(right));
    }

    /// These have changed: Views that hang on them are to be asked about again. Gives those.
    pub fn touch(&self, touched: &[Touched]) -> Vec<ViewRight> {
        let hit = |admission: &Admission| touched.iter().any(|touched| concerns(*touched, admission));
        self.mark(hit)
    }

    /// All of an asset are to be asked about again. Gives them.
    pub fn touch_asset(&self, asset: AssetId) -> Vec<ViewRight> {
        self.mark(|admission| admission.claims.asset == asset)
    }

    /// Everything may have changed. Gives all.
    pub fn touch_all(&self) -> Vec<ViewRight> {
        self.mark(|_| true)
    }

    /// Views that are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().views.len()
    }

    /// Forgets all.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.views.clear();
        inner.changes += 1;
    }

    /// Forgets Views whose tokens are over at `now_ms`.
    pub fn forget_ended(&self, now_ms: u64) {
        self.lock().views.retain(|_, entry| entry.known.admission.claims.expires_ms > now_ms);
    }

    fn mark(&self, hit: impl Fn(&Admission) -> bool) -> Vec<ViewRight> {
        let mut inner = self.lock();
        inner.changes += 1;
        let hit = inner.views.values_mut().filter(|entry| hit(&entry.known.admission));
        hit.map(|entry| {
            entry.known.stale = true;
            entry.right.clone()
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn concerns(touched: Touched, admission: &Admission) -> bool {
    let who = admission.claims.subject.who;
    match touched {
        Touched::Asset(asset) => admission.claims.asset == asset,
        Touched::Application(application) => admission.application == application,
        Touched::User(id) => matches!(who, ActorKind::User { user, .. } if user == id),
        Touched::Session(id) => matches!(who, ActorKind::User { session, .. } if session == id),
        Touched::ApiKey(id) => who == ActorKind::ApiKey(id),
        Touched::Edges => false,
    }
}

#[cfg(test)]
mod tests {
    use cluster::id::{ApplicationId, SessionId, UserId};
    use cluster::permission::ViewSubject;

    use super::super::ask::Edition;
    use super::*;
    use crate::play::view::{Carrier, ViewClaims};

    fn right(token: &str) -> ViewRight {
        ViewRight { token: token.to_owned(), address: None }
    }

    fn admission(asset: u8, session: u8) -> Arc<Admission> {
        let who = ActorKind::User { user: UserId([session; 16]), session: SessionId([session; 16]) };
        let claims = ViewClaims {
            view: cluster::id::ViewId::ZERO,
            asset: AssetId([asset; 16]),
            subject: ViewSubject { who, view_epoch: 0 },
            started_ms: 0,
            expires_ms: 1_000,
            carrier: Carrier::Path { address: None },
        };
        let (application, edition) = (ApplicationId([7; 16]), Edition::default());
        Arc::new(Admission { claims, application, grace_ms: 0, until_ms: 1_000, index: 1, edition })
    }

    #[test]
    fn a_change_makes_only_those_stale_that_hang_on_it() {
        let rights = Rights::default();
        let now = rights.changes();
        for (token, asset, session) in [("a", 1, 1), ("b", 1, 2), ("c", 2, 1)] {
            rights.put(&right(token), admission(asset, session), now);
        }
        let stale = |token| rights.get(&right(token)).unwrap().stale;
        assert_eq!(rights.touch(&[Touched::Session(SessionId([2; 16]))]), [right("b")]);
        assert!(!stale("a") && stale("b") && !stale("c"));
        assert_eq!(rights.touch_asset(AssetId([2; 16])), [right("c")]);
        assert!(!stale("a") && stale("c"));
        assert_eq!(rights.touch(&[Touched::Application(ApplicationId([7; 16]))]).len(), 3);
        assert!(rights.get(&right("d")).is_none());
        rights.forget_ended(1_000);
        assert_eq!(rights.count(), 0);
    }

    #[test]
    fn an_answer_from_before_a_change_is_stale_at_once() {
        let rights = Rights::default();
        let asked = rights.changes();
        rights.touch(&[Touched::Edges]);
        rights.put(&right("a"), admission(1, 1), asked);
        assert!(rights.get(&right("a")).unwrap().stale);
        rights.put(&right("a"), admission(1, 1), rights.changes());
        assert!(!rights.get(&right("a")).unwrap().stale);
    }

    #[test]
    fn the_number_of_views_is_bounded() {
        let rights = Rights::default();
        let (one, now) = (admission(1, 1), rights.changes());
        for number in 0..MOST + 10 {
            rights.put(&right(&number.to_string()), one.clone(), now);
        }
        assert!(rights.count() <= MOST);
        assert!(rights.get(&right(&(MOST + 9).to_string())).is_some());
    }
}
