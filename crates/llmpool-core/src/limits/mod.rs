//! What may be used, by whom, and when again.
//!
//! A [`limiter::Limiter`] decides; a [`wait_queue::WaitQueue`] says whose turn it is to ask. Both are plain values: the shell puts one
//! lock around them and adds wakers.

pub mod admission;
pub mod affinity;
pub mod bucket;
mod demand;
pub mod fairness;
mod health;
pub mod key;
mod key_heap;
mod key_set;
mod key_table;
pub mod limit_set;
pub mod limiter;
#[allow(clippy::module_inception, reason = "the file of the struct `Limits`")]
mod limits;
mod model_denials;
pub mod observed_limits;
pub mod rate_limit;
pub mod shared_quota;
pub mod wait_queue;
pub mod window;

pub use self::demand::Demand;
pub use self::limits::{LimitKind, Limits};
