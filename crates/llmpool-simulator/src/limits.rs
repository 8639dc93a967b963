//! The limits that a provider enforces: requests and tokens per window, concurrency, and a quota.
//!
//! This module reads no clock. Every time is an argument, counted from an origin that the caller chooses, so a list of
//! request times can be checked against limits without running a provider:
//!
//! ```
//! use std::num::NonZeroU32;
//! use std::time::Duration;
//! use llmpool_simulator::{ProviderLimits, WindowKind};
//!
//! let limits = ProviderLimits {
//!     requests: NonZeroU32::new(2),
//!     window: WindowKind::Sliding,
//!     ..ProviderLimits::default()
//! };
//! let at = [0, 30, 59, 60].map(Duration::from_secs);
//! let denied: Vec<usize> = limits.denials(at).into_iter().map(|(index, _)| index).collect();
//! assert_eq!(denied, [2]);
//! ```
//!
//! Invariant: if a limit denies a request at time `t` with the wait `w`, and no other request arrives in the
//! meantime, the limit denies the same request until `t + w` and lets the request pass at `t + w`.

mod config;
mod limiter;
mod window;

pub use config::{ProviderLimitKind, ProviderLimits, RequestQuota};
pub use limiter::{LimitExceeded, ProviderLimiter, TimedRequest, WindowStatus};
pub(crate) use window::LimitWindow;
pub use window::WindowKind;
