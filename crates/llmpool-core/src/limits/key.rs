//! What is known about one API key: its load, and whether it may be used.
//!
//! Always true: `in_flight` counts exactly the grants that have not come back; a known end of a pause never moves earlier.

use std::time::Duration;

use super::meter::{Meter, RequestLimits};
use crate::time::Timestamp;

/// A key's place in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) u32);

impl KeyId {
    /// The position, counted from 0 in the order in which the keys were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How much of a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Keys are compared by load per weight; at least 1.
    pub weight: u32,
    /// Attempts under way at once; `None` means any number.
    pub max_concurrency: Option<u32>,
    /// How many requests may be made with it, and how fast.
    pub requests: RequestLimits,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            weight: 1,
            max_concurrency: None,
            requests: RequestLimits::default(),
        }
    }
}

/// Whether a key may be used, as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In use.
    Healthy,
    /// Its rate is used up; used again from this instant on.
    Throttled(Timestamp),
    /// Its account has no quota left; one attempt finds out from this instant on.
    NoQuota(Timestamp),
    /// The provider refuses it; one attempt finds out from this instant on.
    Invalid(Timestamp),
    /// One attempt is finding out right now whether it can be used again.
    Probing,
}

impl KeyState {
    /// The state in words, as reports and metrics print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Throttled(_) => "throttled",
            Self::NoQuota(_) => "no quota",
            Self::Invalid(_) => "invalid",
            Self::Probing => "probing",
        }
    }
}

/// Why a key rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A rate that refills by itself: usable again as soon as the pause is over.
    Throttled,
    /// No quota: a single probe after the pause.
    NoQuota,
    /// Refused: a single probe after the pause.
    Invalid,
}

impl Rest {
    /// The pause when the provider named none: the first, and the longest it doubles to.
    fn unknown_pause(self) -> (Duration, Duration) {
        match self {
            Self::Throttled => (Duration::from_secs(1), Duration::from_secs(60)),
            Self::NoQuota => (Duration::from_secs(30), Duration::from_secs(3600)),
            Self::Invalid => (Duration::from_secs(60), Duration::from_secs(3600)),
        }
    }

    fn needs_probe(self) -> bool {
        match self {
            Self::Throttled => false,
            Self::NoQuota | Self::Invalid => true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Healthy,
    /// Not used before `until`.
    Resting {
        why: Rest,
        until: Timestamp,
    },
    /// A probe is under way; `until` is kept for the case that it ends without an answer.
    Probing {
        why: Rest,
        until: Timestamp,
    },
}

/// One key. The ledger is the only one to change it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) limits: KeyLimits,
    pub(super) meter: Meter,
    pub(super) in_flight: u32,
    /// When it was last picked, as a running number of all picks.
    pub(super) last_used: u64,
    condition: Condition,
    /// Counts changes of condition: an answer to an attempt from before the last change is old news.
    epoch: u32,
    /// Refusals in a row for which the provider named no time.
    unknown_pauses: u32,
}

/// A condition to return to, should it turn out that the request was to blame and not the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undo {
    key: KeyId,
    epoch: u32,
    condition: Condition,
    unknown_pauses: u32,
}

impl Undo {
    /// The key whose condition it restores.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl Key {
    pub(super) fn new(limits: KeyLimits) -> Self {
        Self {
            limits,
            meter: Meter::new(limits.requests),
            in_flight: 0,
            last_used: 0,
            condition: Condition::Healthy,
            epoch: 0,
            unknown_pauses: 0,
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn state(&self) -> KeyState {
        match self.condition {
            Condition::Healthy => KeyState::Healthy,
            Condition::Probing { .. } => KeyState::Probing,
            Condition::Resting {
                why: Rest::Throttled,
                until,
            } => KeyState::Throttled(until),
            Condition::Resting {
                why: Rest::NoQuota,
                until,
            } => KeyState::NoQuota(until),
            Condition::Resting {
                why: Rest::Invalid,
                until,
            } => KeyState::Invalid(until),
        }
    }

    pub(super) fn has_slot(&self) -> bool {
        self.limits
            .max_concurrency
            .is_none_or(|most| self.in_flight < most)
    }

    /// When its pause ends; `None` while it has none, or while a probe decides.
    pub(super) fn rests_until(&self) -> Option<Timestamp> {
        match self.condition {
            Condition::Resting { until, .. } => Some(until),
            Condition::Healthy | Condition::Probing { .. } => None,
        }
    }

    /// When it can be used again as far as time alone decides: its pause is over and its rate admits a request.
    pub(super) fn away_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.meter.ready_at(1, now).max(self.rests_until().unwrap_or(now));
        Some(until).filter(|until| *until > now)
    }

    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        let probed = matches!(self.condition, Condition::Probing { .. });
        !probed && self.has_slot() && self.away_until(now).is_none()
    }

    /// Counts an attempt in; the first one after a pause that needs a probe is the probe.
    pub(super) fn pick(&mut self, turn: u64, now: Timestamp) {
        self.in_flight += 1;
        self.last_used = turn;
        if let Condition::Resting { why, until } = self.condition
            && until <= now
        {
            self.condition = if why.needs_probe() {
                Condition::Probing { why, until }
            } else {
                Condition::Healthy
            };
            self.epoch += 1;
        }
    }

    /// Counts an attempt out. A probe that ends without an answer leaves the question open for the next attempt.
    pub(super) fn put_back(&mut self, epoch: u32) {
        self.in_flight -= 1;
        if let Condition::Probing { why, until } = self.condition
            && epoch == self.epoch
        {
            self.condition = Condition::Resting { why, until };
            self.epoch += 1;
        }
    }

    /// An attempt of `epoch` got through.
    pub(super) fn succeeded(&mut self, epoch: u32) {
        if epoch == self.epoch {
            self.condition = Condition::Healthy;
            self.unknown_pauses = 0;
        }
    }

    /// An attempt of `epoch` was refused. A burst that fails together counts as one refusal.
    pub(super) fn refused(
        &mut self,
        id: KeyId,
        epoch: u32,
        why: Rest,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<Undo> {
        if epoch != self.epoch {
            return self.late_refusal(id, why, pause, now);
        }
        let before = match self.condition {
            // The probe ends with this answer; nobody would be left to end it.
            Condition::Probing { why, until } => (Condition::Resting { why, until }, self.unknown_pauses),
            condition => (condition, self.unknown_pauses),
        };
        let until = now + pause.unwrap_or_else(|| self.next_unknown_pause(why));
        self.condition = Condition::Resting { why, until };
        self.epoch += 1;
        Some(Undo {
            key: id,
            epoch: self.epoch,
            condition: before.0,
            unknown_pauses: before.1,
        })
    }

    /// A refusal of an attempt from before the last change. It never shortens a pause and never doubles one, but what it says
    /// of a key that is in use again is believed.
    fn late_refusal(
        &mut self,
        id: KeyId,
        why: Rest,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<Undo> {
        let pause = match (&mut self.condition, pause) {
            (Condition::Resting { until, .. }, Some(pause)) => {
                *until = (*until).max(now + pause);
                return None;
            }
            (Condition::Healthy, Some(pause)) => pause,
            (Condition::Healthy, None) if why.needs_probe() => why.unknown_pause().0,
            _ => return None,
        };
        self.condition = Condition::Resting {
            why,
            until: now + pause,
        };
        self.epoch += 1;
        Some(Undo {
            key: id,
            epoch: self.epoch,
            condition: Condition::Healthy,
            unknown_pauses: self.unknown_pauses,
        })
    }

    /// Takes a refusal back, unless something else has happened to the key since.
    pub(super) fn restore(&mut self, undo: Undo) {
        if undo.epoch == self.epoch {
            self.condition = undo.condition;
            self.unknown_pauses = undo.unknown_pauses;
            self.epoch += 1;
        }
    }

    fn next_unknown_pause(&mut self, why: Rest) -> Duration {
        let (first, longest) = why.unknown_pause();
        let doubled = first.saturating_mul(1 << self.unknown_pauses.min(16));
        self.unknown_pauses = self.unknown_pauses.saturating_add(1);
        doubled.min(longest)
    }
}
