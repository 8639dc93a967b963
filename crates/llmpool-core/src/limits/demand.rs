//! What one attempt takes from the limits.

/// The number of requests and tokens that one attempt takes from the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Number of requests: 1 for a call, possibly more for a bare token bucket.
    pub requests: u32,
    /// Estimated model tokens of the prompt and the answer together. 0 if no limit counts tokens.
    pub tokens: u32,
}

impl Demand {
    /// The demand of one request where no limit counts tokens.
    pub const ONE: Self = Self {
        requests: 1,
        tokens: 0,
    };
}
