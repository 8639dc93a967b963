//! Validation of a scenario as a whole.

use hyper::header::HeaderValue;

use super::{Scenario, ScenarioError, SimulatedAccount, SimulatedKey};
use crate::behaviour::{Behaviour, BehaviourAction};
use crate::seconds::MAX_DURATION;

/// Maximum number of words in an answer. Bounds memory, because each choice in a response contains the whole
/// answer.
const MAX_WORDS: usize = 100_000;

impl Scenario {
    /// Returns an error for the first value of the scenario that is out of range or contradicts another value.
    pub(crate) fn validate(&self) -> Result<(), ScenarioError> {
        self.validate_answer()?;
        let skew = self.clock_skew.abs();
        if skew.is_nan() || skew > MAX_DURATION.as_secs_f64() {
            return Err(ScenarioError::new(
                "clock_skew must be a number of seconds, at most a year in either direction",
            ));
        }
        validate_rules("", &self.script, &self.behaviours)?;
        self.validate_accounts()?;
        for (index, key) in self.keys.iter().enumerate() {
            key.validate(index, &self.accounts)?;
            if self.keys[..index].iter().any(|earlier| earlier.key == key.key) {
                return Err(ScenarioError::new(format!(
                    "keys[{index}] repeats an earlier key; remove one of them"
                )));
            }
        }
        Ok(())
    }

    fn validate_answer(&self) -> Result<(), ScenarioError> {
        if self.words_per_chunk == 0 {
            return Err(ScenarioError::new("words_per_chunk is 0; set it to at least 1"));
        }
        let repeated = self.chunk_count.unwrap_or(0).saturating_mul(self.words_per_chunk);
        let texts = [Some(&self.answer), self.reasoning.as_ref(), self.refusal.as_ref()];
        let words = texts
            .into_iter()
            .flatten()
            .map(|text| text.split_inclusive(' ').count());
        if words.chain([repeated]).any(|words| words > MAX_WORDS) {
            return Err(ScenarioError::new(format!(
                "an answer may have at most {MAX_WORDS} words"
            )));
        }
        for (field, text) in [("reasoning", &self.reasoning), ("refusal", &self.refusal)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                return Err(ScenarioError::new(format!(
                    "{field} is blank; give a text or remove the field"
                )));
            }
        }
        if self.chunk_count.is_some() && self.answer.trim().is_empty() {
            return Err(ScenarioError::new(
                "chunk_count needs an answer with at least one word to repeat",
            ));
        }
        Ok(())
    }

    fn validate_accounts(&self) -> Result<(), ScenarioError> {
        for (index, account) in self.accounts.iter().enumerate() {
            let place = format!("accounts[{index}]");
            account.validate(&place)?;
            if self.accounts[..index]
                .iter()
                .any(|earlier| earlier.name == account.name)
            {
                return Err(ScenarioError::new(format!(
                    "{place}.name repeats the name of an earlier account; choose another one"
                )));
            }
        }
        Ok(())
    }
}

impl SimulatedKey {
    fn validate(&self, index: usize, accounts: &[SimulatedAccount]) -> Result<(), ScenarioError> {
        if self.key.is_empty() || !self.key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScenarioError::new(format!(
                "keys[{index}].key must be visible ASCII without spaces"
            )));
        }
        if let Some(name) = &self.account
            && !accounts.iter().any(|account| account.name == *name)
        {
            return Err(unknown_account(index, accounts));
        }
        if let Some(limits) = &self.limits {
            limits.validate(&format!("keys[{index}].limits"))?;
        }
        validate_rules(&format!("keys[{index}]."), &self.script, &self.behaviours)
    }
}

impl SimulatedAccount {
    fn validate(&self, place: &str) -> Result<(), ScenarioError> {
        if self.name.is_empty() {
            return Err(ScenarioError::new(format!(
                "{place}.name is empty; give a name that keys can refer to"
            )));
        }
        let organization = self.organization.as_deref();
        if organization.is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(ScenarioError::new(format!(
                "{place}.organization is not a valid header value"
            )));
        }
        self.limits
            .map_or(Ok(()), |limits| limits.validate(&format!("{place}.limits")))
    }
}

/// Returns the error for a key whose account is unknown. The error lists the accounts of the scenario, but not the
/// unknown name, which may be a misplaced key.
fn unknown_account(key: usize, accounts: &[SimulatedAccount]) -> ScenarioError {
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    ScenarioError::new(format!(
        "keys[{key}].account does not name an account; {}",
        if names.is_empty() {
            "add one to accounts".to_owned()
        } else {
            format!("accounts: {}", names.join(", "))
        }
    ))
}

fn validate_rules(place: &str, script: &[Behaviour], behaviours: &[Behaviour]) -> Result<(), ScenarioError> {
    for (index, entry) in script.iter().enumerate() {
        let place = format!("{place}script[{index}]");
        entry.validate(&place)?;
        let is_stateful = matches!(
            entry.action,
            BehaviourAction::Limit(_) | BehaviourAction::ThrottleOnce(_)
        );
        let is_timed = !entry.from.is_zero() || entry.until.is_some();
        if is_stateful || is_timed || entry.probability.is_some() || entry.before_limits {
            return Err(ScenarioError::new(format!(
                "{place} applies to a single request, so it cannot have limit, throttle_once, probability, from, until or \
                 before_limits; move it to behaviours"
            )));
        }
    }
    for (index, rule) in behaviours.iter().enumerate() {
        rule.validate(&format!("{place}behaviours[{index}]"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error(json: &str) -> String {
        Scenario::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn empty_object_is_the_default_scenario() {
        let scenario = Scenario::from_json("{}").unwrap();
        assert_eq!(scenario.answer, Scenario::default().answer);
        assert!(scenario.done && scenario.keys.is_empty());
    }

    #[test]
    fn seconds_may_have_fractions() {
        let scenario = Scenario::from_json(r#"{"head_delay": 0.25, "chunk_delay": 2}"#).unwrap();
        assert_eq!(scenario.head_delay, Duration::from_millis(250));
        assert_eq!(scenario.chunk_delay, Duration::from_secs(2));
    }

    #[test]
    fn invalid_scenario_names_the_field() {
        for (json, part) in [
            (r#"{"anwser": "x"}"#, "unknown field `anwser`"),
            (r#"{"head_delay": -1}"#, "-1 seconds are out of range"),
            (r#"{"words_per_chunk": 0}"#, "words_per_chunk is 0"),
            (r#"{"chunk_count": 200000}"#, "at most 100000 words"),
            (r#"{"reasoning": " "}"#, "reasoning is blank"),
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
                "script[0] applies to a single request",
            ),
            (
                r#"{"script": [{"ok": true, "probability": 0.5}]}"#,
                "script[0] applies to a single request",
            ),
            (
                r#"{"script": [{"status": 503, "until": 5}]}"#,
                "script[0] applies to a single request",
            ),
            (
                r#"{"script": [{"status": 503, "before_limits": true}]}"#,
                "script[0] applies to a single request",
            ),
            (
                r#"{"behaviours": [{"status": 503, "from": 5, "until": 5}]}"#,
                "behaviours[0].until must be greater",
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
                "keys[0].account does not name an account; accounts: a, b",
            ),
            (
                r#"{"keys": [{"key": "k", "account": "c"}]}"#,
                "add one to accounts",
            ),
            (
                r#"{"accounts": [{"name": "a"}, {"name": "a"}]}"#,
                "accounts[1].name repeats the name",
            ),
            (r#"{"accounts": [{"name": ""}]}"#, "accounts[0].name is empty"),
            (
                r#"{"accounts": [{"name": "a", "organization": "a\nb"}]}"#,
                "accounts[0].organization",
            ),
            (
                r#"{"accounts": [{"name": "a", "limits": {"per": 5}}]}"#,
                "accounts[0].limits has no limit",
            ),
            (
                r#"{"keys": [{"key": "k", "limits": {"requests": 5, "per": 0}}]}"#,
                "keys[0].limits has a duration of 0",
            ),
            (
                r#"{"keys": [{"key": "k", "limits": {"quota": {"requests": 0, "resets_after": 3}}}]}"#,
                "keys[0].limits.quota has 0 requests",
            ),
            (
                r#"{"keys": [{"key": "k", "limits": {"requests": 0}}]}"#,
                "nonzero",
            ),
            (r#"{"clock_skew": -1e9}"#, "clock_skew must be"),
            ("{", "EOF"),
        ] {
            let message = error(json);
            assert!(
                message.starts_with("invalid scenario: ") && message.contains(part),
                "{json}: {message}"
            );
        }
    }

    #[test]
    fn errors_and_debug_output_never_contain_a_key() {
        let canary = "sk-canary-123";
        for json in [
            format!(r#"{{"keys": "{canary}"}}"#),
            format!(r#"{{"keys": ["{canary}"]}}"#),
            format!(r#"{{"keys": [{{"key": "{canary}"}}, {{"key": "{canary}"}}]}}"#),
            format!(r#"{{"keys": [{{"key": "{canary} "}}]}}"#),
        ] {
            assert!(!error(&json).contains(canary), "{}", error(&json));
        }
        assert!(!format!("{:?}", Scenario::with_keys([canary])).contains(canary));
    }
}
