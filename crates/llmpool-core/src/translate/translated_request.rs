//! The result of translating a request.

use std::fmt;

/// A request in the other format, with the fields that could not be kept.
#[derive(Clone, PartialEq)]
pub struct TranslatedRequest<T> {
    /// The request in the other format.
    pub request: T,
    /// Paths of fields that were left out or changed without making the response wrong, such as `seed` or `messages[0].name`.
    pub dropped: Vec<String>,
}

impl<T: fmt::Debug> fmt::Debug for TranslatedRequest<T> {
    /// Shows only the number of dropped paths, because paths can contain user-defined names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranslatedRequest")
            .field("request", &self.request)
            .field("dropped", &self.dropped.len())
            .finish()
    }
}
