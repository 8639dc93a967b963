//! Waiting for permits. Core's admission decides which request gets a permit. This module adds a lock, wakers
//! and a timer.

mod acquire;
mod driver;
mod drivers;
mod key_changes;
mod permit;
mod shared_admission;

pub(crate) use key_changes::{KeyChange, KeyWatcher, Reach};
pub(crate) use llmpool_core::limits::{MAX_WAITING, Rejection};
pub(crate) use permit::Permit;
pub(crate) use shared_admission::SharedAdmission;
