//! Keys with one `quota_group` share one account. Other keys are separate, whatever the provider's responses
//! suggest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, KeyEntry, KeyLimits, KeyState, Limits, LlmInterface,
    ModelEntry, OpenAiCompatible, Providers, RateLimit, TargetSettings,
};
use llmpool_simulator::WindowKind;
use tokio::time::Instant;

use crate::support::honest::Honest;
use crate::support::{Action, COMPLETION, ScriptedProvider, answer, completion, error};
use crate::{WINDOWS, no_retries, rpm, run_at_rate, timeout_of};

fn entry(key: &str, limits: Limits, quota_group: Option<&str>) -> KeyEntry {
    KeyEntry {
        limits: KeyLimits {
            limits,
            ..KeyLimits::default()
        },
        quota_group: quota_group.map(str::to_owned),
        ..KeyEntry::from(key)
    }
}

fn pool(entries: impl IntoIterator<Item = KeyEntry>) -> ApiKeyPool {
    ApiKeyPool::from_entries("p", entries).unwrap()
}

fn target(script: &Arc<ScriptedProvider>, entries: impl IntoIterator<Item = KeyEntry>) -> OpenAiCompatible {
    crate::target(script, &pool(entries), TargetSettings::default())
}

/// Returns the position of each key that shares an account with the key at `position`.
fn shares_with(target: &OpenAiCompatible, position: usize) -> Vec<usize> {
    let status = target.key_status();
    let positions = status[position].shares_with.iter();
    let positions = positions.map(|label| status.iter().position(|key| key.label == *label).unwrap());
    positions.collect()
}

// L07
#[tokio::test(start_paused = true)]
async fn declared_group_uses_the_whole_limit_of_its_account() {
    for window in WINDOWS {
        for reports in [false, true] {
            let provider = Honest::new(window, 60, reports, |_| "one".to_owned());
            let entries = ["a", "b", "c"].map(|key| entry(key, rpm(60), Some("one")));
            let target = crate::target(&provider.script, &pool(entries), no_retries());
            let started = Instant::now();
            run_at_rate(&target, 3.0, 600, CallOptions::default()).await;
            let (passed, refused) = provider.counts(started);
            let late = provider.counts(started + Duration::from_secs(600)).0;
            let passed = passed - late;
            assert_eq!(refused, 0, "{window:?}, reports {reports}");
            assert!(passed >= 582, "{window:?}, reports {reports}: {passed} of 600");
        }
    }
}

// L07
#[tokio::test(start_paused = true)]
async fn declared_groups_use_the_whole_limits_of_two_accounts() {
    let account_of = |key: &str| key[..1].to_owned();
    let provider = Honest::new(WindowKind::Sliding, 60, false, account_of);
    let entries = ["a1", "b1", "a2", "b2", "a3"].map(|key| entry(key, rpm(60), Some(&key[..1])));
    let target = crate::target(&provider.script, &pool(entries), no_retries());
    let started = Instant::now();
    run_at_rate(&target, 6.0, 600, CallOptions::default()).await;
    let (passed, refused) = provider.counts(started);
    assert_eq!(refused, 0);
    assert!(passed >= 1164, "{passed} of 1200");
    assert_eq!(shares_with(&target, 0), [2, 4]);
    assert_eq!(shares_with(&target, 1), [3]);
}

// L07
#[tokio::test(start_paused = true)]
async fn refusal_of_one_key_cools_down_its_declared_group() {
    let script = ScriptedProvider::new(|number, _| {
        if number == 0 {
            Action::Send(error(429, "retry-after: 20\r\n", "rate_limit_exceeded"))
        } else {
            Action::Send(completion("ok"))
        }
    });
    let target = target(
        &script,
        ["a", "b", "c"].map(|key| entry(key, rpm(60), Some("one"))),
    );
    let started = Instant::now();
    target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(60.0))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(20),
        "the whole account cools down"
    );
    assert_eq!(script.requests(), 2);
}

/// Returns a provider with 700 of 1000 requests left in each account. `account_of` maps a key to its account,
/// and `headers` are sent with every response. Keys of the account `refused` are always refused.
fn counting(
    account_of: impl Fn(&str) -> usize + Send + Sync + 'static,
    headers: &'static str,
    refused: Option<usize>,
) -> Arc<ScriptedProvider> {
    let remaining: Mutex<BTreeMap<usize, u32>> = Mutex::default();
    ScriptedProvider::new(move |_, received| {
        let account = account_of(&received.key);
        if refused == Some(account) {
            let headers = format!("retry-after: 20\r\n{headers}");
            return Action::Send(error(429, &headers, "rate_limit_exceeded"));
        }
        let mut remaining = remaining.lock().unwrap();
        let remaining = remaining.entry(account).or_insert(700);
        *remaining -= 1;
        let headers = format!(
            "x-ratelimit-limit-requests: 1000\r\nx-ratelimit-remaining-requests: {remaining}\r\n\
             x-ratelimit-reset-requests: 40s\r\n{headers}"
        );
        Action::Send(answer(200, &headers, COMPLETION))
    })
}

const ONE_ORGANIZATION: &str = "openai-organization: org-1\r\n";

/// A linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Two replicas take turns, so that each sees every other value of both counters: together, the keys of each
/// replica report a range of values without gaps, although each key has its own counter. Some calls come out
/// of turn.
// reproduction 11
#[tokio::test(start_paused = true)]
async fn alternating_replicas_do_not_join_keys_of_two_accounts() {
    let mut numbers = Numbers(7);
    for groups in [[None, None], [Some("project-1"), Some("project-2")]] {
        for headers in ["", ONE_ORGANIZATION] {
            for out_of_turn in [0, 2] {
                let script = counting(|key| usize::from(key == "b"), headers, None);
                let entries = || [("a", groups[0]), ("b", groups[1])];
                let replica = || {
                    target(
                        &script,
                        entries().map(|(key, group)| entry(key, Limits::default(), group)),
                    )
                };
                let replicas = [replica(), replica()];
                // The second replica uses the other key next; both accounts have the same number of requests
                // left.
                replicas[1].chat(&ChatRequest::user("hi")).await.unwrap();
                let other_client = target(&script, [entry("b", Limits::default(), None)]);
                other_client.chat(&ChatRequest::user("hi")).await.unwrap();
                for call in 0..400 {
                    let turn = call + usize::from(numbers.below(100) < out_of_turn);
                    replicas[turn % 2].chat(&ChatRequest::user("hi")).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                for target in &replicas {
                    let case = format!("{groups:?}, {headers:?}, {out_of_turn} % out of turn");
                    assert_eq!(shares_with(target, 0), [0; 0], "{case}");
                }
            }
        }
    }
}

/// Two calls hold most of the tokens per minute while a header names their keys' organization for the first
/// time.
// reproduction 10
#[tokio::test(start_paused = true)]
async fn organization_header_loses_no_tokens_in_flight() {
    for group in [None, Some("one")] {
        let script = ScriptedProvider::new(|_, _| {
            Action::SendAfter(Duration::from_secs(1), answer(200, ONE_ORGANIZATION, COMPLETION))
        });
        let limits = Limits {
            tpm: Some(10_000),
            ..Limits::default()
        };
        let settings = TargetSettings {
            expected_output_tokens: Some(4900),
            ..TargetSettings::default()
        };
        let target = crate::target(
            &script,
            &pool(["a", "b"].map(|key| entry(key, limits, group))),
            settings,
        );
        let started = Instant::now();
        for _ in 0..3 {
            let (request, options) = (ChatRequest::user("hi"), timeout_of(10.0));
            let (one, other) = tokio::join!(
                target.chat_with(&request, &options),
                target.chat_with(&request, &options)
            );
            assert!(one.is_ok() && other.is_ok(), "{group:?}: {one:?} {other:?}");
        }
        assert_eq!(started.elapsed(), Duration::from_secs(3), "{group:?}");
    }
}

/// Two declared accounts: one without limits, one whose burst is used up when a header first names the
/// organization of both.
// reproduction 10, reproduction 11
#[tokio::test(start_paused = true)]
async fn organization_header_refills_no_limit_of_an_account() {
    let script = ScriptedProvider::new(|number, _| {
        let headers = if number < 10 { "" } else { ONE_ORGANIZATION };
        Action::SendAfter(Duration::from_secs(1), answer(200, headers, COMPLETION))
    });
    let limited = Limits {
        rpd: Some(7),
        rate_limit: Some(RateLimit::new(6, 0.001).unwrap()),
        ..Limits::default()
    };
    let open = Limits::default();
    let entries = [
        ("a", open, "x"),
        ("b", open, "x"),
        ("c", limited, "y"),
        ("d", limited, "y"),
    ];
    let entries = entries.map(|(key, limits, group)| entry(key, limits, Some(group)));
    let target = target(&script, entries);
    let mut answered = 0;
    for _ in 0..3 {
        answered += run_at_rate(&target, 20.0, 1, timeout_of(10.0)).await.0;
    }
    let received = script.received.lock().unwrap();
    let of_limited = received
        .iter()
        .filter(|received| ["c", "d"].contains(&&*received.key));
    assert_eq!(of_limited.count(), 6);
    assert_eq!(answered, 60);
}

/// Loads a configuration that puts keys into one account which the previous one kept apart. One of them is
/// out of quota.
#[tokio::test(start_paused = true)]
async fn reload_that_joins_keys_keeps_cooldowns_and_calls_in_flight() {
    let path = std::env::temp_dir().join(format!("llmpool-joined-{}.json", std::process::id()));
    let script = ScriptedProvider::new(|_, received| match &*received.key {
        "a" => Action::Send(error(429, "retry-after: 3600\r\n", "insufficient_quota")),
        _ => Action::SendAfter(Duration::from_secs(5), completion("ok")),
    });
    let load = |group| {
        let entries = ["a", "b"].map(|key| entry(key, Limits::default(), group));
        let model = ModelEntry::new("m", "http://scripted/v1", entries);
        let providers = Providers::builder().connector(script.clone());
        providers.model("p", model).build().unwrap()
    };
    let first = load(None);
    let model = first.model("p/m").unwrap();
    let call = async move { model.chat_with(&ChatRequest::user("hi"), &timeout_of(20.0)).await };
    let in_flight = tokio::spawn(call);
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.save_key_states(&path).unwrap();
    drop(first);
    let second = load(Some("one"));
    assert_eq!(second.load_key_states(&path).unwrap(), 1);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(in_flight.await.unwrap().unwrap().text(), "ok");
    let sent = script.requests();
    let model = second.model("p/m").unwrap();
    let error = model
        .chat_with(&ChatRequest::user("hi"), &timeout_of(20.0))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::NoQuota));
    assert_eq!(
        script.requests(),
        sent,
        "the account has no quota, whatever key is used"
    );
}

/// Both keys have used their daily limit when a reload puts them into one account with the same limit.
// reproduction 10
#[tokio::test(start_paused = true)]
async fn reload_that_joins_keys_admits_no_more_than_their_account() {
    let path = std::env::temp_dir().join(format!("llmpool-used-{}.json", std::process::id()));
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let limits = Limits {
        rpd: Some(2),
        ..Limits::default()
    };
    for group in [None, Some("one")] {
        let entries = ["a", "b"].map(|key| entry(key, limits, group));
        let model = ModelEntry::new("m", "http://scripted/v1", entries);
        let providers = Providers::builder().connector(script.clone());
        let providers = providers.model("p", model).build().unwrap();
        providers.load_key_states(&path).unwrap();
        let model = providers.model("p/m").unwrap();
        for _ in 0..4 {
            let _ = model.chat_with(&ChatRequest::user("hi"), &timeout_of(1.0)).await;
        }
        providers.save_key_states(&path).unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(script.requests(), 4);
}

/// 2 to 4 processes use the same 2 to 8 keys, which belong to several accounts of one organization. All keys
/// of one account are always refused.
// reproduction 11
#[tokio::test(start_paused = true)]
async fn accounts_do_not_affect_each_other_in_random_runs() {
    let mut numbers = Numbers(11);
    for run in 0..1000 {
        let processes = 2 + numbers.below(3);
        let keys = 2 + numbers.below(7);
        let accounts = 2 + numbers.below(keys - 1);
        let account_of: Vec<usize> = (0..keys)
            .map(|key| {
                if key < accounts {
                    key
                } else {
                    numbers.below(accounts)
                }
            })
            .collect();
        let declared = run % 2 == 0;
        let headers = if numbers.below(4) > 0 {
            ONE_ORGANIZATION
        } else {
            ""
        };
        let script = {
            let account_of = account_of.clone();
            counting(
                move |key| account_of[key.parse::<usize>().unwrap()],
                headers,
                Some(0),
            )
        };
        let entries = account_of.iter().enumerate().map(|(key, account)| {
            let group = account.to_string();
            entry(
                &key.to_string(),
                Limits::default(),
                Some(&*group).filter(|_| declared),
            )
        });
        let targets: Vec<_> = (0..processes).map(|_| target(&script, entries.clone())).collect();
        for call in 0..40 {
            let out_of_turn = usize::from(numbers.below(100) < 2);
            let started = Instant::now();
            let outcome = targets[(call + out_of_turn) % processes]
                .chat_with(&ChatRequest::user("hi"), &timeout_of(10.0))
                .await;
            assert!(outcome.is_ok(), "run {run}, {account_of:?}: {outcome:?}");
            assert_eq!(started.elapsed(), Duration::ZERO, "run {run}, {account_of:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for target in &targets {
            for (key, status) in target.key_status().into_iter().enumerate() {
                let healthy = account_of[key] > 0;
                assert_eq!(
                    status.state == KeyState::Healthy,
                    healthy,
                    "run {run}: {status:?}"
                );
                let members =
                    (0..keys).filter(|other| *other != key && account_of[*other] == account_of[key]);
                let members: Vec<_> = members.filter(|_| declared).collect();
                assert_eq!(shares_with(target, key), members, "run {run}: {account_of:?}");
            }
        }
    }
}

#[cfg(feature = "tracing")]
mod advice {
    use std::io::Write;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Makes calls with keys of the given groups, and returns the lines of the log that advise a
    /// `quota_group`. The provider names one organization for all keys except the second.
    async fn logged(groups: &[Option<&str>]) -> Vec<String> {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let script = ScriptedProvider::new(|_, received| {
            let organization = if received.key == "key-1" { "org-b" } else { "org-a" };
            let headers = format!("openai-organization: {organization}\r\n");
            Action::Send(answer(200, &headers, COMPLETION))
        });
        let entries = groups.iter().enumerate();
        let entries =
            entries.map(|(key, group)| entry(&format!("key-{key}"), Limits::default(), group.as_deref()));
        let target = target(&script, entries);
        for _ in 0..4 * groups.len() {
            target.chat(&ChatRequest::user("hi")).await.unwrap();
        }
        for (key, group) in groups.iter().enumerate() {
            assert!(group.is_some() || shares_with(&target, key).is_empty());
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains("quota_group"));
        lines.map(str::to_owned).collect()
    }

    // L07
    #[tokio::test(start_paused = true)]
    async fn keys_of_one_organization_are_logged_once() {
        let lines = logged(&[None, None, None, None]).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        for (line, key) in lines.iter().zip(["key-3", "key-4"]) {
            assert!(line.contains("key-1 ") && line.contains(key), "{line}");
            assert!(
                line.contains("look like one account") && !line.contains("org-"),
                "{line}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_with_declared_groups_are_not_logged() {
        for groups in [["x", "x", "x"], ["x", "y", "z"]] {
            let lines = logged(&groups.map(Some)).await;
            assert!(lines.is_empty(), "{lines:?}");
        }
        let lines = logged(&[Some("x"), None, None]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}
