//! To what a rate limit of the provider applies.

/// To what a rate limit that the provider enforces on an account applies. Pauses and learned paces have the same
/// scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitScope {
    /// Each model has a limit of its own.
    #[default]
    Model,
    /// All models of the account share one limit.
    Key,
}

impl LimitScope {
    /// Returns the name of the scope in a provider file: `model` or `key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Key => "key",
        }
    }
}
