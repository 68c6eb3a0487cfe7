//! Slows guessing down, per account and address. An address that logged in to the account before keeps working while
//! others are held off, so that nobody can lock somebody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Free tries before waiting begins.
const FREE: u32 = 5;
/// Failures of one account over all unknown addresses before they all wait (NIST: at most 100 in a row).
const ACCOUNT_FREE: u32 = 30;
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// A count is forgotten this long after its last failure.
const FORGET: Duration = Duration::from_secs(60 * 60);
/// A device counts as known this long after its last log-in.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Remembered entries of each kind; the longest untouched goes first.
const REMEMBERED: usize = 20_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait(self, free: u32, now: Instant) -> Option<Duration> {
        let over = self.count.checked_sub(free)?;
        let wait = Duration::from_secs(1u64 << over.min(20)).min(LONGEST_WAIT);
        (self.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

type Pair = (String, Network);

/// One client network: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network([u8; 8]);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let mut bytes = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(four) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&four.octets());
            }
            IpAddr::V6(six) => bytes.copy_from_slice(&six.octets()[..8]),
        }
        Self(bytes)
    }
}

#[derive(Debug, Default)]
struct Memory {
    pairs: HashMap<Pair, Failures>,
    accounts: HashMap<String, Failures>,
    networks: HashMap<Network, Failures>,
    known: HashMap<Pair, Instant>,
}

/// The memory of failed attempts on this node.
#[derive(Debug, Default)]
pub struct Throttle {
    memory: Mutex<Memory>,
}

impl Throttle {
    /// Must the next try of `account` from `address` wait? Gives the time left.
    pub fn wait(&self, account: &str, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let pair = pair(account, address);
        let Ok(memory) = self.memory.lock() else { return Some(LONGEST_WAIT) };
        let known = memory.known.get(&pair).is_some_and(|seen| now.duration_since(*seen) < KNOWN_FOR);
        let own = memory.pairs.get(&pair).and_then(|failures| failures.wait(FREE, now));
        let account = memory.accounts.get(&pair.0).and_then(|failures| failures.wait(ACCOUNT_FREE, now));
        let network = memory.networks.get(&pair.1).and_then(|failures| failures.wait(ACCOUNT_FREE, now));
        if known { own } else { own.max(account).max(network) }
    }

    /// Notes a failure; gives how many this account and address had in a row.
    pub fn failed(&self, account: &str, address: Option<IpAddr>, now: Instant) -> u32 {
        let pair = pair(account, address);
        let Ok(mut memory) = self.memory.lock() else { return u32::MAX };
        let known = memory.known.contains_key(&pair);
        let count = note(&mut memory.pairs, pair.clone(), now);
        if !known {
            note(&mut memory.accounts, pair.0, now);
            note(&mut memory.networks, pair.1, now);
        }
        count
    }

    /// Notes a success: the count of this pair ends, and the address is known from now on.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>, now: Instant) {
        let pair = pair(account, address);
        let Ok(mut memory) = self.memory.lock() else { return };
        memory.pairs.remove(&pair);
        make_room(&mut memory.known, |seen| *seen);
        memory.known.insert(pair, now);
    }
}

fn pair(account: &str, address: Option<IpAddr>) -> Pair {
    let account: String = account.to_lowercase().chars().take(128).collect();
    (account, address.unwrap_or(IpAddr::from([0, 0, 0, 0])).into())
}

fn note<K: std::hash::Hash + Eq + Clone>(counts: &mut HashMap<K, Failures>, key: K, now: Instant) -> u32 {
    make_room(counts, |failures| failures.last);
    let failures = counts.entry(key).or_insert(Failures { count: 0, last: now });
    if now.duration_since(failures.last) > FORGET {
        failures.count = 0;
    }
    *failures = Failures { count: failures.count.saturating_add(1), last: now };
    failures.count
}

/// Drops the older half when full: cheap on average, and a flood of names cannot grow memory.
fn make_room<K: std::hash::Hash + Eq + Clone, V>(map: &mut HashMap<K, V>, touched: impl Fn(&V) -> Instant) {
    if map.len() < REMEMBERED {
        return;
    }
    let mut times: Vec<Instant> = map.values().map(&touched).collect();
    times.sort_unstable();
    let middle = times[times.len() / 2];
    map.retain(|_, value| touched(value) > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 1]))
    }

    fn elsewhere(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([198, 51, 100, number]))
    }

    #[test]
    fn the_first_tries_are_free_then_each_failure_doubles_the_wait() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(throttle.wait("anna", home(), now), None);
            throttle.failed("anna", home(), now);
        }
        assert_eq!(throttle.wait("anna", home(), now), Some(Duration::from_secs(1)));
        throttle.failed("anna", home(), now);
        assert_eq!(throttle.wait("Anna", home(), now), Some(Duration::from_secs(2)));
        assert_eq!(throttle.wait("anna", home(), now + Duration::from_secs(2)), None);
    }

    #[test]
    fn a_known_address_keeps_working_while_strangers_are_held_off() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.succeeded("anna", home(), now);
        for number in 0..40 {
            throttle.failed("anna", elsewhere(number), now);
        }
        assert!(throttle.wait("anna", elsewhere(99), now).is_some());
        assert_eq!(throttle.wait("anna", home(), now), None);
    }

    #[test]
    fn one_network_that_tries_many_accounts_is_held_off() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..ACCOUNT_FREE {
            throttle.failed(&format!("user{number}"), home(), now);
        }
        assert!(throttle.wait("somebody", home(), now).is_some());
        assert_eq!(throttle.wait("somebody", elsewhere(1), now), None);
    }

    #[test]
    fn a_flood_of_names_does_not_grow_memory() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..(REMEMBERED * 2) {
            throttle.failed(&number.to_string(), home(), now + Duration::from_millis(number as u64));
        }
        let memory = throttle.memory.lock().unwrap();
        assert!(memory.pairs.len() <= REMEMBERED && memory.accounts.len() <= REMEMBERED);
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let first: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let second: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        assert_eq!(Network::from(first), Network::from(second));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Network::from(mapped), Network::from(IpAddr::from([192, 0, 2, 1])));
    }
}
