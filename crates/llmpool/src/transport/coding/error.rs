//! Why a body cannot be decoded, in words.

use llmpool_core::failure::{Failure, FailureKind};

use super::supported::Coding;

/// Maximum length of the name of a coding in the detail of a failure. A longer name is not shown.
const MAX_NAME: usize = 16;

/// Why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transport) enum CodingError {
    /// The head names one coding, which is not supported.
    Unsupported(String),
    /// The head names several codings.
    Several(Vec<String>),
    /// The feature `codings` is off.
    #[cfg_attr(feature = "codings", expect(dead_code, reason = "only without the feature"))]
    NotCompiled(Coding),
    #[cfg_attr(not(feature = "codings"), expect(dead_code, reason = "only with the feature"))]
    Decoding(Coding, DecodingError),
}

/// Why the bytes of a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "codings"), expect(dead_code, reason = "only with the feature"))]
pub(in crate::transport) enum DecodingError {
    Corrupt,
    /// The body ended before its coding did.
    CutOff,
    /// The decoded body is too large for the encoded one.
    Expands,
    /// The decoder would need too much memory.
    Window,
}

impl CodingError {
    /// Returns the failure of the answer. Except for a body that is cut off, the same request would most likely be
    /// answered in the same way.
    pub(in crate::transport) fn failure(&self) -> Failure {
        let unusable = |detail: String| Failure::new(FailureKind::UnusableAnswer).with_detail(detail);
        match self {
            Self::Unsupported(name) => match shown(name) {
                Some(name) => unusable(format!("content coding {name} is not supported")),
                None => unusable("its content coding is not supported".to_owned()),
            },
            Self::Several(names) => {
                let shown: Option<Vec<&str>> = names.iter().map(|name| shown(name)).collect();
                match shown.as_deref() {
                    Some([first, second]) => unusable(format!("two content codings ({first}, {second})")),
                    None if names.len() == 2 => unusable("two content codings".to_owned()),
                    _ => unusable("several content codings".to_owned()),
                }
            }
            Self::NotCompiled(coding) => {
                let detail = format!(
                    "a {} body needs the feature `codings` of the crate llmpool",
                    coding.name()
                );
                unusable(detail)
            }
            Self::Decoding(coding, error) => {
                let name = coding.name();
                match error {
                    DecodingError::Corrupt => unusable(format!("a {name} body that cannot be decoded")),
                    DecodingError::CutOff => Failure::new(FailureKind::ConnectionLost)
                        .with_detail(format!("a {name} body that is cut off")),
                    DecodingError::Expands => {
                        unusable(format!("a {name} body expands to more than 100 times its size"))
                    }
                    DecodingError::Window => {
                        unusable(format!("a {name} body needs a window of more than 8 MiB"))
                    }
                }
            }
        }
    }
}

/// Returns the name of a coding if it may be shown. Other texts come from the other side, and could be anything.
fn shown(name: &str) -> Option<&str> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    (name.len() <= MAX_NAME && name.bytes().all(is_letter)).then_some(name)
}
