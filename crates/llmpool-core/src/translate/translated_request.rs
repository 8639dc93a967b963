//! The result of translating a request, with the fields that the translation dropped.

use std::fmt;

/// A request translated to the other API format, with a list of the fields that the translation did not keep.
#[derive(Clone, PartialEq)]
pub struct TranslatedRequest<T> {
    /// The request in the other API format.
    pub request: T,
    /// Paths of the fields of the original request that were left out or changed, such as `seed` or
    /// `messages[0].name`. Some paths are followed by a detail, as in
    /// `max_tokens: raised to 16, the minimum`. The answer is correct without these fields.
    pub dropped: Vec<String>,
}

impl<T: fmt::Debug> fmt::Debug for TranslatedRequest<T> {
    /// Shows only the number of dropped fields, because their paths can contain names that the user chose.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranslatedRequest")
            .field("request", &self.request)
            .field("dropped", &self.dropped.len())
            .finish()
    }
}
