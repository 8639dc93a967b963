//! The demand of an attempt: what the attempt takes from the limits.

/// The number of requests and tokens that one attempt takes from the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    /// Number of requests: 1 for a call to a model. Can be larger if the library is used as a plain token
    /// bucket.
    pub requests: u32,
    /// Estimated number of model tokens of the prompt and the answer together. 0 if no limit counts tokens.
    pub tokens: u32,
}

impl Demand {
    /// One request and no tokens: the demand of a call for which no limit counts tokens.
    pub const ONE: Self = Self {
        requests: 1,
        tokens: 0,
    };
}
