//! Parses the bodies of error responses, whose shape differs between providers.
//!
//! Everything here runs only after a failure. Bodies of success responses are parsed only if they contain a
//! byte sequence that marks an error.

mod body;
mod error;
mod success;
mod times;
mod walk;

use body::BodyContent;

pub(crate) use body::is_failure;
pub use error::ProviderError;
pub use success::find_error_in_success;
pub(crate) use success::{find_error_in_event, is_error_object};

impl ProviderError {
    /// Parses the body of an error response, or the data of an error event. If the body contains no JSON, the
    /// whole body becomes the message. Returns `None` if the body is empty.
    pub fn parse(body: &[u8]) -> Option<Self> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let body = body.trim_ascii();
        let body = body.strip_prefix(BOM).unwrap_or(body).trim_ascii();
        if body.is_empty() {
            return None;
        }
        Some(match body::read(body) {
            BodyContent::Json(value) => walk::read(&value),
            BodyContent::Page(title) => Self::with_message(match title {
                Some(title) => format!("HTML page: {title}"),
                None => "HTML page".to_owned(),
            }),
            BodyContent::Text(text) => {
                let found = body::json_in_text(&text)
                    .map(|value| walk::read(&value))
                    .find(|error| !error.is_empty());
                found.unwrap_or_else(|| Self::from_text(text))
            }
        })
    }

    /// Returns an error whose message is the whole text. The text is not shortened, because secrets in the text
    /// are masked later, and only complete secrets are recognized.
    fn from_text(text: String) -> Self {
        let mut error = Self::with_message(text);
        error.read_times_of_message();
        error
    }

    fn with_message(message: String) -> Self {
        Self {
            message: Some(message),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
