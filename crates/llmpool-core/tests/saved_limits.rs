//! Limits across restarts: a limiter continues with the state that another one saved.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    CooldownReason, Demand, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits, LearnedPace, LimitScope,
    Limiter, Limits, RateLimit, RefusalWait, SavedCharge, SavedCooldown, SavedLimits, SavedScope, SavedState,
    TargetId, TargetLimits,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A process with one limiter.
struct Process {
    limiter: Limiter,
    target: TargetId,
    keys: Vec<KeyId>,
    started: Duration,
    /// What the clock of the process shows at its start.
    origin: Timestamp,
}

/// What is configured for two keys.
#[derive(Clone, Copy, Debug, Default)]
struct Config {
    of_keys: Limits,
    /// The limits of the quota group of both keys. `None` if they belong to none.
    of_group: Option<Limits>,
    of_target: Limits,
    scope: LimitScope,
    /// Whether no pace is inferred from refusals.
    is_fixed: bool,
}

impl Process {
    /// `started`: the true time of the start.
    fn start(config: Config, started: Duration) -> Self {
        let mut limiter = Limiter::new();
        let limits = KeyLimits {
            limits: config.of_keys,
            learn: !config.is_fixed,
            ..KeyLimits::default()
        };
        let group = config.of_group.map(|limits| limiter.add_group(limits, true));
        let keys = [(); 2].map(|()| match group {
            Some(group) => limiter.add_key_to_group(group, limits),
            None => limiter.add_key(limits),
        });
        let limits = TargetLimits {
            limits: config.of_target,
            limit_scope: config.scope,
            ..TargetLimits::default()
        };
        let target = limiter.add_target(&keys, limits, Timestamp::ZERO);
        Self {
            limiter,
            target,
            keys: keys.to_vec(),
            started,
            origin: Timestamp::ZERO,
        }
    }

    /// Returns a process that continues with the state of this one.
    fn restart(&self, config: Config, saved_at: Duration, started: Duration) -> Self {
        let saved = self.limiter.save(self.at(saved_at));
        let mut next = Self::start(config, started);
        next.origin = self.origin;
        next.limiter.load(&saved, started - saved_at, next.origin);
        next
    }

    fn at(&self, time: Duration) -> Timestamp {
        self.origin + (time - self.started)
    }

    fn acquire(&mut self, tokens: u32, time: Duration) -> Option<Grant> {
        self.acquire_with(KeyConstraint::Any, tokens, time)
    }

    fn acquire_with(&mut self, constraint: KeyConstraint, tokens: u32, time: Duration) -> Option<Grant> {
        let (demand, now) = (Demand { requests: 1, tokens }, self.at(time));
        self.limiter.acquire(self.target, demand, constraint, now).ok()
    }

    fn send(&mut self, tokens: u32, time: Duration) -> bool {
        let grant = self.acquire(tokens, time);
        let sent = grant.map(|mut grant| self.limiter.release(&mut grant, true, self.at(time)));
        sent.is_some()
    }

    fn availability(&self, key: usize, time: Duration) -> KeyAvailability {
        self.limiter
            .key_availability_at(self.target, self.keys[key], self.at(time))
    }
}

fn limits() -> Limits {
    Limits {
        rate_limit: Some(RateLimit::new(5, 0.5).unwrap()),
        rpm: Some(12),
        tpm: Some(100),
        rpd: Some(40),
        ..Limits::default()
    }
}

/// Returns the maximum sum of the amounts within any `span`.
fn most(charges: &[(Duration, u32)], span: Duration) -> u32 {
    let within = |from: Duration| {
        charges
            .iter()
            .filter(move |(at, _)| *at >= from && *at <= from + span)
    };
    let sums = charges
        .iter()
        .map(|(from, _)| within(*from).map(|(_, amount)| amount).sum());
    sums.max().unwrap_or(0)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(u32),
    SendUnsettled(u32),
    Wait(Duration),
    /// Restarts after a time, of which a part counts as passed.
    Restart(Duration, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![
        (0..20_000_u64).prop_map(Duration::from_millis),
        (0..120_000_000_000_u64).prop_map(Duration::from_nanos),
        (0..20_u64).prop_map(|hours| Duration::from_secs(hours * 3600)),
    ];
    let step = prop_oneof![
        6 => (0..30_u32).prop_map(Step::Send),
        2 => (0..30_u32).prop_map(Step::SendUnsettled),
        3 => wait.clone().prop_map(Step::Wait),
        2 => (wait, prop_oneof![Just(100), 0..=100_u32]).prop_map(|(wait, part)| Step::Restart(wait, part)),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn charges_over_restarts_exceed_no_limit(steps in steps(), place in 0..3_usize, is_paced in any::<bool>()) {
        let mut config = Config::default();
        let mut limits = limits();
        if !is_paced {
            // Otherwise, the bucket of `rpm` hides that of `rate_limit`.
            limits.rpm = None;
        }
        match place {
            0 => config.of_keys = limits,
            1 => config.of_group = Some(limits),
            _ => config.of_target = limits,
        }
        let mut process = Process::start(config, Duration::ZERO);
        let only = KeyConstraint::Key(process.keys[0]);
        let (mut time, mut lag, mut sent) = (Duration::ZERO, Duration::ZERO, Vec::new());
        let mut unsettled: Vec<(Grant, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Send(tokens) => {
                    if let Some(mut grant) = process.acquire_with(only, tokens, time) {
                        let now = process.at(time);
                        process.limiter.settle(&mut grant, tokens / 2, now);
                        process.limiter.release(&mut grant, true, now);
                        sent.push((time, tokens / 2));
                    }
                }
                Step::SendUnsettled(tokens) => {
                    if let Some(grant) = process.acquire_with(only, tokens, time) {
                        unsettled.push((grant, sent.len()));
                        sent.push((time, tokens));
                    }
                }
                Step::Wait(wait) => {
                    time += wait;
                    for (mut grant, index) in unsettled.drain(..) {
                        let now = process.at(time);
                        process.limiter.settle(&mut grant, 0, now);
                        process.limiter.release(&mut grant, true, now);
                        sent[index].1 = 0;
                    }
                }
                Step::Restart(wait, part) => {
                    let saved = process.limiter.save(process.at(time));
                    let elapsed = wait * part / 100;
                    time += wait;
                    lag += wait - elapsed;
                    process = Process::start(config, time);
                    process.limiter.load(&saved, elapsed, Timestamp::ZERO);
                    unsettled.clear();
                }
            }
        }
        let requests: Vec<_> = sent.iter().map(|(at, _)| (*at, 1)).collect();
        prop_assert!(!is_paced || most(&requests, MINUTE) <= 12, "{:?}", sent);
        prop_assert!(most(&sent, MINUTE) <= 100, "{:?}", sent);
        prop_assert!(most(&requests, DAY) <= 40, "{:?}", sent);
        for (index, (from, _)) in sent.iter().enumerate() {
            for (count, (to, _)) in (1..).zip(&sent[index..]) {
                let allowed = 5.0 + 0.5 * (*to - *from).as_secs_f64();
                prop_assert!(f64::from(count) <= allowed + 1e-6, "{:?}", sent);
            }
        }
        // Everything is available again once the charges have left the span, two segments later at most. Time
        // that did not count as passed adds to that.
        let rest = |span: Duration, segment: Duration| time + lag + span + segment * 2 + SECOND;
        let minute = rest(MINUTE, Duration::from_millis(250));
        let day = rest(DAY, Duration::from_secs(900));
        let lasting = lag + DAY + Duration::from_secs(1801);
        for after in [minute, day] {
            let mut process = process.restart(config, time, after);
            let counting = requests.iter().filter(|(at, _)| *at + lasting >= after);
            if counting.count() < 40 {
                prop_assert!(process.acquire_with(only, 100, after).is_some(), "{:?}", sent);
            }
        }
        let mut process = process.restart(config, time, day);
        let answered = (0..100).filter(|index| process.acquire_with(only, 0, day + MINUTE * *index).is_some());
        prop_assert_eq!(answered.count(), 40);
    }
}

/// Charges must not last longer with each restart: a command that runs every few minutes would be refused for
/// good.
#[test]
fn charges_expire_although_restarts_follow_each_other_quickly() {
    for seconds in [7, 61, 433, 899] {
        let rpd = Limits {
            rpd: Some(10),
            ..Limits::default()
        };
        let config = Config {
            of_target: rpd,
            ..Config::default()
        };
        let mut process = Process::start(config, Duration::ZERO);
        let (mut time, mut sent) = (Duration::ZERO, 0);
        while time < DAY * 5 {
            sent += u32::from(process.send(0, time));
            time += Duration::from_secs(seconds);
            process = process.restart(config, time - SECOND, time);
        }
        assert_eq!(sent, 50, "{seconds} s");
    }
}

/// The limits of both processes were used before the second one loads the state of the first.
#[test]
fn loaded_charges_add_to_those_of_a_running_process() {
    let config = Config {
        of_keys: Limits {
            rpd: Some(4),
            tpm: Some(40),
            ..Limits::default()
        },
        ..Config::default()
    };
    let mut first = Process::start(config, Duration::ZERO);
    let mut second = Process::start(config, Duration::ZERO);
    let only = KeyConstraint::Key(first.keys[0]);
    for process in [&mut first, &mut second] {
        assert!(process.acquire_with(only, 15, SECOND).is_some());
    }
    let saved = first.limiter.save(first.at(SECOND));
    second.limiter.load(&saved, Duration::ZERO, second.at(SECOND * 2));
    assert!(second.acquire_with(only, 11, SECOND * 2).is_none());
    assert!(second.acquire_with(only, 10, SECOND * 2).is_some());
    let later = MINUTE * 2;
    assert!(second.acquire_with(only, 40, later).is_some());
    assert!(second.acquire_with(only, 0, later).is_none(), "four requests");
}

proptest! {
    /// Both keys are used before a restart puts them into one quota group. Their segments begin at different
    /// times.
    #[test]
    fn joined_keys_exceed_no_limit(sends in prop::collection::vec((0..2_usize, 0..2400_u64), 1..60)) {
        let rpd = Limits { rpd: Some(10), ..Limits::default() };
        let apart = Config { of_keys: rpd, ..Config::default() };
        let joined = Config { of_group: Some(rpd), ..Config::default() };
        let mut process = Process::start(apart, Duration::ZERO);
        let (mut time, mut sent) = (Duration::ZERO, Vec::new());
        for (index, (key, wait)) in sends.into_iter().enumerate() {
            time += Duration::from_secs(wait);
            if index % 8 == 7 {
                process = process.restart(apart, time, time);
            }
            let only = KeyConstraint::Key(process.keys[key]);
            if process.acquire_with(only, 0, time).is_some() {
                sent.push(time);
            }
        }
        let mut process = process.restart(joined, time, time);
        let end = time + DAY + Duration::from_secs(1800);
        while time < end {
            if process.acquire(0, time).is_some() {
                sent.push(time);
                let counted = sent.iter().filter(|at| **at + DAY >= time).count();
                prop_assert!(counted <= 10, "{:?}", sent);
            }
            time += Duration::from_secs(37);
        }
        let after = sent.iter().filter(|at| **at + DAY >= end).count();
        prop_assert!(after >= 9, "{:?}", sent);
    }
}

// reproduction 10
#[test]
fn joined_keys_count_for_their_quota_group() {
    let rpd = Limits {
        rpd: Some(5),
        ..Limits::default()
    };
    let apart = Config {
        of_keys: rpd,
        ..Config::default()
    };
    let joined = Config {
        of_keys: rpd,
        of_group: Some(rpd),
        ..Config::default()
    };
    let mut process = Process::start(apart, Duration::ZERO);
    for _ in 0..4 {
        assert!(process.send(0, SECOND));
    }
    let process = process.restart(joined, SECOND, MINUTE);
    // A restart without another change adds nothing.
    let mut process = process.restart(joined, MINUTE, MINUTE);
    assert!(process.send(0, MINUTE));
    let mut process = process.restart(joined, MINUTE, MINUTE * 2);
    assert!(!process.send(0, MINUTE * 2));
    // What the group has used counts for each of its keys.
    let mut process = process.restart(apart, MINUTE * 2, MINUTE * 3);
    assert!(!process.send(0, MINUTE * 3));
    assert!(process.send(0, DAY + MINUTE * 31));
}

#[test]
fn cooldowns_survive_with_their_reasons_and_ends() {
    let config = Config::default();
    let mut process = Process::start(config, Duration::ZERO);
    for (key, reason) in [(0, CooldownReason::Invalid), (1, CooldownReason::NoQuota)] {
        let only = KeyConstraint::Key(process.keys[key]);
        let mut grant = process.acquire_with(only, 0, SECOND).unwrap();
        let now = process.at(SECOND);
        process.limiter.record_refusal(&grant, reason, Some(MINUTE), now);
        process.limiter.release(&mut grant, true, now);
    }
    let next = process.restart(config, SECOND * 11, SECOND * 31);
    let (now, end) = (SECOND * 31, next.at(SECOND * 61));
    assert_eq!(next.availability(0, now), KeyAvailability::Invalid(end));
    assert_eq!(next.availability(1, now), KeyAvailability::NoQuota(end));
    // After their end, one attempt tests each key.
    let mut next = process.restart(config, SECOND * 11, DAY);
    let grants: Vec<_> = (0..3).map_while(|_| next.acquire(0, DAY)).collect();
    assert_eq!(grants.len(), 2);
}

#[test]
fn cooldown_of_a_target_survives() {
    let config = Config::default();
    let mut process = Process::start(config, Duration::ZERO);
    let mut grant = process.acquire(0, SECOND).unwrap();
    let now = process.at(SECOND);
    process.limiter.record_target_failure(&grant, Some(MINUTE), now);
    process.limiter.release(&mut grant, true, now);
    let mut next = process.restart(config, SECOND * 11, SECOND * 31);
    assert!(!next.send(0, SECOND * 60));
    assert!(next.send(0, SECOND * 61));
}

#[test]
fn model_denial_survives() {
    let config = Config::default();
    let mut process = Process::start(config, Duration::ZERO);
    let mut grant = process.acquire(0, SECOND).unwrap();
    let now = process.at(SECOND);
    process
        .limiter
        .record_refusal(&grant, CooldownReason::Forbidden, None, now);
    process.limiter.release(&mut grant, true, now);
    let mut next = process.restart(config, SECOND * 11, SECOND * 31);
    let end = next.at(SECOND * 61);
    assert_eq!(next.availability(0, SECOND * 31), KeyAvailability::Forbidden(end));
    assert_eq!(next.availability(1, SECOND * 31), KeyAvailability::Healthy);
    let key = next.limiter.key_availability(next.keys[0], next.at(SECOND * 31));
    assert_eq!(key, KeyAvailability::Healthy, "for other models");
    // The success of a probe lifts the denial.
    let only = KeyConstraint::Key(next.keys[0]);
    let mut probe = next.acquire_with(only, 0, SECOND * 61).unwrap();
    let now = next.at(SECOND * 61);
    next.limiter.record_success(&probe, now);
    next.limiter.release(&mut probe, true, now);
    assert_eq!(next.availability(0, SECOND * 61), KeyAvailability::Healthy);
}

/// Sends requests with the first key at 4 per second for 20 s, of which the last is refused.
fn refused_process(config: Config, wait: RefusalWait) -> (Process, Duration) {
    let mut process = Process::start(config, Duration::ZERO);
    process.origin = Timestamp::ZERO + MINUTE * 60;
    let only = KeyConstraint::Key(process.keys[0]);
    let mut time = SECOND;
    for number in 0..80 {
        time += SECOND / 4;
        let mut grant = process.acquire_with(only, 0, time).unwrap();
        let now = process.at(time);
        if number == 79 {
            process
                .limiter
                .record_refusal(&grant, CooldownReason::Throttled, wait, now);
        } else {
            process.limiter.record_success(&grant, now);
        }
        process.limiter.release(&mut grant, true, now);
    }
    (process, time)
}

#[test]
fn pause_and_learned_pace_survive() {
    for scope in [LimitScope::Model, LimitScope::Key] {
        let config = Config {
            scope,
            ..Config::default()
        };
        let (process, refused) = refused_process(config, RefusalWait::Exact(SECOND * 10));
        let (saved_at, started) = (refused + SECOND, refused + SECOND * 4);
        let mut next = process.restart(config, saved_at, started);
        let per_minute = process.limiter.observed_per_minute(process.keys[0]).unwrap();
        assert_eq!(next.limiter.observed_per_minute(next.keys[0]), Some(per_minute));
        let end = next.at(refused + SECOND * 10);
        assert_eq!(next.availability(0, started), KeyAvailability::Throttled(end));
        assert_eq!(next.availability(1, started), KeyAvailability::Healthy);
        let only = KeyConstraint::Key(next.keys[0]);
        assert!(
            next.acquire_with(only, 0, refused + SECOND * 10 - SECOND / 100)
                .is_none()
        );
        // One probe, then requests at the learned pace.
        let time = refused + SECOND * 10;
        let mut probe = next.acquire_with(only, 0, time).unwrap();
        assert!(probe.is_probe());
        let now = next.at(time);
        next.limiter.record_success(&probe, now);
        next.limiter.release(&mut probe, true, now);
        let sent = (1..=200).filter(|step| {
            let time = time + SECOND * *step / 10;
            next.acquire_with(only, 0, time).is_some()
        });
        let expected = per_minute / 3.0;
        let sent = sent.count() as f64;
        assert!((sent - expected).abs() <= 5.0, "{sent} of {expected}");
    }
}

#[test]
fn learned_pace_is_forgotten_over_a_restart_if_it_delays_nothing() {
    let config = Config::default();
    let (process, refused) = refused_process(config, RefusalWait::Unknown);
    let next = process.restart(config, refused + SECOND, refused + MINUTE + SECOND);
    assert_eq!(next.limiter.observed_per_minute(next.keys[0]), None);
    // Each process lives for a second, and sends no request.
    let (mut process, mut time, mut kept) = (process, refused, 0);
    while kept < 100 && process.limiter.observed_per_minute(process.keys[0]).is_some() {
        process = process.restart(config, time + SECOND, time + SECOND * 2);
        (time, kept) = (time + SECOND * 2, kept + 1);
    }
    assert!((29..=31).contains(&kept), "{kept}");
}

#[test]
fn single_requests_after_a_refusal_survive() {
    let rpm = Limits {
        rpm: Some(60),
        ..Limits::default()
    };
    let config = Config {
        of_keys: rpm,
        ..Config::default()
    };
    let mut process = Process::start(config, Duration::ZERO);
    let only = KeyConstraint::Key(process.keys[0]);
    let mut grant = process.acquire_with(only, 0, SECOND).unwrap();
    let now = process.at(SECOND);
    let reason = CooldownReason::Throttled;
    process.limiter.record_refusal(&grant, reason, Some(SECOND), now);
    process.limiter.release(&mut grant, true, now);
    process.limiter.set_enabled(process.keys[0], true, now);
    let burst = |started: Duration| {
        let mut next = process.restart(config, SECOND, started);
        let time = started + SECOND * 5;
        (0..5)
            .filter(|_| next.acquire_with(only, 0, time).is_some())
            .count()
    };
    assert_eq!(burst(SECOND * 590), 1);
    assert_eq!(burst(SECOND * 596), 3);
    let mut saved = process.limiter.save(process.at(SECOND));
    let key = saved
        .iter_mut()
        .find(|saved| saved.scope == SavedScope::Key(process.keys[0]));
    key.unwrap().state.single_for_ms = u64::MAX;
    let mut next = Process::start(config, SECOND);
    next.limiter.load(&saved, Duration::ZERO, next.at(SECOND));
    let time = MINUTE * 11;
    let burst = (0..5).filter(|_| next.acquire_with(only, 0, time).is_some());
    assert_eq!(burst.count(), 3, "ten minutes at most");
}

#[test]
fn full_minute_that_has_passed_leaves_the_burst_over_a_restart() {
    let config = Config {
        of_target: Limits {
            rpm: Some(3),
            ..Limits::default()
        },
        ..Config::default()
    };
    let mut process = Process::start(config, Duration::ZERO);
    process.origin = Timestamp::ZERO + MINUTE;
    assert!((0..3).all(|_| process.send(0, SECOND)));
    let mut next = process.restart(config, SECOND, MINUTE * 3);
    assert!((0..3).all(|_| next.send(0, MINUTE * 3)));
}

/// A process that is restarted every few seconds admits requests at the same times as one that is not, within
/// rounding.
#[test]
fn restarts_do_not_change_the_pace_of_requests() {
    let rpm = Limits {
        rpm: Some(60),
        ..Limits::default()
    };
    let tpm = Limits {
        tpm: Some(60),
        ..Limits::default()
    };
    let bucket = Limits::from(Some(RateLimit::new(4, 0.7).unwrap()));
    for (limits, is_refused) in [(rpm, false), (rpm, true), (bucket, false), (tpm, false)] {
        let config = Config {
            of_keys: limits,
            is_fixed: true,
            ..Config::default()
        };
        let mut steady = Process::start(config, Duration::ZERO);
        let mut restarted = Process::start(config, Duration::ZERO);
        let only = KeyConstraint::Key(steady.keys[0]);
        if is_refused {
            for process in [&mut steady, &mut restarted] {
                let mut grant = process.acquire_with(only, 1, SECOND).unwrap();
                let (now, reason) = (process.at(SECOND), CooldownReason::Throttled);
                process.limiter.record_refusal(&grant, reason, Some(SECOND), now);
                process.limiter.release(&mut grant, true, now);
                process.limiter.set_enabled(process.keys[0], true, now);
            }
        }
        let (mut by_steady, mut by_restarted) = (0_i32, 0_i32);
        for step in 200..24_000 {
            let time = SECOND * step / 100;
            // An idle time lets bursts recover.
            if !(9_000..11_000).contains(&step) {
                by_steady += i32::from(steady.acquire_with(only, 1, time).is_some());
                by_restarted += i32::from(restarted.acquire_with(only, 1, time).is_some());
            }
            let differ = (by_steady - by_restarted).abs();
            assert!(
                differ <= 1,
                "{limits:?} {is_refused} {time:?}: {by_steady} {by_restarted}"
            );
            if step % 430 == 0 {
                restarted = restarted.restart(config, time, time);
            }
        }
        assert!(by_steady > 100);
    }
}

fn learned(learned: LearnedPace, process: &Process) -> [SavedLimits; 1] {
    [SavedLimits {
        scope: SavedScope::Model(process.target, process.keys[0]),
        state: SavedState {
            learned: Some(learned),
            ..SavedState::default()
        },
    }]
}

#[test]
fn loaded_pace_returns_to_the_one_that_worked() {
    let pace = LearnedPace {
        per_second: Some(1.0),
        worked: 4.0,
        available: -1.0,
        ..LearnedPace::default()
    };
    let mut process = Process::start(Config::default(), Duration::ZERO);
    process.origin = Timestamp::ZERO + MINUTE * 60;
    let (only, saved) = (KeyConstraint::Key(process.keys[0]), learned(pace, &process));
    process.limiter.load(&saved, Duration::ZERO, process.at(SECOND));
    assert!(process.acquire_with(only, 0, SECOND * 2).is_none());
    let mut rates = Vec::new();
    for step in 1..=400 {
        let time = SECOND * 3 + SECOND * step / 10;
        if let Some(mut grant) = process.acquire_with(only, 0, time) {
            let now = process.at(time);
            process.limiter.record_success(&grant, now);
            process.limiter.release(&mut grant, true, now);
        }
        rates.push(process.limiter.observed_per_minute(process.keys[0]).unwrap() / 60.0);
    }
    assert!(
        rates[100] < 2.0 && rates[399] >= 4.0,
        "{} {}",
        rates[100],
        rates[399]
    );
}

#[test]
fn loaded_pace_is_never_faster_than_the_known_one() {
    let pace = |per_second| LearnedPace {
        per_second: Some(per_second),
        available: 1.0,
        ..LearnedPace::default()
    };
    let mut process = Process::start(Config::default(), Duration::ZERO);
    let mut per_minute = Vec::new();
    for per_second in [2.0, 1.0, 3.0, 0.0] {
        let saved = learned(pace(per_second), &process);
        process.limiter.load(&saved, Duration::ZERO, process.at(SECOND));
        per_minute.push(
            process
                .limiter
                .observed_per_minute(process.keys[0])
                .unwrap()
                .round(),
        );
    }
    assert_eq!(per_minute, [120.0, 60.0, 60.0, 1.0]);
}

#[test]
fn key_that_learns_nothing_loads_only_the_pause() {
    let (process, refused) = refused_process(Config::default(), RefusalWait::Exact(SECOND * 10));
    let fixed = Config {
        is_fixed: true,
        ..Config::default()
    };
    let next = process.restart(fixed, refused, refused);
    assert_eq!(next.limiter.observed_per_minute(next.keys[0]), None);
    let end = next.at(refused + SECOND * 10);
    assert_eq!(next.availability(0, refused), KeyAvailability::Throttled(end));
}

#[test]
fn loaded_cooldown_ends_no_longer_one() {
    let mut process = Process::start(Config::default(), Duration::ZERO);
    let (key, now) = (process.keys[0], process.at(SECOND));
    process
        .limiter
        .set_cooldown(key, CooldownReason::Invalid, now + MINUTE, now);
    let saved = process.limiter.save(now);
    let end = now + MINUTE * 10;
    process
        .limiter
        .set_cooldown(key, CooldownReason::Invalid, end, now);
    process.limiter.load(&saved, Duration::ZERO, now);
    assert_eq!(process.availability(0, SECOND), KeyAvailability::Invalid(end));
}

/// A state file can be damaged or made by hand.
#[test]
fn absurd_values_neither_panic_nor_last() {
    let config = Config {
        of_target: limits(),
        ..Config::default()
    };
    let time = SECOND * 100;
    let mut process = Process::start(config, Duration::ZERO);
    process.send(10, SECOND);
    let mut saved: Vec<SavedLimits> = process.limiter.save(process.at(SECOND));
    let target = saved
        .iter_mut()
        .find(|saved| matches!(saved.scope, SavedScope::Target(_)));
    let state = &mut target.unwrap().state;
    for charges in [&mut state.minute, &mut state.tokens, &mut state.day] {
        charges[0].counts_for_ms = u64::MAX;
        charges[0].amount = u32::MAX;
    }
    state.single_for_ms = u64::MAX;
    (state.missing_in_bucket, state.missing_in_minute) = (f64::MAX, f64::NAN);
    let mut next = Process::start(config, Duration::ZERO);
    for _ in 0..3 {
        next.limiter.load(&saved, Duration::ZERO, next.at(time));
    }
    assert!(!next.send(0, time));
    next.limiter.load(&saved, Duration::MAX, next.at(time));
}

/// The names are part of the format of the state file.
#[test]
fn serialized_state_has_the_documented_names() {
    let charge = SavedCharge {
        counts_for_ms: 1,
        amount: 2,
    };
    let state = SavedState {
        missing_in_bucket: 3.5,
        missing_in_minute: 4.5,
        single_for_ms: 5,
        minute: vec![charge],
        tokens: vec![charge],
        day: vec![charge],
        cooldowns: vec![SavedCooldown {
            reason: CooldownReason::NoQuota,
            ends_in_ms: 6,
        }],
        learned: Some(LearnedPace {
            per_second: Some(7.5),
            worked: 8.5,
            available: 9.5,
            idle_for_ms: 10,
            paused_for_ms: Some(11),
        }),
    };
    let charges = json!([{"counts_for_ms": 1, "amount": 2}]);
    let expected = json!({
        "missing_in_bucket": 3.5,
        "missing_in_minute": 4.5,
        "single_for_ms": 5,
        "minute": charges,
        "tokens": charges,
        "day": charges,
        "cooldowns": [{"reason": "no_quota", "ends_in_ms": 6}],
        "learned": {
            "per_second": 7.5,
            "worked": 8.5,
            "available": 9.5,
            "idle_for_ms": 10,
            "paused_for_ms": 11,
        },
    });
    assert_eq!(serde_json::to_value(&state).unwrap(), expected);
    assert_eq!(serde_json::from_value::<SavedState>(expected).unwrap(), state);
    assert_eq!(serde_json::to_value(SavedState::default()).unwrap(), json!({}));
}
