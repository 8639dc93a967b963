//! What one attempt takes from the limits.

/// Requests and tokens that one attempt takes from the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Requests; 1 for a call.
    pub requests: u32,
    /// Estimated model tokens of prompt and answer together; 0 where no limit counts tokens.
    pub tokens: u32,
}

impl Demand {
    /// One request whose tokens are not counted.
    pub const ONE: Self = Self {
        requests: 1,
        tokens: 0,
    };
}
