//! When a call must have ended.

use llmpool_core::time::Timestamp;

use crate::options::Timeouts;

/// The timeouts of a call, and the time at which the call must have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadlines {
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline: Timestamp,
}
