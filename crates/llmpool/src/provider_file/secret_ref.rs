//! References to secrets that are stored outside of the provider file.

use crate::secrets::Secret;

/// A function that returns the value of an environment variable, or `None` if the variable is not set.
/// Usually a wrapper of [`std::env::var`].
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The place from which a secret is read.
pub(super) enum SecretRef {
    /// The secret is the value of the environment variable with this name.
    Variable(String),
    /// The secret is the content of the file with this path.
    File(String),
    /// The reference is malformed: it begins with `${` but does not end with `}`.
    Unclosed,
    /// The provider file contains the secret itself.
    Literal(Secret),
}

/// The reason why a secret cannot be read, and a hint on how to fix the problem.
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
    /// Parses a reference: `${NAME}` and `env:NAME` refer to an environment variable, and `file:PATH` refers
    /// to a file. Text that begins with `${` but does not end with `}` is [malformed](Self::Unclosed). All
    /// other text is the secret itself.
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

    /// Reads the secret. Trims whitespace at both ends of a secret from a variable or a file. Fails if the
    /// variable is not set, the file cannot be read, or the secret is empty.
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
                UnresolvedRef::new(message, format!("set the variable, as in export {name}=…"))
            })?,
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot read file {path}: {error}");
                UnresolvedRef::new(message, "check the path and the file's permissions")
            })?,
        };
        match text.trim() {
            "" => Err(UnresolvedRef::new(
                "the referenced variable or file is empty",
                "store the key in the variable or file",
            )),
            secret => Ok(Secret::from(secret)),
        }
    }

    /// Returns whether the secret is stored outside of the provider file: in an environment variable or in
    /// another file.
    pub(super) fn is_external(&self) -> bool {
        matches!(self, Self::Variable(_) | Self::File(_))
    }

    /// Returns a placeholder for a secret that cannot be read. Equal references have equal placeholders, and
    /// different references have different placeholders. Returns `None` if the reference names neither a
    /// variable nor a file.
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
