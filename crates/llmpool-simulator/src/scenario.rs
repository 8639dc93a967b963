//! What the simulated provider is like: its keys, models, answers, pace, and what goes wrong.
//!
//! A scenario comes from JSON ([`Scenario::from_json`]) or is written as a value. Either way it is checked as a whole
//! before a socket is opened, and no message about it repeats a key.

use std::fmt;
use std::time::Duration;

use hyper::header::HeaderValue;
use serde::{Deserialize, Deserializer};

use crate::behaviour::{Action, AfterResponse, Behaviour, Pace};
use crate::dialect::Dialect;
use crate::limits::Limits;

/// What the built-in simulator says when a scenario gives no other answer.
const DEFAULT_ANSWER: &str = "Hello! This is the built-in simulator of llmpool, not a language model: it gives this \
                              same answer to every question. Configure a provider to talk to a real model.";

/// More words than this in one answer are refused: an answer is held in memory once per choice.
const MAX_WORDS: usize = 100_000;

/// Longer spans are refused, so that no sum of times overflows.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// How a simulated provider behaves. The default accepts any key and any model and answers at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The keys that are accepted; everything else gets 401. Empty (the default): any key, or none, will do.
    pub keys: Vec<SimulatedKey>,
    /// What keys share. Default: nothing.
    pub accounts: Vec<SimulatedAccount>,
    /// How limits are told and enforced in words and headers. Default [`Dialect::Openai`].
    pub dialect: Dialect,
    /// The models that exist; any other is 404 `model_not_found`. Empty (the default): any name will do.
    pub models: Vec<String>,
    /// The text of every answer. The default says that this is a simulator.
    pub answer: String,
    /// Answer with the text of the last user message instead of [`answer`](Self::answer). Default `false`.
    pub echo: bool,
    /// What every answer thinks first. Default: nothing.
    pub reasoning: Option<String>,
    /// Refuse with this text instead of answering; tools that are forced are called all the same. Default: do not.
    pub refusal: Option<String>,
    /// What a forced tool call carries as arguments. Default: the smallest value that fits the tool's schema.
    pub tool_arguments: Option<String>,
    /// Words in each content event of a stream. Default 1.
    pub words_per_chunk: usize,
    /// How many content events a stream has: the answer is repeated or cut to fit, for plain answers too. Default: as
    /// many as the answer needs.
    pub chunk_count: Option<usize>,
    /// Seconds from the complete request to the head of the response. Default 0.
    #[serde(deserialize_with = "seconds")]
    pub head_delay: Duration,
    /// Seconds from the head to the first event of a stream. Default 0.
    #[serde(deserialize_with = "seconds")]
    pub first_chunk_delay: Duration,
    /// Seconds before every later event of a stream. Default 0.
    #[serde(deserialize_with = "seconds")]
    pub chunk_delay: Duration,
    /// When token usage is told. Default [`UsagePolicy::OnRequest`].
    pub usage: UsagePolicy,
    /// Whether a stream ends with `data: [DONE]`. Default `true`.
    pub done: bool,
    /// What happens to the connection after a response. Default: it stays open.
    pub after_response: AfterResponse,
    /// What happens to the first requests, one entry each, whatever their key.
    pub script: Vec<Behaviour>,
    /// Rules that may strike any request, asked in order after those of its key.
    pub behaviours: Vec<Behaviour>,
    /// How many seconds the provider's calendar is fast, or slow if below 0; seen in the `date` header and in every
    /// time of day it tells. Default 0.
    pub clock_skew: f64,
    /// Decides everything that happens by chance. Default 0.
    pub seed: u64,
}

/// One accepted key, with what goes wrong for it alone.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedKey {
    /// The key itself: what follows `Authorization: Bearer `. Never shown again.
    pub key: String,
    /// What [`Stats`](crate::Stats) calls the key. Default `key-N`, counted from 0.
    #[serde(default)]
    pub label: Option<String>,
    /// The name of the one of [`Scenario::accounts`] that it belongs to. Default: it stands for itself.
    #[serde(default)]
    pub account: Option<String>,
    /// What the provider enforces for this key alone, besides what it does for its account. Default: nothing.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// What happens to the first requests with this key, one entry each.
    #[serde(default)]
    pub script: Vec<Behaviour>,
    /// Rules that may strike a request with this key, asked in order once the script is used up.
    #[serde(default)]
    pub behaviours: Vec<Behaviour>,
}

/// What several keys belong to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedAccount {
    /// How keys refer to it; [`Stats`](crate::Stats) call it so too.
    pub name: String,
    /// What the provider enforces for all its keys together. Default: nothing.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// What the `openai-organization` header of its keys' responses says, in dialects that have it. Default: there is
    /// no such header.
    #[serde(default)]
    pub organization: Option<String>,
}

/// When a response tells its token usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePolicy {
    /// In every response, streams included, asked for or not.
    Always,
    /// In plain responses, and in streams that set `stream_options.include_usage`.
    #[default]
    OnRequest,
    /// In no response.
    Never,
}

/// Why a scenario cannot be played. The message names the place and the cure, never a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError(String);

impl Scenario {
    /// Reads a scenario from JSON and checks it.
    ///
    /// # Errors
    /// JSON that does not parse, a field that does not exist, a value out of range, two keys that are the same.
    pub fn from_json(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text).map_err(|error| ScenarioError::from_json(&error))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// A scenario that accepts exactly these keys and is otherwise the default.
    pub fn with_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            keys: keys.into_iter().map(SimulatedKey::new).collect(),
            ..Self::default()
        }
    }

    /// Whether the scenario can be played; [`Simulator::start`](crate::Simulator::start) asks before it binds.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        self.check_answer()?;
        let skew = self.clock_skew.abs();
        if skew.is_nan() || skew > MAX_DURATION.as_secs_f64() {
            return Err(ScenarioError(
                "clock_skew must be a number of seconds of at most a year".into(),
            ));
        }
        check_rules("", &self.script, &self.behaviours)?;
        self.check_accounts()?;
        for (index, key) in self.keys.iter().enumerate() {
            key.check(index, &self.accounts)?;
            if self.keys[..index].iter().any(|earlier| earlier.key == key.key) {
                return Err(ScenarioError(format!(
                    "keys[{index}] is the same key as an earlier one; give it once"
                )));
            }
        }
        Ok(())
    }

    fn check_answer(&self) -> Result<(), ScenarioError> {
        if self.words_per_chunk == 0 {
            return Err(ScenarioError("words_per_chunk is 0; give at least 1".into()));
        }
        let repeated = self.chunk_count.unwrap_or(0).saturating_mul(self.words_per_chunk);
        let texts = [Some(&self.answer), self.reasoning.as_ref(), self.refusal.as_ref()];
        let words = texts
            .into_iter()
            .flatten()
            .map(|text| text.split_inclusive(' ').count());
        if words.chain([repeated]).any(|words| words > MAX_WORDS) {
            return Err(ScenarioError(format!(
                "an answer may have at most {MAX_WORDS} words"
            )));
        }
        for (field, text) in [("reasoning", &self.reasoning), ("refusal", &self.refusal)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                return Err(ScenarioError(format!(
                    "{field} has no words; give some, or leave it out"
                )));
            }
        }
        if self.chunk_count.is_some() && self.answer.trim().is_empty() {
            return Err(ScenarioError(
                "chunk_count needs an answer with at least one word to repeat".into(),
            ));
        }
        Ok(())
    }

    fn check_accounts(&self) -> Result<(), ScenarioError> {
        for (index, account) in self.accounts.iter().enumerate() {
            let place = format!("accounts[{index}]");
            account.check(&place)?;
            if self.accounts[..index]
                .iter()
                .any(|earlier| earlier.name == account.name)
            {
                return Err(ScenarioError(format!(
                    "{place}.name is the name of an earlier account; give each its own"
                )));
            }
        }
        Ok(())
    }

    /// The index of the account that a key belongs to.
    pub(crate) fn account_of(&self, key: &SimulatedKey) -> Option<usize> {
        let name = key.account.as_ref()?;
        self.accounts.iter().position(|account| account.name == *name)
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace {
            head: self.head_delay,
            first_chunk: self.first_chunk_delay,
            chunk: self.chunk_delay,
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            accounts: Vec::new(),
            dialect: Dialect::default(),
            models: Vec::new(),
            answer: DEFAULT_ANSWER.into(),
            echo: false,
            reasoning: None,
            refusal: None,
            tool_arguments: None,
            words_per_chunk: 1,
            chunk_count: None,
            head_delay: Duration::ZERO,
            first_chunk_delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            usage: UsagePolicy::default(),
            done: true,
            after_response: AfterResponse::default(),
            script: Vec::new(),
            behaviours: Vec::new(),
            clock_skew: 0.0,
            seed: 0,
        }
    }
}

impl SimulatedKey {
    /// A key for which nothing goes wrong.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            label: None,
            account: None,
            limits: None,
            script: Vec::new(),
            behaviours: Vec::new(),
        }
    }

    /// Adds a rule, asked after those the key already has.
    #[must_use]
    pub fn behaves(mut self, behaviour: impl Into<Behaviour>) -> Self {
        self.behaviours.push(behaviour.into());
        self
    }

    fn check(&self, index: usize, accounts: &[SimulatedAccount]) -> Result<(), ScenarioError> {
        if self.key.is_empty() || !self.key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScenarioError(format!(
                "keys[{index}].key must be visible ASCII without spaces"
            )));
        }
        if let Some(name) = &self.account
            && !accounts.iter().any(|account| account.name == *name)
        {
            return Err(unknown_account(index, accounts));
        }
        if let Some(limits) = &self.limits {
            limits.check(&format!("keys[{index}].limits"))?;
        }
        check_rules(&format!("keys[{index}]."), &self.script, &self.behaviours)
    }
}

impl SimulatedAccount {
    fn check(&self, place: &str) -> Result<(), ScenarioError> {
        if self.name.is_empty() {
            return Err(ScenarioError(format!(
                "{place}.name is empty; give one that keys can refer to"
            )));
        }
        let organization = self.organization.as_deref();
        if organization.is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(ScenarioError(format!(
                "{place}.organization is no valid header value"
            )));
        }
        self.limits
            .map_or(Ok(()), |limits| limits.check(&format!("{place}.limits")))
    }
}

/// Says which accounts there are, but not which was asked for: that might be a key in the wrong place.
fn unknown_account(key: usize, accounts: &[SimulatedAccount]) -> ScenarioError {
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    ScenarioError(format!(
        "keys[{key}].account is the name of no account; {}",
        if names.is_empty() {
            "describe it under accounts".to_owned()
        } else {
            format!("there are: {}", names.join(", "))
        }
    ))
}

/// Shows everything but the key.
impl fmt::Debug for SimulatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedKey")
            .field("label", &self.label)
            .field("account", &self.account)
            .field("limits", &self.limits)
            .field("script", &self.script)
            .field("behaviours", &self.behaviours)
            .finish_non_exhaustive()
    }
}

impl ScenarioError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// serde quotes the string it did not expect, and that string may be a key written in the wrong place.
    fn from_json(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        Self(match (message.find("string \""), message.rfind("\", expected")) {
            (Some(start), Some(end)) if start < end => {
                format!(
                    "{}a string, expected{}",
                    &message[..start],
                    &message[end + "\", expected".len()..]
                )
            }
            _ => message,
        })
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid scenario: {}", self.0)
    }
}

impl std::error::Error for ScenarioError {}

fn check_rules(place: &str, script: &[Behaviour], behaviours: &[Behaviour]) -> Result<(), ScenarioError> {
    for (index, entry) in script.iter().enumerate() {
        let place = format!("{place}script[{index}]");
        entry.check(&place)?;
        let lasts = matches!(entry.action, Action::Limit(_) | Action::ThrottleOnce(_));
        let timed = !entry.from.is_zero() || entry.until.is_some();
        if lasts || timed || entry.probability.is_some() || entry.before_limits {
            return Err(ScenarioError(format!(
                "{place} is used for one request only, so it takes no limit, throttle_once, probability, from, until or \
                 before_limits; put it under behaviours"
            )));
        }
    }
    for (index, rule) in behaviours.iter().enumerate() {
        rule.check(&format!("{place}behaviours[{index}]"))?;
    }
    Ok(())
}

/// A duration written as a number of seconds.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{seconds} seconds are out of range; give 0 to a year"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        Scenario::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_object_is_the_default() {
        let scenario = Scenario::from_json("{}").unwrap();
        assert_eq!(scenario.answer, DEFAULT_ANSWER);
        assert!(scenario.done && scenario.keys.is_empty());
    }

    #[test]
    fn fractions_of_seconds_are_durations() {
        let scenario = Scenario::from_json(r#"{"head_delay": 0.25, "chunk_delay": 2}"#).unwrap();
        assert_eq!(scenario.head_delay, Duration::from_millis(250));
        assert_eq!(scenario.chunk_delay, Duration::from_secs(2));
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        for (json, part) in [
            (r#"{"anwser": "x"}"#, "unknown field `anwser`"),
            (r#"{"head_delay": -1}"#, "-1 seconds are out of range"),
            (r#"{"words_per_chunk": 0}"#, "words_per_chunk is 0"),
            (r#"{"chunk_count": 200000}"#, "at most 100000 words"),
            (r#"{"reasoning": " "}"#, "reasoning has no words"),
            (
                r#"{"chunk_count": 2, "answer": " "}"#,
                "chunk_count needs an answer",
            ),
            (
                r#"{"keys": [{"key": "a b"}]}"#,
                "keys[0].key must be visible ASCII",
            ),
            (
                r#"{"script": [{"limit": 1, "per": 1}]}"#,
                "script[0] is used for one request only",
            ),
            (
                r#"{"script": [{"ok": true, "probability": 0.5}]}"#,
                "script[0] is used for one request only",
            ),
            (
                r#"{"script": [{"status": 503, "until": 5}]}"#,
                "script[0] is used for one request only",
            ),
            (
                r#"{"script": [{"status": 503, "before_limits": true}]}"#,
                "script[0] is used for one request only",
            ),
            (
                r#"{"behaviours": [{"status": 503, "from": 5, "until": 5}]}"#,
                "behaviours[0] ends before it begins",
            ),
            (
                r#"{"behaviours": [{"status": 500, "probability": 7}]}"#,
                "behaviours[0].probability",
            ),
            (
                r#"{"keys": [{"key": "k", "behaviours": [{"status": 99}]}]}"#,
                "keys[0].behaviours[0].status",
            ),
            (
                r#"{"accounts": [{"name": "a"}, {"name": "b"}], "keys": [{"key": "k", "account": "c"}]}"#,
                "keys[0].account is the name of no account; there are: a, b",
            ),
            (
                r#"{"keys": [{"key": "k", "account": "c"}]}"#,
                "describe it under accounts",
            ),
            (
                r#"{"accounts": [{"name": "a"}, {"name": "a"}]}"#,
                "accounts[1].name is the name of an earlier account",
            ),
            (r#"{"accounts": [{"name": ""}]}"#, "accounts[0].name is empty"),
            (
                r#"{"accounts": [{"name": "a", "organization": "a\nb"}]}"#,
                "accounts[0].organization",
            ),
            (
                r#"{"accounts": [{"name": "a", "limits": {"per": 5}}]}"#,
                "accounts[0].limits limits nothing",
            ),
            (
                r#"{"keys": [{"key": "k", "limits": {"requests": 5, "per": 0}}]}"#,
                "keys[0].limits has a time of 0 s",
            ),
            (
                r#"{"keys": [{"key": "k", "limits": {"quota": {"requests": 0, "resets_after": 3}}}]}"#,
                "keys[0].limits has a quota of 0",
            ),
            (
                r#"{"keys": [{"key": "k", "limits": {"requests": 0}}]}"#,
                "nonzero",
            ),
            (r#"{"clock_skew": -1e9}"#, "clock_skew must be"),
            ("{", "EOF"),
        ] {
            let message = refusal(json);
            assert!(
                message.starts_with("invalid scenario: ") && message.contains(part),
                "{json}: {message}"
            );
        }
    }

    #[test]
    fn no_message_and_no_debug_output_repeats_a_key() {
        let canary = "sk-canary-123";
        for json in [
            format!(r#"{{"keys": "{canary}"}}"#),
            format!(r#"{{"keys": ["{canary}"]}}"#),
            format!(r#"{{"keys": [{{"key": "{canary}"}}, {{"key": "{canary}"}}]}}"#),
            format!(r#"{{"keys": [{{"key": "{canary} "}}]}}"#),
        ] {
            assert!(!refusal(&json).contains(canary), "{}", refusal(&json));
        }
        assert!(!format!("{:?}", Scenario::with_keys([canary])).contains(canary));
    }
}
