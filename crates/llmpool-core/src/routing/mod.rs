//! Decides what a call does next, how long it backs off, and how many retries a target gets.

pub mod attempts;
pub mod budget;
pub mod retry;
