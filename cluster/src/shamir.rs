//! Shamir's secret sharing over GF(2^8): any `k` of `n` shares give the secret back, fewer give nothing at all.
//!
//! The field is the one of AES (x^8 + x^4 + x^3 + x + 1). Multiplication takes no table and no branch on secret bytes.
//! Every coefficient, the highest too, is drawn uniformly from all 256 values: leaving zero out would give away a
//! little about the secret to `k - 1` holders.

use zeroize::Zeroizing;

use crate::keyring::{KeyError, fill_random};

/// Bytes of the shared secret.
pub const SECRET_LENGTH: usize = 32;

/// One point of the polynomials: `x` is never 0, where the secret is.
#[derive(Clone)]
pub struct Point {
    /// Which share.
    pub x: u8,
    /// The value of each byte's polynomial there.
    pub y: Zeroizing<[u8; SECRET_LENGTH]>,
}

impl std::fmt::Debug for Point {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Point(x {}, redacted)", self.x)
    }
}

/// Splits `secret` into `count` points of which any `threshold` give it back.
///
/// # Errors
/// [`KeyError::NoRandomness`]; [`KeyError::Derivation`] unless `1 <= threshold <= count`.
pub fn split(secret: &[u8; SECRET_LENGTH], threshold: u8, count: u8) -> Result<Vec<Point>, KeyError> {
    if threshold == 0 || threshold > count {
        return Err(KeyError::Derivation);
    }
    let mut coefficients = Zeroizing::new(vec![0; SECRET_LENGTH * usize::from(threshold - 1)]);
    fill_random(&mut coefficients)?;
    let point = |x: u8| {
        let mut y = Zeroizing::new([0; SECRET_LENGTH]);
        for (at, value) in y.iter_mut().enumerate() {
            // Horner's rule, from the highest coefficient down to the secret byte.
            let higher = coefficients.chunks_exact(SECRET_LENGTH).rev();
            *value = multiply(higher.fold(0, |sum, row| multiply(sum, x) ^ row[at]), x) ^ secret[at];
        }
        Point { x, y }
    };
    Ok((1..=count).map(point).collect())
}

/// Gives the secret of any `threshold` points by Lagrange's formula at zero.
///
/// Points that do not belong together, or too few of them, give a *wrong* secret, not an error: the caller checks the
/// result (a recovery key is checked against its fingerprint).
///
/// # Errors
/// [`KeyError::Derivation`] when there is no point, a point at zero, or the same point twice.
pub fn combine(points: &[Point]) -> Result<Zeroizing<[u8; SECRET_LENGTH]>, KeyError> {
    let repeated =
        points.iter().enumerate().any(|(at, point)| points[..at].iter().any(|other| other.x == point.x));
    if points.is_empty() || repeated || points.iter().any(|point| point.x == 0) {
        return Err(KeyError::Derivation);
    }
    let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
    for point in points {
        let mut weight = 1;
        for other in points.iter().filter(|other| other.x != point.x) {
            weight = multiply(weight, multiply(other.x, invert(other.x ^ point.x)));
        }
        for (sum, y) in secret.iter_mut().zip(point.y.iter()) {
            *sum ^= multiply(*y, weight);
        }
    }
    Ok(secret)
}

/// Product in GF(2^8), in constant time.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    for _ in 0..8 {
        product ^= a & 0u8.wrapping_sub(b & 1);
        let carry = 0u8.wrapping_sub(a >> 7);
        a = (a << 1) ^ (carry & 0x1B);
        b >>= 1;
    }
    product
}

/// The inverse in GF(2^8): a^254. Zero has none and gives zero.
fn invert(a: u8) -> u8 {
    let mut result = 1;
    let mut square = a;
    for bit in 0..8 {
        if 254 >> bit & 1 == 1 {
            result = multiply(result, square);
        }
        square = multiply(square, square);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_the_one_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xC1, "the worked example of FIPS 197");
        assert_eq!(multiply(0x57, 0x13), 0xFE, "the worked example of FIPS 197");
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1);
        }
    }

    #[test]
    fn any_threshold_of_the_shares_gives_the_secret() {
        let secret = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        let points = split(&secret, 3, 5).unwrap();
        for a in 0..5 {
            for b in a + 1..5 {
                assert_ne!(*combine(&[points[a].clone(), points[b].clone()]).unwrap(), secret);
                for c in b + 1..5 {
                    let chosen = [points[c].clone(), points[a].clone(), points[b].clone()];
                    assert_eq!(*combine(&chosen).unwrap(), secret);
                }
            }
        }
        assert_eq!(*combine(&points).unwrap(), secret, "more than the threshold do as well");
    }

    /// With one share short, every secret is equally possible: for each value there is a last share that gives it.
    #[test]
    fn one_share_short_says_nothing() {
        let points = split(&[42; SECRET_LENGTH], 2, 2).unwrap();
        let mut possible = std::collections::HashSet::new();
        for guess in 0..=255 {
            let guessed = Point { x: 2, y: Zeroizing::new([guess; SECRET_LENGTH]) };
            possible.insert(combine(&[points[0].clone(), guessed]).unwrap()[0]);
        }
        assert_eq!(possible.len(), 256);
    }

    /// The highest coefficient must be able to be zero; a generator that leaves it out shows in the share values: with
    /// two shares `y(1) - secret` is that coefficient itself.
    #[test]
    fn coefficients_cover_the_whole_field() {
        let mut seen = [false; 256];
        for _ in 0..200 {
            for value in split(&[0; SECRET_LENGTH], 2, 2).unwrap()[0].y.iter() {
                seen[usize::from(*value)] = true;
            }
        }
        assert!(seen.iter().all(|seen| *seen), "6,400 draws miss one of 256 values with chance 1e-9");
    }

    #[test]
    fn senseless_requests_are_refused() {
        let secret = [1; SECRET_LENGTH];
        assert!(split(&secret, 0, 3).is_err());
        assert!(split(&secret, 4, 3).is_err());
        let points = split(&secret, 2, 3).unwrap();
        assert!(combine(&[]).is_err());
        assert!(combine(&[points[0].clone(), points[0].clone()]).is_err());
        assert!(combine(&[Point { x: 0, y: Zeroizing::new(secret) }]).is_err());
    }
}
