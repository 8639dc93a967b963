//! The values of a JSON reply that arrives in pieces, as they become final.
//!
//! Invariant: the fields do not depend on how the text is split into pieces.
//!
//! Invariant: the time is linear in the length of the text, for each level of nesting.

use std::collections::VecDeque;
use std::fmt;

use memchr::memchr2;
use serde_json::Value;

use super::finished_field::{FieldSegment, FinishedField};
use super::reply::MAX_DEPTH;
use super::reply_root::{ReplyShape, WRAPPER};
use super::reply_schema::ReplySchema;

/// The fields of a streamed reply, each as soon as its value is complete.
///
/// [`push`](Self::push) takes the text of the reply in pieces. The iterator returns the members of objects and the
/// items of arrays, at all levels, each exactly once: when the last character of its value has arrived, or for a
/// number the character behind it. The fields within a value come before the value. The reply as a whole is no
/// field. The iterator returns `None` while no field is complete, and can return more fields after the next piece.
///
/// If the schema holds the value in the member `value` of an object, the paths start at the value. Plain text has
/// no fields.
///
/// Like [`ReplySchema::parse_text`], ignores the text before the JSON and after its end. A syntax error ends the
/// fields. A field is therefore final only as far as the model keeps to the schema: parse the whole reply to
/// know whether the reply is valid. A member that the model writes twice is returned twice. If the reply has
/// several JSON values, the fields are those of the first object that is not empty.
///
/// ```
/// use llmpool_core::structured::{FinishedFields, JsonSchema, ReplySchema, schemars};
///
/// #[derive(JsonSchema)]
/// #[schemars(crate = "schemars")]
/// struct Dish {
///     name: String,
///     price: f64,
/// }
///
/// let mut fields = FinishedFields::new(&ReplySchema::of::<Dish>()?);
/// fields.push("{\"name\": \"Soup\", \"pri");
/// let name = fields.next().expect("the name is complete");
/// assert_eq!((name.path().as_str(), name.json()), ("name", "\"Soup\""));
/// assert!(fields.next().is_none());
/// # Ok::<(), llmpool_core::structured::SchemaError>(())
/// ```
pub struct FinishedFields {
    shape: ReplyShape,
    phase: Phase,
    /// Text before the JSON without white space. At most [`MAX_LEAD`] bytes.
    lead: String,
    /// Text of the JSON value so far.
    text: String,
    expected: Expected,
    /// Objects and arrays around the current position, outermost first.
    containers: Vec<Container>,
    role: RootRole,
    /// Whether a member name with its colon, or an item with its comma, was read.
    is_json: bool,
    ready: VecDeque<FinishedField>,
}

/// Maximum length of the stored text before the JSON: more than a code fence with its language.
const MAX_LEAD: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Text before the JSON.
    Prose,
    /// Text behind a bracket that starts no JSON. The separator would show that it was meant to be JSON.
    Bracket {
        separator: char,
    },
    Json,
    /// There are no more fields.
    Ended,
}

/// What the outermost JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RootRole {
    /// The value of the reply.
    Reply,
    /// An object whose first member is the value of the reply.
    Wrapper,
    /// An array in a sentence.
    Other,
}

/// What can follow within the JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Value,
    ItemOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    /// The rest of a string that starts at `start`.
    Text {
        start: usize,
        is_escaped: bool,
        is_name: bool,
    },
    Number {
        start: usize,
    },
    Literal {
        start: usize,
        literal: &'static str,
    },
}

struct Container {
    start: usize,
    /// The current member or item.
    segment: FieldSegment,
    /// Number of members or items before the current one.
    before: usize,
}

/// The text is no JSON at the current position.
struct SyntaxError;

impl FinishedFields {
    /// Creates the reader for one reply with this schema.
    pub fn new(schema: &ReplySchema) -> Self {
        let shape = schema.shape();
        Self {
            shape,
            phase: match shape {
                ReplyShape::Text => Phase::Ended,
                ReplyShape::Object | ReplyShape::Wrapped => Phase::Prose,
            },
            lead: String::new(),
            text: String::new(),
            expected: Expected::Value,
            containers: Vec::new(),
            role: RootRole::Reply,
            is_json: false,
            ready: VecDeque::new(),
        }
    }

    /// Appends the next piece of the reply's text.
    pub fn push(&mut self, piece: &str) {
        let mut rest = piece;
        while self.phase != Phase::Ended && !rest.is_empty() {
            let run = self.run_length(rest);
            let (text, more) = rest.split_at(run);
            self.skip(text);
            rest = more;
            let mut letters = rest.chars();
            if let Some(letter) = letters.next() {
                self.letter(letter);
                rest = letters.as_str();
            }
        }
    }

    /// Returns the length of the text up to the next letter that matters.
    fn run_length(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let run = match (self.phase, self.expected) {
            (Phase::Prose, _) => memchr2(b'{', b'[', bytes),
            (
                Phase::Json,
                Expected::Text {
                    is_escaped: false, ..
                },
            ) => memchr2(b'"', b'\\', bytes),
            _ => Some(0),
        };
        run.unwrap_or(text.len())
    }

    fn skip(&mut self, text: &str) {
        match self.phase {
            Phase::Json => self.text.push_str(text),
            _ => self.add_lead(text),
        }
    }

    fn add_lead(&mut self, text: &str) {
        let room = MAX_LEAD.saturating_sub(self.lead.len());
        self.lead
            .extend(text.chars().filter(|letter| !letter.is_whitespace()).take(room));
    }

    fn letter(&mut self, letter: char) {
        match (self.phase, letter) {
            (Phase::Prose | Phase::Bracket { .. }, '{' | '[') => self.begin(letter),
            (Phase::Bracket { .. }, '}' | ']') => self.phase = Phase::Prose,
            (Phase::Bracket { separator }, _) if letter == separator => self.end(),
            (Phase::Json, _) => {
                self.text.push(letter);
                if self.json_letter(letter).is_err() {
                    self.leave(letter);
                }
            }
            _ => {}
        }
    }

    /// Begins the outermost value.
    fn begin(&mut self, bracket: char) {
        self.role = match (bracket, self.shape) {
            ('{', _) => RootRole::Reply,
            (_, ReplyShape::Wrapped) if is_fence(&self.lead) => RootRole::Reply,
            _ => RootRole::Other,
        };
        self.phase = Phase::Json;
        self.is_json = false;
        self.text.clear();
        self.text.push(bracket);
        self.containers.clear();
        self.open(bracket, 0);
        // Only the first value can be a fenced array.
        self.add_lead(".");
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.text = String::new();
        self.containers = Vec::new();
    }

    /// Leaves a value with a syntax error: a bracket of a sentence is skipped, and JSON ends the fields.
    fn leave(&mut self, letter: char) {
        let separator = match self.containers.first() {
            Some(root) if root.is_object() => ':',
            _ => ',',
        };
        if self.is_json {
            return self.end();
        }
        self.phase = Phase::Bracket { separator };
        self.letter(letter);
    }

    /// Reads a letter of the outermost value. `text` ends with the letter.
    fn json_letter(&mut self, letter: char) -> Result<(), SyntaxError> {
        let end = self.text.len();
        match self.expected {
            Expected::Text {
                start,
                is_escaped,
                is_name,
            } => match letter {
                '"' if !is_escaped => self.end_text(start, is_name),
                _ => {
                    let is_escaped = letter == '\\' && !is_escaped;
                    self.expected = Expected::Text {
                        start,
                        is_escaped,
                        is_name,
                    };
                    Ok(())
                }
            },
            Expected::Number { start } => {
                if matches!(letter, '0'..='9' | '+' | '-' | '.' | 'e' | 'E') {
                    return Ok(());
                }
                self.end_scalar(start, end - letter.len_utf8())?;
                self.sign(letter)
            }
            Expected::Literal { start, literal } => match literal.strip_prefix(&self.text[start..]) {
                Some("") => self.end_scalar(start, end),
                Some(_) => Ok(()),
                None => Err(SyntaxError),
            },
            _ => self.sign(letter),
        }
    }

    /// Reads a letter that is not part of a string, number or literal.
    fn sign(&mut self, letter: char) -> Result<(), SyntaxError> {
        let start = self.text.len() - letter.len_utf8();
        let is_in_object = self.containers.last().is_some_and(Container::is_object);
        match (self.expected, letter) {
            (_, ' ' | '\n' | '\r' | '\t') => {}
            (Expected::Value | Expected::ItemOrEnd, '{' | '[') => {
                if self.containers.len() == MAX_DEPTH {
                    self.is_json = true;
                    return Err(SyntaxError);
                }
                self.open(letter, start);
            }
            (Expected::ItemOrEnd, ']') | (Expected::NameOrEnd, '}') => self.close(),
            (Expected::CommaOrEnd, '}') if is_in_object => self.close(),
            (Expected::CommaOrEnd, ']') if !is_in_object => self.close(),
            (Expected::Value | Expected::ItemOrEnd, _) => self.expected = scalar(letter, start)?,
            (Expected::Name | Expected::NameOrEnd, '"') => self.expected = text_from(start, true),
            (Expected::Colon, ':') => {
                self.is_json = true;
                self.expected = Expected::Value;
            }
            (Expected::CommaOrEnd, ',') => self.comma(is_in_object),
            _ => return Err(SyntaxError),
        }
        Ok(())
    }

    fn open(&mut self, bracket: char, start: usize) {
        let is_object = bracket == '{';
        self.containers.push(Container {
            start,
            segment: match is_object {
                true => FieldSegment::Name("".into()),
                false => FieldSegment::Index(0),
            },
            before: 0,
        });
        self.expected = match is_object {
            true => Expected::NameOrEnd,
            false => Expected::ItemOrEnd,
        };
    }

    fn comma(&mut self, is_in_object: bool) {
        self.is_json = true;
        self.expected = match is_in_object {
            true => Expected::Name,
            false => Expected::Value,
        };
        if let Some(container) = self.containers.last_mut() {
            container.before += 1;
            if let FieldSegment::Index(index) = &mut container.segment {
                *index = container.before;
            }
        }
    }

    fn close(&mut self) {
        let Some(closed) = self.containers.pop() else {
            return;
        };
        if !self.containers.is_empty() {
            return self.end_value(closed.start, self.text.len());
        }
        let is_empty = matches!(self.expected, Expected::NameOrEnd | Expected::ItemOrEnd);
        if self.role == RootRole::Other || is_empty {
            self.phase = Phase::Prose;
        } else {
            self.end();
        }
    }

    fn end_text(&mut self, start: usize, is_name: bool) -> Result<(), SyntaxError> {
        let end = self.text.len();
        if !is_name {
            return self.end_scalar(start, end);
        }
        let name: String = serde_json::from_str(&self.text[start..end]).map_err(|_| SyntaxError)?;
        let is_first = self.containers.len() == 1 && !self.is_json;
        if is_first && self.shape == ReplyShape::Wrapped && self.role == RootRole::Reply && name == WRAPPER {
            self.role = RootRole::Wrapper;
        }
        if let Some(container) = self.containers.last_mut() {
            container.segment = FieldSegment::Name(name.into());
        }
        self.expected = Expected::Colon;
        Ok(())
    }

    fn end_scalar(&mut self, start: usize, end: usize) -> Result<(), SyntaxError> {
        serde_json::from_str::<Value>(&self.text[start..end]).map_err(|_| SyntaxError)?;
        self.end_value(start, end);
        Ok(())
    }

    /// Adds the field for a value that is complete.
    fn end_value(&mut self, start: usize, end: usize) {
        self.expected = Expected::CommaOrEnd;
        let is_beside_wrapped =
            self.role == RootRole::Wrapper && self.containers.first().is_some_and(|root| root.before > 0);
        if self.role == RootRole::Other || is_beside_wrapped {
            return;
        }
        let outer = usize::from(self.role == RootRole::Wrapper);
        let segments = self
            .containers
            .iter()
            .skip(outer)
            .map(|container| container.segment.clone());
        let segments: Vec<_> = segments.collect();
        if !segments.is_empty() {
            self.is_json = true;
            let json = self.text[start..end].to_owned();
            self.ready.push_back(FinishedField { segments, json });
        }
    }
}

impl Iterator for FinishedFields {
    type Item = FinishedField;

    fn next(&mut self) -> Option<FinishedField> {
        self.ready.pop_front()
    }
}

impl Container {
    fn is_object(&self) -> bool {
        matches!(self.segment, FieldSegment::Name(_))
    }
}

/// Returns what follows the first letter of a string, number or literal.
fn scalar(letter: char, start: usize) -> Result<Expected, SyntaxError> {
    let literal = |literal| Ok(Expected::Literal { start, literal });
    match letter {
        '"' => Ok(text_from(start, false)),
        '-' | '0'..='9' => Ok(Expected::Number { start }),
        't' => literal("true"),
        'f' => literal("false"),
        'n' => literal("null"),
        _ => Err(SyntaxError),
    }
}

fn text_from(start: usize, is_name: bool) -> Expected {
    Expected::Text {
        start,
        is_escaped: false,
        is_name,
    }
}

/// Returns whether the text is empty or the start of a fenced block.
fn is_fence(text: &str) -> bool {
    let language = text.strip_prefix(super::fence::FENCE).unwrap_or(text);
    let is_language = language.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.is_empty() || (language.len() < text.len() && text.len() < MAX_LEAD && is_language)
}

impl fmt::Debug for FinishedFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FinishedFields({} ready)", self.ready.len())
    }
}
