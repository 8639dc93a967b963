//! Which behaviour strikes a request.
//!
//! Asked in order: the script of the key, its rules, the global script, the global rules. The first that strikes
//! decides, so a later limit counts only what came past the earlier ones. Rules that stand before the limits of keys are
//! asked by themselves, and scripts never stand there. Time is an argument, and chance is drawn per
//! rule: the n-th request a rule sees fares the same in every run, whatever other rules drew before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::behaviour::{
    Action, AfterResponse, Behaviour, Endpoint, Pace, RefusalForm, Reply, RetryAfter, StatusReply,
};
use crate::errors;
use crate::limits::{Window, WindowKind};
use crate::random::SplitMix64;
use crate::scenario::Scenario;

/// Every rule of a scenario, with what it remembers.
#[derive(Debug)]
pub(crate) struct Rules {
    global: RuleSet,
    keys: Vec<RuleSet>,
    default: Verdict,
}

/// What rules may know of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// One of those that stand for a single path or two.
    pub(crate) endpoint: Endpoint,
    /// Index of the key in the scenario.
    pub(crate) key: Option<usize>,
    /// Whether the request sets `stream_options`.
    pub(crate) stream_options: bool,
}

/// How a request is to be treated.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) reply: Reply,
    pub(crate) pace: Pace,
    pub(crate) after_response: AfterResponse,
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Debug)]
struct RuleSet {
    script: VecDeque<Behaviour>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    behaviour: Behaviour,
    dice: SplitMix64,
    memory: Memory,
}

/// What a rule remembers of earlier requests.
#[derive(Debug)]
enum Memory {
    Nothing,
    /// What passed in the last span.
    Window(Window),
    /// When the throttling ends, once it has begun.
    Throttled(Option<Duration>),
}

impl Rules {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut streams = 0..;
        let mut set = |script: &[Behaviour], behaviours: &[Behaviour]| RuleSet {
            script: script.iter().cloned().collect(),
            rules: behaviours
                .iter()
                .zip(streams.by_ref())
                .map(|(behaviour, stream)| {
                    Rule::new(behaviour.clone(), SplitMix64::new(scenario.seed, stream))
                })
                .collect(),
        };
        Self {
            global: set(&scenario.script, &scenario.behaviours),
            keys: scenario
                .keys
                .iter()
                .map(|key| set(&key.script, &key.behaviours))
                .collect(),
            default: Verdict::of(Reply::Ok, scenario),
        }
    }

    /// What happens to a request before its key's limits are asked, if anything does. `now` is since the start.
    pub(crate) fn before_limits(&mut self, facts: Facts, now: Duration) -> Option<Verdict> {
        let mut verdict = self.default.clone();
        self.of(facts.key)
            .any(|set| set.rules_strike(true, facts, now, &mut verdict))
            .then_some(verdict)
    }

    /// What happens to a request that came past them. `now` is since the start.
    pub(crate) fn decide(&mut self, facts: Facts, now: Duration) -> Verdict {
        let mut verdict = self.default.clone();
        // The first that strikes has written the verdict.
        self.of(facts.key).any(|set| {
            set.script_strikes(facts, &mut verdict) || set.rules_strike(false, facts, now, &mut verdict)
        });
        verdict
    }

    fn of(&mut self, key: Option<usize>) -> impl Iterator<Item = &mut RuleSet> {
        let key = key.and_then(|index| self.keys.get_mut(index));
        key.into_iter().chain([&mut self.global])
    }
}

impl Facts {
    /// A request without `stream_options`.
    pub(crate) fn new(endpoint: Endpoint, key: Option<usize>) -> Self {
        Self {
            endpoint,
            key,
            stream_options: false,
        }
    }
}

impl Verdict {
    /// This reply, as the scenario treats a request that no rule strikes.
    pub(crate) fn of(reply: Reply, scenario: &Scenario) -> Self {
        Self {
            reply,
            pace: scenario.pace(),
            after_response: scenario.after_response,
            headers: Vec::new(),
        }
    }

    /// The same with these headers before its own; what is said twice is said by the last.
    pub(crate) fn after(self, headers: Vec<(String, String)>) -> Self {
        Self {
            headers: headers.into_iter().chain(self.headers).collect(),
            ..self
        }
    }
}

impl RuleSet {
    fn rules_strike(
        &mut self,
        before_limits: bool,
        facts: Facts,
        now: Duration,
        verdict: &mut Verdict,
    ) -> bool {
        self.rules
            .iter_mut()
            .filter(|rule| rule.behaviour.before_limits == before_limits)
            .any(|rule| rule.strikes(facts, now, verdict))
    }

    /// An entry is used up even if it lets the request pass, so that entries and requests stay in step.
    fn script_strikes(&mut self, facts: Facts, verdict: &mut Verdict) -> bool {
        let Some(entry) = self
            .script
            .pop_front_if(|entry| entry.on.includes(facts.endpoint))
        else {
            return false;
        };
        Rule::new(entry, SplitMix64::new(0, 0)).strikes(facts, Duration::ZERO, verdict)
    }
}

impl Rule {
    fn new(behaviour: Behaviour, dice: SplitMix64) -> Self {
        let memory = match behaviour.action {
            Action::Limit(rate) => Memory::Window(Window::new(WindowKind::Sliding, rate.limit, rate.per)),
            Action::ThrottleOnce(_) => Memory::Throttled(None),
            Action::Reply(_) | Action::RefuseStreamOptions(_) => Memory::Nothing,
        };
        Self {
            behaviour,
            dice,
            memory,
        }
    }

    /// Writes its will into the verdict and says true, or lets the request pass.
    fn strikes(&mut self, facts: Facts, now: Duration, verdict: &mut Verdict) -> bool {
        if !self.behaviour.on.includes(facts.endpoint) || !self.behaviour.holds(now) {
            return false;
        }
        if self
            .behaviour
            .probability
            .is_some_and(|probability| !self.dice.chance(probability))
        {
            return false;
        }
        let Some(reply) = self.reply(facts, now, verdict) else {
            return false;
        };
        verdict.reply = reply;
        verdict.pace = self.behaviour.pace.over(verdict.pace);
        verdict.after_response = self.behaviour.after_response.unwrap_or(verdict.after_response);
        verdict.headers.extend(self.behaviour.headers.iter().cloned());
        true
    }

    fn reply(&mut self, facts: Facts, now: Duration, verdict: &mut Verdict) -> Option<Reply> {
        match (&self.behaviour.action, &mut self.memory) {
            (Action::Reply(reply), _) => Some(reply.clone()),
            (Action::RefuseStreamOptions(form), _) => {
                facts.stream_options.then(|| refused_stream_options(*form))
            }
            (Action::Limit(rate), Memory::Window(window)) => {
                let refused = over_limit(window, now);
                if rate.rate_headers {
                    verdict.headers.extend(rate_headers(window, now));
                }
                refused.map(|wait| {
                    throttled(RetryAfter {
                        wait,
                        form: rate.retry_after_form,
                    })
                })
            }
            (Action::ThrottleOnce(retry_after), Memory::Throttled(until)) => {
                let until = *until.get_or_insert(now + retry_after.wait);
                (now < until).then(|| {
                    throttled(RetryAfter {
                        wait: until - now,
                        ..*retry_after
                    })
                })
            }
            (Action::Limit(_) | Action::ThrottleOnce(_), _) => None,
        }
    }
}

impl Endpoint {
    fn includes(self, endpoint: Self) -> bool {
        match self {
            Self::Any => true,
            Self::Chat => matches!(endpoint, Self::ChatCompletions | Self::Responses),
            one => one == endpoint,
        }
    }
}

/// Lets a request into the window, or says how long until there is room.
fn over_limit(window: &mut Window, now: Duration) -> Option<Duration> {
    let wait = window.wait(1, now).filter(|wait| !wait.is_zero());
    if wait.is_none() {
        window.spend(1, now);
    }
    wait
}

/// The headers of OpenAI: what is left, and how long until nothing is used any more.
fn rate_headers(window: &mut Window, now: Duration) -> [(String, String); 3] {
    [
        ("x-ratelimit-limit-requests".into(), window.limit().to_string()),
        (
            "x-ratelimit-remaining-requests".into(),
            window.remaining(now).to_string(),
        ),
        (
            "x-ratelimit-reset-requests".into(),
            format!("{}ms", window.reset(now).as_millis()),
        ),
    ]
}

fn throttled(retry_after: RetryAfter) -> Reply {
    Reply::Status(StatusReply::throttled(retry_after))
}

fn refused_stream_options(form: RefusalForm) -> Reply {
    let (status, body) = match form {
        RefusalForm::Openai => (400, errors::stream_options_refused_openai()),
        RefusalForm::Fastapi => (422, errors::stream_options_refused_fastapi()),
    };
    Reply::Status(StatusReply {
        body: Some(body),
        ..StatusReply::new(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Facts = Facts {
        endpoint: Endpoint::ChatCompletions,
        key: None,
        stream_options: false,
    };

    fn rules(json: &str) -> Rules {
        Rules::new(&Scenario::from_json(json).unwrap())
    }

    fn status(verdict: &Verdict) -> u16 {
        match &verdict.reply {
            Reply::Status(reply) => reply.status,
            _ => 200,
        }
    }

    fn statuses(rules: &mut Rules, count: usize) -> Vec<u16> {
        (0..count)
            .map(|_| status(&rules.decide(CHAT, Duration::ZERO)))
            .collect()
    }

    #[test]
    fn a_script_is_used_up_one_entry_per_request_and_then_rules_hold() {
        let mut rules =
            rules(r#"{"script": [{"status": 500}, {"ok": true}], "behaviours": [{"status": 503}]}"#);
        assert_eq!(statuses(&mut rules, 4), [500, 200, 503, 503]);
    }

    #[test]
    fn a_key_has_its_own_script_and_falls_back_to_the_global_rules() {
        let mut rules = rules(
            r#"{"keys": [{"key": "a", "script": [{"status": 401}]}, {"key": "b"}], "behaviours": [{"status": 503}]}"#,
        );
        let mut ask = |key| {
            status(&rules.decide(
                Facts {
                    key: Some(key),
                    ..CHAT
                },
                Duration::ZERO,
            ))
        };
        assert_eq!([ask(1), ask(0), ask(0)], [503, 401, 503]);
    }

    #[test]
    fn a_rule_for_chat_does_not_touch_the_list_of_models() {
        let mut rules =
            rules(r#"{"script": [{"status": 500}], "behaviours": [{"status": 401, "on": "models"}]}"#);
        let models = Facts {
            endpoint: Endpoint::Models,
            ..CHAT
        };
        assert_eq!(status(&rules.decide(models, Duration::ZERO)), 401);
        assert_eq!(statuses(&mut rules, 2), [500, 200]);
    }

    #[test]
    fn a_rule_for_chat_looks_at_both_formats_unless_it_names_one() {
        for (on, chat, responses) in [
            ("chat", 500, 500),
            ("chat_completions", 500, 200),
            ("responses", 200, 500),
            ("embeddings", 200, 200),
            ("any", 500, 500),
        ] {
            let mut rules = rules(&format!(r#"{{"behaviours": [{{"status": 500, "on": "{on}"}}]}}"#));
            let mut on_endpoint = |endpoint| {
                let facts = Facts::new(endpoint, None);
                status(&rules.decide(facts, Duration::ZERO))
            };
            let struck = [Endpoint::ChatCompletions, Endpoint::Responses].map(&mut on_endpoint);
            assert_eq!(struck, [chat, responses], "{on}");
        }
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_and_differs_between_rules() {
        let json = |seed: u64| {
            format!(r#"{{"seed": {seed}, "behaviours": [{{"status": 500, "probability": 0.5}}]}}"#)
        };
        let first = statuses(&mut rules(&json(1)), 64);
        assert_eq!(first, statuses(&mut rules(&json(1)), 64));
        assert_ne!(first, statuses(&mut rules(&json(2)), 64));
        assert!(first.contains(&500) && first.contains(&200));
    }

    #[test]
    fn a_limit_holds_in_every_window_and_says_when_there_is_room() {
        let mut rules = rules(r#"{"behaviours": [{"limit": 2, "per": 10, "rate_headers": true}]}"#);
        let mut at = |seconds| rules.decide(CHAT, Duration::from_secs(seconds));
        assert_eq!([status(&at(0)), status(&at(4))], [200, 200]);
        let Reply::Status(refused) = at(6).reply else {
            panic!("the third in 10 s passed")
        };
        assert_eq!(refused.retry_after.unwrap().wait, Duration::from_secs(4));
        let again = at(10);
        assert_eq!(status(&again), 200, "the first has left the window");
        assert!(
            again
                .headers
                .contains(&("x-ratelimit-remaining-requests".into(), "0".into()))
        );
        assert_eq!(status(&at(13)), 429);
    }

    #[test]
    fn a_rule_holds_from_its_beginning_until_before_its_end() {
        let mut rules = rules(
            r#"{"behaviours": [{"status": 503, "from": 10, "until": 70}, {"status": 418, "from": 100}]}"#,
        );
        let mut at = |seconds| status(&rules.decide(CHAT, Duration::from_secs_f64(seconds)));
        assert_eq!([at(0.0), at(9.999), at(10.0), at(69.999)], [200, 200, 503, 503]);
        assert_eq!([at(70.0), at(99.0), at(100.0), at(1e6)], [200, 200, 418, 418]);
    }

    #[test]
    fn what_stands_before_the_limits_is_asked_there_and_only_there() {
        let mut rules = rules(
            r#"{"script": [{"status": 418}],
                "behaviours": [{"status": 503, "before_limits": true, "until": 5}, {"status": 500}]}"#,
        );
        let mut before = |seconds| {
            rules
                .before_limits(CHAT, Duration::from_secs(seconds))
                .map(|it| status(&it))
        };
        assert_eq!([before(0), before(5)], [Some(503), None]);
        assert_eq!(statuses(&mut rules, 2), [418, 500]);
    }

    #[test]
    fn throttling_once_ends_for_good() {
        let mut rules = rules(r#"{"behaviours": [{"throttle_once": 5}]}"#);
        let mut at = |seconds| status(&rules.decide(CHAT, Duration::from_secs(seconds)));
        assert_eq!([at(7), at(11), at(12), at(100)], [429, 429, 200, 200]);
    }

    #[test]
    fn only_requests_with_stream_options_are_refused_for_them() {
        let mut rules = rules(r#"{"behaviours": [{"refuse_stream_options": "fastapi"}]}"#);
        assert_eq!(statuses(&mut rules, 1), [200]);
        assert_eq!(
            status(&rules.decide(
                Facts {
                    stream_options: true,
                    ..CHAT
                },
                Duration::ZERO
            )),
            422
        );
    }
}
