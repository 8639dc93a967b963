//! A translated request, with the fields that the translation dropped.

use std::fmt;

/// A request in the other API format, with the paths of the fields that the translation did not keep.
#[derive(Clone, PartialEq)]
pub struct TranslatedRequest<T> {
    /// The request in the other API format.
    pub request: T,
    /// Paths in the original request of fields that were left out or changed, such as `seed` or `messages[0].name`. The response is correct
    /// without these fields.
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
