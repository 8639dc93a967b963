//! Limits: which attempts may start, with which key, and when.
//!
//! A [`Limiter`] decides whether an attempt may start, and a wait queue per target orders the requests that have
//! to wait. [`Admission`] combines them. All are plain values: locks and timers are added by the `llmpool` crate.
//!
//! Terms: a *target* is one model at one base URL. A *quota group* consists of the keys of one account. A
//! *demand* is what an attempt takes from the limits, and a *grant* is the reservation of that demand. A
//! *cooldown* is a period in which a key, quota group or target is not used. A *probe* is an attempt that
//! tests the key, quota group or target after its cooldown. Every change of health begins a new *epoch*. The
//! response to an attempt that started in an earlier epoch is stale: it says nothing about the current
//! health.

mod account_names;
mod admission;
mod affinity;
mod bucket;
mod changed;
mod charge_id;
mod cooldown;
mod demand;
mod denial;
mod fairness;
mod grant;
mod health;
mod key;
mod key_constraint;
mod key_record;
mod key_set;
mod key_table;
mod limit_scope;
mod limit_set;
mod limiter;
#[allow(clippy::module_inception, reason = "the file of the struct `Limits`")]
mod limits;
mod observed_limits;
mod obstacle;
mod quota_group;
mod rate_limit;
mod ready_index;
mod saved_limits;
mod subject;
mod target;
mod wait_queue;
mod window;

pub use self::account_names::AccountNames;
pub use self::admission::{Admission, AdmissionOutcome, COLLECT_WITHIN, MAX_WAITING, Rejection};
pub use self::affinity::{Affinity, AffinityError, MAX_RECORDED};
pub use self::bucket::Bucket;
pub use self::cooldown::{CooldownReason, RefusalWait};
pub use self::demand::Demand;
pub use self::denial::{Denial, LostKeys, Unsatisfiable, Wait, WaitReason};
pub use self::fairness::Caller;
pub use self::grant::Grant;
pub use self::key::{KeyAvailability, KeyId, KeyLimits};
pub use self::key_constraint::KeyConstraint;
pub use self::limit_scope::LimitScope;
pub use self::limiter::{Limiter, ProvisionalCooldown};
pub use self::limits::{LimitKind, Limits};
pub use self::quota_group::QuotaGroupId;
pub use self::rate_limit::{RateLimit, RateLimitError};
pub use self::saved_limits::{LearnedPace, SavedCharge, SavedCooldown, SavedLimits, SavedScope, SavedState};
pub use self::target::{TargetId, TargetLimits};
pub use self::wait_queue::{AcquireRequest, Ticket};
