//! Collects the values of an error from JSON of any shape.
//!
//! Error objects contain each other in many ways, so the walk reads all of them in a fixed order: first the
//! members that are errors themselves, then the own members of an object, then what only adds to the error.
//! The first value found for a field of [`ProviderError`] is kept.
//!
//! Invariant: the walk takes linear time. It visits at most [`MAX_NODES`] values and parses JSON within texts
//! at most [`MAX_DEPTH`] levels deep.

use serde_json::{Map, Value};

use super::body::{self, as_text, is_failure};
use super::error::ProviderError;
use super::times::{self, RetryTime};

const MAX_DEPTH: u32 = 12;
const MAX_NODES: u32 = 256;
/// The maximum number of messages of a list that are joined.
const MAX_MESSAGES: usize = 5;
const MAX_CODES: usize = 16;
const MAX_HEADERS: usize = 32;

/// The members that are errors themselves, or lists of errors.
const ERRORS: &[&str] = &["error", "errors", "detail", "fault", "message"];
/// The members that may contain an `error`.
const CARRIERS: &[&str] = &["response", "x_groq"];
/// The members that add to the error in which they stand.
const ADDITIONS: &[&str] = &[
    "innererror",
    "innerError",
    "inner_error",
    "metadata",
    "raw",
    "details",
];

const CODES: &[&str] = &["code", "error_code", "errorCode", "errorcode", "err_code"];
const KINDS: &[&str] = &["status", "type", "error_type", "errorType"];
/// The members that are codes but no value of their own.
const FURTHER_CODES: &[&str] = &["reason", "statusCode", "status_code"];
const MESSAGES: &[&str] = &[
    "message",
    "msg",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_description",
    "faultstring",
    "detail",
    "details",
    "title",
];

/// The messages that say nothing where another message is known.
const GENERIC_MESSAGES: &[&str] = &["Provider returned error"];

/// Returns the values of the error that `value` describes.
pub(super) fn read(value: &Value) -> ProviderError {
    let mut walk = Walk::default();
    match value {
        // Of several errors in place of one, the first that says anything counts.
        Value::Array(items) => {
            for item in items {
                walk.visit(item, 0);
                if !walk.found.is_empty() {
                    break;
                }
            }
        }
        _ => walk.visit(value, 0),
    }
    walk.finish()
}

#[derive(Default)]
struct Walk {
    found: ProviderError,
    /// The message if nothing else is a message: a generic one, or an error code.
    poor_message: Option<String>,
    visited: u32,
}

impl Walk {
    fn finish(self) -> ProviderError {
        let mut error = self.found;
        error.message = error.message.or(self.poor_message);
        error.read_times_of_message();
        error
    }

    fn visit(&mut self, value: &Value, depth: u32) {
        if depth >= MAX_DEPTH || self.visited >= MAX_NODES {
            return;
        }
        self.visited += 1;
        match value {
            Value::Object(members) => {
                self.visit_errors(members, depth + 1);
                self.read_members(members);
                self.visit_additions(members, depth + 1);
            }
            Value::Array(items) => self.visit_list(items, depth + 1),
            Value::String(text) => match body::json_text(text) {
                Some(json) => self.visit(&json, depth + 1),
                None => self.set_message(text),
            },
            _ => {}
        }
    }

    /// Visits the errors in a list, and joins their messages.
    fn visit_list(&mut self, items: &[Value], depth: u32) {
        let known = self.found.message.take();
        let mut messages: Vec<String> = Vec::new();
        for item in items {
            self.visit(item, depth);
            if let Some(message) = self.found.message.take()
                && messages.len() < MAX_MESSAGES
                && !messages.contains(&message)
            {
                messages.push(message);
            }
        }
        let joined = || (!messages.is_empty()).then(|| messages.join("; "));
        self.found.message = known.or_else(joined);
    }

    fn visit_errors(&mut self, members: &Map<String, Value>, depth: u32) {
        for name in ERRORS {
            match members.get(*name) {
                Some(error @ (Value::Object(_) | Value::Array(_))) => self.visit(error, depth),
                // A text that is no JSON is read as a member, after texts that say more.
                Some(Value::String(text)) => {
                    if let Some(json) = body::json_text(text) {
                        self.visit(&json, depth);
                    }
                }
                _ => {}
            }
        }
        if let Some(Value::Object(fields)) = members.get("errors") {
            self.read_fields(fields);
        }
        let choices = members.get("choices").and_then(Value::as_array);
        let carriers = CARRIERS.iter().filter_map(|name| members.get(*name));
        for carrier in carriers.chain(choices.into_iter().flatten()) {
            if let Some(error) = carrier.get("error") {
                self.visit(error, depth);
            }
        }
    }

    fn visit_additions(&mut self, members: &Map<String, Value>, depth: u32) {
        for name in ADDITIONS {
            // The `metadata` beside an error is the user's, that within an error is the provider's.
            if *name == "metadata" && members.contains_key("error") {
                continue;
            }
            if let Some(addition) = members.get(*name) {
                self.visit(addition, depth);
            }
        }
    }

    /// Reads a map from the names of fields to what is wrong with them.
    fn read_fields(&mut self, fields: &Map<String, Value>) {
        if self.found.message.is_some() {
            return;
        }
        let texts = fields.iter().filter_map(|(name, value)| {
            let text = match value {
                Value::Array(items) => items.first()?.as_str()?,
                value => value.as_str()?,
            };
            Some(format!("{name}: {text}"))
        });
        let texts: Vec<_> = texts.take(MAX_MESSAGES).collect();
        self.found.message = (!texts.is_empty()).then(|| texts.join("; "));
    }

    fn read_members(&mut self, members: &Map<String, Value>) {
        let texts = |names: &'static [&str]| {
            let texts = names.iter().filter_map(|name| as_text(members.get(*name)?));
            texts.filter(|text| !text.trim().is_empty())
        };
        for code in texts(CODES) {
            self.found.add_code(&code);
            self.found.code.get_or_insert(code);
        }
        for kind in texts(KINDS) {
            self.found.add_code(&kind);
            self.found.kind.get_or_insert(kind);
        }
        texts(FURTHER_CODES).for_each(|code| self.found.add_code(&code));
        if let Some(Value::Object(members)) = members.get("base_resp")
            && members.get("status_code").is_some_and(is_failure)
        {
            self.read_base_resp(members);
        }
        if let Some(param) = texts(&["param"]).next() {
            self.found.param.get_or_insert(param);
        }
        self.read_location(members);
        texts(MESSAGES).for_each(|text| self.set_message(&text));
        if let Some(text) = members.get("error").and_then(Value::as_str) {
            self.read_error_text(text);
        }
        self.read_times(members);
        if let Some(Value::Object(headers)) = members.get("headers") {
            self.read_headers(headers);
        }
    }

    /// Reads the error of MiniMax, whose codes mean something else at other providers.
    fn read_base_resp(&mut self, members: &Map<String, Value>) {
        if let Some(code) = members.get("status_code").and_then(as_text) {
            self.found.add_code(&format!("base_resp.{code}"));
            self.found.code.get_or_insert(code);
        }
        if let Some(text) = members.get("status_msg").and_then(Value::as_str) {
            self.set_message(text);
        }
    }

    /// Reads an entry of FastAPI's list of validation errors: `{"loc": ["body", "n"], "msg": …}`. The entry
    /// also quotes the rejected value, which is not read.
    fn read_location(&mut self, members: &Map<String, Value>) {
        let Some(path) = members
            .get("loc")
            .and_then(Value::as_array)
            .map(|loc| path_of(loc))
        else {
            return;
        };
        if path.is_empty() {
            return;
        }
        if let Some(text) = members.get("msg").and_then(Value::as_str) {
            self.set_message(&format!("{path}: {text}"));
        }
        self.found.param.get_or_insert(path);
    }

    fn read_error_text(&mut self, text: &str) {
        if !looks_like_code(text) {
            return self.set_message(text);
        }
        self.found.add_code(text);
        self.found.code.get_or_insert_with(|| text.to_owned());
        self.poor_message.get_or_insert_with(|| text.to_owned());
    }

    fn read_times(&mut self, members: &Map<String, Value>) {
        for time in times::in_members(members) {
            match time {
                RetryTime::After(wait) => self.found.retry_delay.get_or_insert(wait),
                RetryTime::At(time) => self.found.resets_at.get_or_insert(time),
            };
        }
    }

    fn read_headers(&mut self, headers: &Map<String, Value>) {
        if !self.found.headers.is_empty() {
            return;
        }
        let headers = headers.iter().filter_map(|(name, value)| {
            let value = match value {
                Value::Array(values) => values.first()?,
                value => value,
            };
            Some((name.to_ascii_lowercase(), as_text(value)?))
        });
        self.found.headers = headers.take(MAX_HEADERS).collect();
    }

    fn set_message(&mut self, text: &str) {
        let slot = if GENERIC_MESSAGES.contains(&text) {
            &mut self.poor_message
        } else if text.trim().is_empty() {
            return;
        } else {
            &mut self.found.message
        };
        slot.get_or_insert_with(|| text.to_owned());
    }
}

impl ProviderError {
    /// Returns whether the error has neither a message nor a code, parameter, wait or reset time.
    pub(super) fn is_empty(&self) -> bool {
        let has_time = self.retry_delay.is_some() || self.resets_at.is_some() || !self.headers.is_empty();
        self.message.is_none() && self.code.is_none() && self.param.is_none() && !has_time
    }

    fn add_code(&mut self, text: &str) {
        if self.codes.len() < MAX_CODES
            && looks_like_code(text)
            && !self.codes.iter().any(|known| known == text)
        {
            self.codes.push(text.to_owned());
        }
    }

    /// Reads the times that the message states, unless members of the error state them.
    pub(super) fn read_times_of_message(&mut self) {
        let Some(message) = self.message.as_deref() else {
            return;
        };
        self.retry_delay = self.retry_delay.or_else(|| times::wait_in_message(message));
        let reset = || times::reset_in_message(message, self.code.as_deref());
        self.resets_at = self.resets_at.or_else(reset);
    }
}

/// Returns the path to a field as text, such as `messages[0].content`.
fn path_of(loc: &[Value]) -> String {
    let mut path = String::new();
    for (position, step) in loc.iter().enumerate() {
        match step {
            Value::String(name) if position == 0 && name == "body" => {}
            Value::String(name) if path.is_empty() => path.push_str(name),
            Value::String(name) => path.extend([".", name]),
            Value::Number(index) => path.push_str(&format!("[{index}]")),
            _ => {}
        }
    }
    path
}

/// Returns whether a text is written like an error code: one word of ASCII letters, digits and joining marks.
fn looks_like_code(text: &str) -> bool {
    let is_code_char = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_code_char)
}
