//! Decides what a call does after a failed attempt, how long it backs off, and how many retries all calls to
//! one target may spend together.

pub mod attempts;
pub mod budget;
pub mod retry;
