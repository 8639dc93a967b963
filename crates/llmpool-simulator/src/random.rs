//! Reproducible pseudo-random numbers (splitmix64). The generator is implemented in this crate, so that the
//! same scenario and seed produce the same failures on every machine and with every version of the
//! dependencies.

/// A splitmix64 generator. Not suitable for secrets.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// Creates the generator for the random stream with the number `stream`. The streams of one seed are
    /// statistically independent.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut start = Self(stream);
        Self(seed ^ start.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number that is uniformly distributed in [-1, 1).
    pub(crate) fn signed_unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Returns `true` with the given probability, and always for a probability of 1.0 or more.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // An `f64` represents every 53-bit integer exactly, so `roll` is uniformly distributed in [0, 1).
        let roll = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        roll < probability
    }
}

/// Returns the 64-bit FNV-1a hash of `bytes`. The hash is not collision resistant.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_the_reference_implementation() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn hashes_match_the_reference_values() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn chance_matches_its_probability() {
        let mut random = SplitMix64::new(1, 0);
        let hits = (0..10_000).filter(|_| random.chance(0.2)).count();
        assert!((1_850..2_150).contains(&hits), "{hits} of 10000");
        assert!((0..100).all(|_| random.chance(1.0)));
        assert!(!(0..100).any(|_| random.chance(0.0)));
    }
}
