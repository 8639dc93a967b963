//! What the lock-and-wake shell is made of, in one place: `tests/loom.rs` puts its own in here.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
