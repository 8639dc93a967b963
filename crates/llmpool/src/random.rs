//! Random seeds, derived from one random seed per process and a counter.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Returns the random seed of this process, which is the same on each call.
pub(crate) fn process_seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    // The standard library seeds its hash maps from the operating system's random source.
    *SEED.get_or_init(|| RandomState::new().hash_one(std::process::id()))
}

/// Returns a different seed on each call.
pub(crate) fn fresh_seed() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    process_seed() ^ mixed(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns a hash of `number` (splitmix64): similar numbers give very different results. Different numbers
/// never give the same result.
pub(crate) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
