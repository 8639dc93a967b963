//! A handle to a target: the target, and the observers of the calls that are made through the handle.

use std::sync::Arc;

use crate::observer::Observers;
use crate::target::Target;

/// A target, and the observers of the calls through this handle.
#[derive(Clone)]
pub(crate) struct TargetHandle {
    pub(crate) target: Arc<Target>,
    pub(crate) observers: Observers,
}
