//! The rules of a scenario, which decide the reply to each request.
//!
//! The rules are tried in this order: the script of the request's key, the rules of the key, the global
//! script, the global rules. The first rule that gives a reply decides, so a rule with a limit counts only
//! the requests that earlier rules let pass. Rules with `before_limits` are tried separately, before the
//! limits of the key are checked. Script entries cannot set `before_limits`.
//!
//! This module reads no clock: the time is an argument. Each rule has its own random stream. For the `n`-th
//! request that reaches a rule, the rule therefore makes the same decision in every run, whatever the other
//! rules do.

use std::collections::VecDeque;
use std::time::Duration;

use crate::behaviour::{AfterResponse, Behaviour, BehaviourAction, ResponseDelays};
use crate::errors;
use crate::limits::{LimitWindow, WindowKind};
use crate::random::SplitMix64;
use crate::reply::{SimulatedReply, StatusReply, StreamOptionsRefusal};
use crate::retry_after::RetryAfter;
use crate::scenario::Scenario;
use crate::stats::RequestKind;

/// All rules of a scenario, and the state of each rule.
#[derive(Debug)]
pub(crate) struct Rules {
    global: RuleSet,
    keys: Vec<RuleSet>,
    default: ReplyPlan,
}

/// The properties of a request that rules depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestInfo {
    pub(crate) kind: RequestKind,
    /// Zero-based index of the key in the scenario. `None` if the scenario has no keys.
    pub(crate) key: Option<usize>,
    /// Whether the request sets `stream_options`.
    pub(crate) stream_options: bool,
}

/// The reply to a request, with the delays, the extra headers and the connection handling of the response.
#[derive(Clone, Debug)]
pub(crate) struct ReplyPlan {
    pub(crate) reply: SimulatedReply,
    pub(crate) delays: ResponseDelays,
    pub(crate) after_response: AfterResponse,
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Debug)]
struct RuleSet {
    script: VecDeque<Behaviour>,
    rules: Vec<ActiveRule>,
}

#[derive(Debug)]
struct ActiveRule {
    behaviour: Behaviour,
    random: SplitMix64,
    state: RuleState,
}

/// The state that a rule keeps from one request to the next.
#[derive(Debug)]
enum RuleState {
    Stateless,
    /// The requests that passed a rule with the action [`BehaviourAction::Limit`].
    Window(LimitWindow),
    /// The time at which a rule with the action [`BehaviourAction::ThrottleOnce`] lets requests pass again,
    /// as a duration since the simulator's start. `None` before the first request.
    ThrottledUntil(Option<Duration>),
}

impl Rules {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut streams = 0..;
        let mut rule_set = |script: &[Behaviour], behaviours: &[Behaviour]| RuleSet {
            script: script.iter().cloned().collect(),
            rules: behaviours
                .iter()
                .zip(streams.by_ref())
                .map(|(behaviour, stream)| {
                    ActiveRule::new(behaviour.clone(), SplitMix64::new(scenario.seed, stream))
                })
                .collect(),
        };
        Self {
            global: rule_set(&scenario.script, &scenario.behaviours),
            keys: scenario
                .keys
                .iter()
                .map(|key| rule_set(&key.script, &key.behaviours))
                .collect(),
            default: ReplyPlan::new(SimulatedReply::Ok, scenario),
        }
    }

    /// Returns the reply of the first rule with `before_limits` that applies, or `None` if no rule with
    /// `before_limits` applies. `now` is the time since the simulator's start.
    pub(crate) fn decide_before_limits(&mut self, request: RequestInfo, now: Duration) -> Option<ReplyPlan> {
        let mut plan = self.default.clone();
        self.sets_of(request.key)
            .any(|set| set.apply_rules(true, request, now, &mut plan))
            .then_some(plan)
    }

    /// Returns the reply to a request that passed the limits of its key. `now` is the time since the
    /// simulator's start.
    pub(crate) fn decide(&mut self, request: RequestInfo, now: Duration) -> ReplyPlan {
        let mut plan = self.default.clone();
        // The first rule that applies changes the plan. If no rule applies, the default plan remains.
        self.sets_of(request.key).any(|set| {
            set.apply_script(request, &mut plan) || set.apply_rules(false, request, now, &mut plan)
        });
        plan
    }

    fn sets_of(&mut self, key: Option<usize>) -> impl Iterator<Item = &mut RuleSet> {
        let key = key.and_then(|index| self.keys.get_mut(index));
        key.into_iter().chain([&mut self.global])
    }
}

impl RequestInfo {
    /// Creates the properties of a request that does not set `stream_options`.
    pub(crate) fn new(kind: RequestKind, key: Option<usize>) -> Self {
        Self {
            kind,
            key,
            stream_options: false,
        }
    }
}

impl ReplyPlan {
    /// Creates a plan for this reply, with the scenario's delays, the scenario's connection handling, and no
    /// extra headers.
    pub(crate) fn new(reply: SimulatedReply, scenario: &Scenario) -> Self {
        Self {
            reply,
            delays: scenario.delays(),
            after_response: scenario.after_response,
            headers: Vec::new(),
        }
    }

    /// Adds headers before the existing headers. If an existing header has the same name as an added header,
    /// only the existing header is sent.
    pub(crate) fn with_headers_first(self, headers: Vec<(String, String)>) -> Self {
        Self {
            headers: headers.into_iter().chain(self.headers).collect(),
            ..self
        }
    }
}

impl RuleSet {
    /// Tries the rules whose `before_limits` equals the argument, in order, until one rule gives a reply, and
    /// writes this reply into the plan. Returns whether a rule gave a reply.
    fn apply_rules(
        &mut self,
        before_limits: bool,
        request: RequestInfo,
        now: Duration,
        plan: &mut ReplyPlan,
    ) -> bool {
        self.rules
            .iter_mut()
            .filter(|rule| rule.behaviour.before_limits == before_limits)
            .any(|rule| rule.apply(request, now, plan))
    }

    /// Applies the next script entry if the entry is for the endpoint of this request. Returns whether the
    /// entry gave a reply. The entry is removed even if it lets the request pass, so that each entry is used
    /// for one request.
    fn apply_script(&mut self, request: RequestInfo, plan: &mut ReplyPlan) -> bool {
        let Some(entry) = self.script.pop_front_if(|entry| entry.on.matches(request.kind)) else {
            return false;
        };
        ActiveRule::new(entry, SplitMix64::new(0, 0)).apply(request, Duration::ZERO, plan)
    }
}

impl ActiveRule {
    fn new(behaviour: Behaviour, random: SplitMix64) -> Self {
        let state = match behaviour.action {
            BehaviourAction::Limit(rate) => {
                RuleState::Window(LimitWindow::new(WindowKind::Sliding, rate.limit, rate.per))
            }
            BehaviourAction::ThrottleOnce(_) => RuleState::ThrottledUntil(None),
            BehaviourAction::Reply(_) | BehaviourAction::RefuseStreamOptions(_) => RuleState::Stateless,
        };
        Self {
            behaviour,
            random,
            state,
        }
    }

    /// Writes the rule's reply into the plan and returns `true`, or lets the request pass and returns `false`.
    fn apply(&mut self, request: RequestInfo, now: Duration, plan: &mut ReplyPlan) -> bool {
        if !self.behaviour.on.matches(request.kind) || !self.behaviour.is_active(now) {
            return false;
        }
        if self
            .behaviour
            .probability
            .is_some_and(|probability| !self.random.chance(probability))
        {
            return false;
        }
        let Some(reply) = self.reply(request, now, plan) else {
            return false;
        };
        plan.reply = reply;
        plan.delays = self.behaviour.delays.apply_to(plan.delays);
        plan.after_response = self.behaviour.after_response.unwrap_or(plan.after_response);
        plan.headers.extend(self.behaviour.headers.iter().cloned());
        true
    }

    fn reply(&mut self, request: RequestInfo, now: Duration, plan: &mut ReplyPlan) -> Option<SimulatedReply> {
        match (&self.behaviour.action, &mut self.state) {
            (BehaviourAction::Reply(reply), _) => Some(reply.clone()),
            (BehaviourAction::RefuseStreamOptions(form), _) => {
                request.stream_options.then(|| stream_options_rejected(*form))
            }
            (BehaviourAction::Limit(rate), RuleState::Window(window)) => {
                let wait = try_acquire(window, now).err();
                if rate.rate_headers {
                    plan.headers.extend(rate_headers(window, now));
                }
                wait.map(|wait| {
                    throttled(RetryAfter {
                        wait,
                        form: rate.retry_after_form,
                    })
                })
            }
            (BehaviourAction::ThrottleOnce(retry_after), RuleState::ThrottledUntil(until)) => {
                let until = *until.get_or_insert(now + retry_after.wait);
                (now < until).then(|| {
                    throttled(RetryAfter {
                        wait: until - now,
                        ..*retry_after
                    })
                })
            }
            (BehaviourAction::Limit(_) | BehaviourAction::ThrottleOnce(_), _) => None,
        }
    }
}

/// Counts a request in the window if the limit has room for the request. Otherwise, returns the time until
/// the limit has room, as an error.
fn try_acquire(window: &mut LimitWindow, now: Duration) -> Result<(), Duration> {
    match window.wait_for(1, now) {
        Some(wait) if !wait.is_zero() => Err(wait),
        _ => {
            window.spend(1, now);
            Ok(())
        }
    }
}

/// Returns OpenAI's rate limit headers for requests: the limit, the remaining requests, and the time until the whole
/// limit is available.
fn rate_headers(window: &mut LimitWindow, now: Duration) -> [(String, String); 3] {
    [
        ("x-ratelimit-limit-requests".into(), window.limit().to_string()),
        (
            "x-ratelimit-remaining-requests".into(),
            window.remaining(now).to_string(),
        ),
        (
            "x-ratelimit-reset-requests".into(),
            format!("{}ms", window.time_to_full(now).as_millis()),
        ),
    ]
}

fn throttled(retry_after: RetryAfter) -> SimulatedReply {
    SimulatedReply::Status(StatusReply::throttled(retry_after))
}

fn stream_options_rejected(form: StreamOptionsRefusal) -> SimulatedReply {
    let (status, body) = match form {
        StreamOptionsRefusal::Openai => (400, errors::stream_options_rejected_openai()),
        StreamOptionsRefusal::Fastapi => (422, errors::stream_options_rejected_fastapi()),
    };
    SimulatedReply::Status(StatusReply {
        body: Some(body),
        ..StatusReply::new(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: RequestInfo = RequestInfo {
        kind: RequestKind::Chat,
        key: None,
        stream_options: false,
    };

    fn rules(json: &str) -> Rules {
        Rules::new(&Scenario::from_json(json).unwrap())
    }

    fn status(plan: &ReplyPlan) -> u16 {
        match &plan.reply {
            SimulatedReply::Status(reply) => reply.status,
            _ => 200,
        }
    }

    fn statuses(rules: &mut Rules, count: usize) -> Vec<u16> {
        (0..count)
            .map(|_| status(&rules.decide(CHAT, Duration::ZERO)))
            .collect()
    }

    #[test]
    fn script_entries_come_before_rules() {
        let mut rules =
            rules(r#"{"script": [{"status": 500}, {"ok": true}], "behaviours": [{"status": 503}]}"#);
        assert_eq!(statuses(&mut rules, 4), [500, 200, 503, 503]);
    }

    #[test]
    fn key_script_comes_before_global_rules() {
        let mut rules = rules(
            r#"{"keys": [{"key": "a", "script": [{"status": 401}]}, {"key": "b"}], "behaviours": [{"status": 503}]}"#,
        );
        let mut decide = |key| {
            status(&rules.decide(
                RequestInfo {
                    key: Some(key),
                    ..CHAT
                },
                Duration::ZERO,
            ))
        };
        assert_eq!([decide(1), decide(0), decide(0)], [503, 401, 503]);
    }

    #[test]
    fn chat_rule_ignores_model_requests() {
        let mut rules =
            rules(r#"{"script": [{"status": 500}], "behaviours": [{"status": 401, "on": "models"}]}"#);
        let models = RequestInfo {
            kind: RequestKind::Models,
            ..CHAT
        };
        assert_eq!(status(&rules.decide(models, Duration::ZERO)), 401);
        assert_eq!(statuses(&mut rules, 2), [500, 200]);
    }

    #[test]
    fn endpoint_filter_selects_formats() {
        for (on, chat, responses) in [
            ("chat", 500, 500),
            ("chat_completions", 500, 200),
            ("responses", 200, 500),
            ("embeddings", 200, 200),
            ("any", 500, 500),
        ] {
            let mut rules = rules(&format!(r#"{{"behaviours": [{{"status": 500, "on": "{on}"}}]}}"#));
            let mut decide = |kind| {
                let request = RequestInfo::new(kind, None);
                status(&rules.decide(request, Duration::ZERO))
            };
            let statuses = [RequestKind::Chat, RequestKind::Responses].map(&mut decide);
            assert_eq!(statuses, [chat, responses], "{on}");
        }
    }

    #[test]
    fn random_rules_are_reproducible_by_seed() {
        let json = |seed: u64| {
            format!(r#"{{"seed": {seed}, "behaviours": [{{"status": 500, "probability": 0.5}}]}}"#)
        };
        let first = statuses(&mut rules(&json(1)), 64);
        assert_eq!(first, statuses(&mut rules(&json(1)), 64));
        assert_ne!(first, statuses(&mut rules(&json(2)), 64));
        assert!(first.contains(&500) && first.contains(&200));
    }

    #[test]
    fn limit_denies_with_exact_wait() {
        let mut rules = rules(r#"{"behaviours": [{"limit": 2, "per": 10, "rate_headers": true}]}"#);
        let mut at = |seconds| rules.decide(CHAT, Duration::from_secs(seconds));
        assert_eq!([status(&at(0)), status(&at(4))], [200, 200]);
        let SimulatedReply::Status(refused) = at(6).reply else {
            panic!("the third request in 10 s passed")
        };
        assert_eq!(refused.retry_after.unwrap().wait, Duration::from_secs(4));
        let again = at(10);
        assert_eq!(status(&again), 200, "the first request has left the window");
        assert!(
            again
                .headers
                .contains(&("x-ratelimit-remaining-requests".into(), "0".into()))
        );
        assert_eq!(status(&at(13)), 429);
    }

    #[test]
    fn rule_is_active_from_start_until_end() {
        let mut rules = rules(
            r#"{"behaviours": [{"status": 503, "from": 10, "until": 70}, {"status": 418, "from": 100}]}"#,
        );
        let mut at = |seconds| status(&rules.decide(CHAT, Duration::from_secs_f64(seconds)));
        assert_eq!([at(0.0), at(9.999), at(10.0), at(69.999)], [200, 200, 503, 503]);
        assert_eq!([at(70.0), at(99.0), at(100.0), at(1e6)], [200, 200, 418, 418]);
    }

    #[test]
    fn before_limits_rules_are_tried_only_there() {
        let mut rules = rules(
            r#"{"script": [{"status": 418}],
                "behaviours": [{"status": 503, "before_limits": true, "until": 5}, {"status": 500}]}"#,
        );
        let mut decide_before = |seconds| {
            rules
                .decide_before_limits(CHAT, Duration::from_secs(seconds))
                .map(|plan| status(&plan))
        };
        assert_eq!([decide_before(0), decide_before(5)], [Some(503), None]);
        assert_eq!(statuses(&mut rules, 2), [418, 500]);
    }

    #[test]
    fn throttle_once_does_not_repeat() {
        let mut rules = rules(r#"{"behaviours": [{"throttle_once": 5}]}"#);
        let mut at = |seconds| status(&rules.decide(CHAT, Duration::from_secs(seconds)));
        assert_eq!([at(7), at(11), at(12), at(100)], [429, 429, 200, 200]);
    }

    #[test]
    fn requests_without_stream_options_pass() {
        let mut rules = rules(r#"{"behaviours": [{"refuse_stream_options": "fastapi"}]}"#);
        assert_eq!(statuses(&mut rules, 1), [200]);
        assert_eq!(
            status(&rules.decide(
                RequestInfo {
                    stream_options: true,
                    ..CHAT
                },
                Duration::ZERO
            )),
            422
        );
    }
}
