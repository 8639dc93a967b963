//! The synchronisation primitives of the shared admission. `tests/loom.rs` replaces this module with loom's.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
