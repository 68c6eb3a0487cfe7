//! Good input, damaged at random for a bounded time and fed to parsers. A round that fails names its target and its seed;
//! `MEDIAKEEP_MUTATION_SEED` starts there again. `./just test-long` goes on for minutes (`MEDIAKEEP_MUTATION_SECONDS`).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at once, and say how far it came"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The fuzz target, what kind of input for it, a good one, and who reads it.
pub type Target<'a> = (&'a str, &'a str, Vec<u8>, &'a dyn Fn(&[u8]));

/// Random numbers that are the same for the same seed (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Flips, numbers at their limits, cuts, repeated and removed runs: one to eight of them.
fn damaged(good: &[u8], noise: &mut Noise) -> Vec<u8> {
    const LIMITS: [u32; 6] = [0, 1, 7, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    let mut bytes = good.to_vec();
    for _ in 0..=noise.below(8) {
        let at = noise.below(bytes.len());
        let end = (at + 1 + noise.below(40)).min(bytes.len());
        match noise.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << noise.below(8),
            1 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&LIMITS[noise.below(LIMITS.len())].to_be_bytes());
            }
            2 => bytes.truncate(at.max(8)),
            3 if at < end => drop(bytes.drain(at..end)),
            4 if at < end => {
                let run = bytes[at..end].to_vec();
                bytes.splice(at..at, run);
            }
            _ if !bytes.is_empty() => bytes[at] = u8::try_from(noise.below(256)).unwrap(),
            _ => {}
        }
    }
    bytes
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect(variable))
}

/// Feeds every target with damaged input for some seconds.
pub fn survive(targets: &[Target<'_>]) {
    let first = number_from("MEDIAKEEP_MUTATION_SEED", 1);
    let end = Instant::now() + Duration::from_secs(number_from("MEDIAKEEP_MUTATION_SECONDS", 5));
    for (fuzzed, name, good, target) in targets {
        let survived = catch_unwind(AssertUnwindSafe(|| target(good)));
        assert!(survived.is_ok(), "{name} fell at its own good input");
        // Where the fuzzer starts from.
        if let Some(corpus) = std::env::var_os("MEDIAKEEP_CORPUS") {
            let folder = std::path::Path::new(&corpus).join(fuzzed);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name.replace(' ', "-")), good).unwrap();
        }
    }
    let mut rounds = 0;
    for seed in first.. {
        for (_, name, good, target) in targets {
            let input = damaged(good, &mut Noise(seed));
            let began = Instant::now();
            let survived = catch_unwind(AssertUnwindSafe(|| target(&input)));
            assert!(survived.is_ok(), "{name} fell at seed {seed}");
            assert!(began.elapsed() < Duration::from_secs(5), "{name} took too long at seed {seed}");
        }
        rounds += 1;
        if Instant::now() > end {
            break;
        }
    }
    println!("{rounds} rounds of {} targets from seed {first}", targets.len());
    assert!(rounds > 50, "only {rounds} rounds: something is slow");
}
