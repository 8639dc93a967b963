//! What to do next about one call.

pub mod attempts;
pub mod budget;
pub mod retry;
