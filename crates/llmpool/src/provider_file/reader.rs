//! Reads typed values of a provider file, and collects all errors.

use super::diagnostic::{Diagnostic, ProviderFileError};
use super::field::{Field, Fields, JsonKind, LineIndex};
use super::secret_ref::{Environment, SecretRef};
use crate::secrets::Secret;

/// Fields that later versions may support. The error for such a field is more specific than `unknown field`.
const UNSUPPORTED: [&str; 1] = ["pricing"];

/// A reader of the values of one provider file. A method that finds an invalid value records an error and
/// returns `None`. Reading then continues, so that all errors of the file are found.
pub(super) struct FileReader<'a> {
    file: &'a str,
    lines: LineIndex<'a>,
    env: Environment<'a>,
    allow_placeholders: bool,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The number of models that set no rate limit and therefore get the default rate limit.
    pub(super) without_rate_limit: usize,
}

impl<'a> FileReader<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, env: Environment<'a>, allow_placeholders: bool) -> Self {
        Self {
            file,
            lines: LineIndex::new(text),
            env,
            allow_placeholders,
            errors: Vec::new(),
            warnings: Vec::new(),
            without_rate_limit: 0,
        }
    }

    /// Returns all warnings. Fails with all recorded errors, if there are any.
    pub(super) fn into_warnings(self) -> Result<Vec<Diagnostic>, ProviderFileError> {
        match self.errors.is_empty() {
            true => Ok(self.warnings),
            false => Err(ProviderFileError::new(self.errors)),
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn error(&mut self, field: &Field<'a>, message: &str, help: &str) {
        let error = self.diagnostic(field, message, help);
        self.errors.push(error);
    }

    pub(super) fn warn(&mut self, field: &Field<'a>, message: &str, help: &str) {
        let warning = self.diagnostic(field, message, help);
        self.warnings.push(warning);
    }

    fn diagnostic(&self, field: &Field<'a>, message: &str, help: &str) -> Diagnostic {
        let (line, column) = self.lines.position(field.value);
        Diagnostic {
            line,
            column,
            field: field.path.clone(),
            ..Diagnostic::about_file(self.file, message, help)
        }
    }

    fn wrong_kind(&mut self, field: &Field<'a>, expected: JsonKind, help: &str) {
        let found = JsonKind::of(field.value);
        let message = format!("expected {}, found {}", expected.as_str(), found.as_str());
        let help = match found {
            JsonKind::Null => "give a value or remove the field",
            _ => help,
        };
        self.error(field, &message, help);
    }

    /// Records the error that `owner` lacks the required member `name`. The hint shows `example` as the value
    /// of the member.
    pub(super) fn missing(&mut self, owner: &Field<'a>, fields: &Fields<'a>, name: &str, example: &str) {
        let field = Field {
            path: fields.path_of(name),
            value: owner.value,
        };
        let help = format!("add it, as in \"{name}\": {example}");
        self.error(&field, "missing required field", &help);
    }

    /// Reads an object whose members may have any name. Records an error for each duplicate member. `example`
    /// is shown in error messages.
    pub(super) fn object(&mut self, field: &Field<'a>, example: &str) -> Option<Fields<'a>> {
        self.checked_object(field, None, example)
    }

    /// Reads an object in which only comments and the members named in `known` are allowed. Records an error
    /// for each duplicate or unknown member.
    pub(super) fn object_of(
        &mut self,
        field: &Field<'a>,
        known: &[&str],
        example: &str,
    ) -> Option<Fields<'a>> {
        self.checked_object(field, Some(known), example)
    }

    fn checked_object(
        &mut self,
        field: &Field<'a>,
        known: Option<&[&str]>,
        example: &str,
    ) -> Option<Fields<'a>> {
        let Some(members) = field.members() else {
            self.wrong_kind(
                field,
                JsonKind::Object,
                &format!("write an object such as {example}"),
            );
            return None;
        };
        let allows_comments = known.is_some() || field.path.is_empty();
        let mut earlier: Vec<&str> = Vec::new();
        for (name, member) in members
            .iter()
            .filter(|(name, _)| !(allows_comments && is_comment(name)))
        {
            if earlier.contains(&&**name) {
                self.error(&member, "duplicate field", "remove one of the two");
            }
            if let Some(known) = known.filter(|known| !known.contains(&&**name)) {
                self.unknown(&member, name, known);
            }
            earlier.push(name);
        }
        Some(members)
    }

    fn unknown(&mut self, field: &Field<'a>, name: &str, known: &[&str]) {
        if UNSUPPORTED.contains(&name) {
            self.error(field, "this version does not support this field", "remove it");
            return;
        }
        let distances = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known));
        let nearest = distances
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 1 + name.len() / 4);
        let help = match nearest {
            Some((_, nearest)) => format!("did you mean `{nearest}`?"),
            None => format!("known fields are {}", known.join(", ")),
        };
        self.error(field, "unknown field", &help);
    }

    pub(super) fn array(&mut self, field: &Field<'a>, example: &str) -> Option<Vec<Field<'a>>> {
        let items = field.items();
        if items.is_none() {
            self.wrong_kind(
                field,
                JsonKind::Array,
                &format!("write an array such as {example}"),
            );
        }
        items
    }

    /// Reads a string. Records an error if the string is empty or consists of whitespace.
    pub(super) fn string(&mut self, field: &Field<'a>) -> Option<String> {
        let Ok(text) = serde_json::from_str::<String>(field.value.get()) else {
            let help = match JsonKind::of(field.value) {
                JsonKind::Number | JsonKind::Bool => "enclose it in double quotes",
                _ => "write a string in double quotes",
            };
            self.wrong_kind(field, JsonKind::String, help);
            return None;
        };
        if text.trim().is_empty() {
            self.error(field, "the string is empty", "write a value between the quotes");
            return None;
        }
        Some(text)
    }

    /// Reads a string that must be one of the names in `choices`. Returns the value that is paired with the
    /// name.
    pub(super) fn one_of<T: Copy>(&mut self, field: &Field<'a>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string(field)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.error(
                field,
                "unknown value",
                &format!("use one of {}", names.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn boolean(&mut self, field: &Field<'a>) -> Option<bool> {
        let value = serde_json::from_str(field.value.get()).ok();
        if value.is_none() {
            self.wrong_kind(field, JsonKind::Bool, "write true or false without quotes");
        }
        value
    }

    /// Reads a number. Records an error if the number is too large for an `f64`.
    pub(super) fn number(&mut self, field: &Field<'a>) -> Option<f64> {
        if JsonKind::of(field.value) != JsonKind::Number {
            self.wrong_kind(
                field,
                JsonKind::Number,
                "write a number without quotes, such as 20",
            );
            return None;
        }
        let number = serde_json::from_str::<f64>(field.value.get()).ok();
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.error(field, "the number is too large", "use a smaller number");
        }
        number
    }

    /// Reads a number that is 0 or greater. For a negative number, records an error with the hint `help`.
    pub(super) fn non_negative_number(&mut self, field: &Field<'a>, help: &str) -> Option<f64> {
        let number = self.number(field)?;
        if number < 0.0 {
            self.error(field, "the number is negative", help);
        }
        (number >= 0.0).then_some(number)
    }

    /// Reads an integer from `min` to `max`, both inclusive.
    pub(super) fn integer(&mut self, field: &Field<'a>, min: u32, max: u32) -> Option<u32> {
        let number = self.number(field)?;
        if number.fract() != 0.0 || number < f64::from(min) || number > f64::from(max) {
            let message = format!("expected an integer from {min} to {max}");
            self.error(field, &message, "use an integer in this range");
            return None;
        }
        Some(number as u32)
    }

    /// Reads the integer member `name`. Returns `None` without an error if the member is missing or `null`.
    pub(super) fn optional_integer(
        &mut self,
        fields: &Fields<'a>,
        name: &str,
        min: u32,
        max: u32,
    ) -> Option<u32> {
        self.integer(&fields.get_non_null(name)?, min, max)
    }

    /// Reads the secret to which `reference` refers. If the secret cannot be read, returns a placeholder key
    /// if placeholders are allowed, and otherwise records an error at `field`.
    pub(super) fn secret(&mut self, field: &Field<'a>, reference: &SecretRef) -> Option<Secret> {
        let resolved = reference.resolve(self.env).or_else(|unresolved| {
            let placeholder = reference.placeholder().filter(|_| self.allow_placeholders);
            placeholder.ok_or(unresolved)
        });
        resolved
            .map_err(|unresolved| self.error(field, &unresolved.message, &unresolved.help))
            .ok()
    }
}

/// Returns whether a member serves as a comment: its name begins with `//`. JSON itself has no comments.
pub(super) fn is_comment(name: &str) -> bool {
    name.starts_with("//")
}
