//! One interface over every OpenAI-compatible provider.

mod clock;
mod limits;
pub mod transport;
