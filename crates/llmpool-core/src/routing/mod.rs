//! Decides what a call does after a failed attempt, how long the call backs off, and how many retries a target receives.

pub mod attempts;
pub mod budget;
pub mod retry;
