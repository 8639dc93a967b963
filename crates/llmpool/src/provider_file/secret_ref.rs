//! References to secrets that are stored outside of the provider file.

use crate::secrets::Secret;

/// A function that returns the value of an environment variable, or `None` if the variable is not set. Usually a wrapper of
/// [`std::env::var`].
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The place from which a secret is read.
pub(super) enum SecretRef {
    /// The name of an environment variable.
    Variable(String),
    /// The path of a file.
    File(String),
    /// A mistake: text that begins with `${` but does not end with `}`.
    Unclosed,
    /// The secret itself, written in the provider file.
    Literal(Secret),
}

/// The reason why a reference cannot be resolved, and how to fix the reference.
pub(super) struct UnresolvedRef {
    pub(super) message: String,
    pub(super) help: String,
}

impl UnresolvedRef {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}

impl SecretRef {
    /// Parses `${NAME}` and `env:NAME` as environment variables, `file:PATH` as a file, and all other text as the secret itself.
    pub(super) fn parse(text: &str) -> Self {
        let braced = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match (
            braced.or_else(|| text.strip_prefix("env:")),
            text.strip_prefix("file:"),
        ) {
            (Some(name), _) => Self::Variable(name.to_owned()),
            (_, Some(path)) => Self::File(path.to_owned()),
            _ if text.starts_with("${") => Self::Unclosed,
            _ => Self::Literal(Secret::from(text)),
        }
    }

    /// Reads the secret from its place. Removes whitespace at both ends of the value of a variable or the content of a file.
    pub(super) fn resolve(&self, env: Environment<'_>) -> Result<Secret, UnresolvedRef> {
        let text = match self {
            Self::Literal(secret) => return Ok(secret.clone()),
            Self::Unclosed => return Err(UnresolvedRef::new("unclosed reference", "write it as ${NAME}")),
            Self::Variable(name) if name.is_empty() => {
                let message = "the reference has no variable name";
                return Err(UnresolvedRef::new(message, "write it as ${NAME}"));
            }
            Self::Variable(name) => env(name).ok_or_else(|| {
                let message = format!("environment variable {name} is not set");
                UnresolvedRef::new(message, format!("set it, as in export {name}=…"))
            })?,
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot read file {path}: {error}");
                UnresolvedRef::new(message, "check the path and the file's permissions")
            })?,
        };
        match text.trim() {
            "" => Err(UnresolvedRef::new(
                "the referenced variable or file is empty",
                "store the key in it",
            )),
            secret => Ok(Secret::from(secret)),
        }
    }

    /// Returns whether the secret is stored outside of the provider file, in a variable or a file.
    pub(super) fn is_external(&self) -> bool {
        matches!(self, Self::Variable(_) | Self::File(_))
    }

    /// Returns a placeholder for the secret of an unresolved reference. Two placeholders are equal if and only if their references are
    /// equal. Returns `None` if the reference names neither a variable nor a file.
    pub(super) fn placeholder(&self) -> Option<Secret> {
        let (kind, name) = match self {
            Self::Variable(name) if !name.is_empty() => ("env", name),
            Self::File(path) => ("file", path),
            Self::Variable(_) | Self::Unclosed | Self::Literal(_) => return None,
        };
        // The name is written in hexadecimal, because names may contain characters that a header must not contain.
        let name: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        Some(Secret::from(format!("placeholder-for-{kind}-{name}")))
    }
}
