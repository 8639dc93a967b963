//! The synchronisation primitives that `SharedAdmission` uses. The test `tests/loom.rs` replaces this module
//! by one with the primitives of loom.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
