//! Who stands at the door between nodes and has not said yet who they are. Strangers who say nothing must not keep nodes out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// So many are greeted at once. A node is through within a few round trips.
pub(super) const GREETING: usize = 128;

/// Those who are being greeted. When there are too many, somebody goes: of the machine that most of them come from, whoever
/// came first. So a machine that sends many pushes out its own.
#[derive(Debug, Default)]
pub(super) struct Threshold(Mutex<Guests>);

#[derive(Debug, Default)]
struct Guests {
    came: u64,
    inside: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// One that is being greeted; dropped when it has said who it is.
#[derive(Debug)]
pub(super) struct Guest {
    number: u64,
    sent_away: CancellationToken,
    threshold: Arc<Threshold>,
}

impl Threshold {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody comes from there.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Guest {
        let mut guests = self.guests();
        if guests.inside.len() >= GREETING {
            guests.send_one_away();
        }
        guests.came += 1;
        let (number, sent_away) = (guests.came, CancellationToken::new());
        guests.inside.insert(number, (machine(from), sent_away.clone()));
        drop(guests);
        Guest { number, sent_away, threshold: self.clone() }
    }
}

impl Guests {
    fn send_one_away(&mut self) {
        let mut of_each: HashMap<IpAddr, usize> = HashMap::new();
        for (from, _) in self.inside.values() {
            *of_each.entry(*from).or_default() += 1;
        }
        let most = of_each.into_iter().max_by_key(|(_, count)| *count).map(|(from, _)| from);
        let first = self.inside.iter().find(|(_, (from, _))| Some(*from) == most).map(|(number, _)| *number);
        if let Some((_, sent_away)) = first.and_then(|number| self.inside.remove(&number)) {
            sent_away.cancel();
        }
    }
}

/// A machine has a whole network of 64 bits in the newer protocol.
fn machine(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    }
}

impl Guest {
    /// Waits until it must go.
    pub(super) fn is_sent_away(&self) -> WaitForCancellationFuture<'_> {
        self.sent_away.cancelled()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.threshold.guests().inside.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_sends_many_pushes_out_its_own_and_nobody_else() {
        let threshold = Arc::new(Threshold::default());
        let node = threshold.enter(at("192.0.2.1"));
        let crowd: Vec<Guest> = (0..3 * GREETING).map(|_| threshold.enter(at("198.51.100.7"))).collect();
        assert!(!node.sent_away.is_cancelled(), "it came first, and alone");
        let gone = crowd.iter().filter(|guest| guest.sent_away.is_cancelled()).count();
        assert_eq!(gone, crowd.len() - (GREETING - 1));
        assert!(crowd.iter().take(gone).all(|guest| guest.sent_away.is_cancelled()), "those who came first");
        drop(crowd);
        drop(node);
        assert_eq!(threshold.guests().inside.len(), 0);
    }

    #[test]
    fn one_machine_is_one_in_either_protocol() {
        assert_eq!(machine(at("2001:db8::1:2:3")), machine(at("2001:db8::4")));
        assert_ne!(machine(at("2001:db8:0:1::1")), machine(at("2001:db8::1")));
        assert_eq!(machine(at("::ffff:192.0.2.1")), at("192.0.2.1"));
    }
}
