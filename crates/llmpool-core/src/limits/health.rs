//! Whether something may be used that others decide about: a key, an account, a target.
//!
//! In use; at rest until an instant; or being tried out by a single attempt. Every change begins a new epoch, and an answer to an attempt
//! of an earlier epoch is old news.
//!
//! One attempt probes. Where it ends without an answer (its caller went away, or had no time left) two may probe, then four: otherwise
//! callers who all have little time left would come one after another and find out nothing.
//!
//! Always true: a known end of a rest never moves earlier while the rest lasts; nothing rests without an end; the first probe is alone.

use std::time::Duration;

use crate::time::Timestamp;

/// Why something rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownReason {
    /// A rate that refills by itself.
    Throttled,
    /// No quota or money left.
    NoQuota,
    /// The provider refuses the key.
    Invalid,
    /// The provider refuses the key for one model.
    Forbidden,
    /// The target asked for a pause.
    Overloaded,
    /// The target failed time and again.
    Broken,
}

impl CooldownReason {
    /// The pause when the provider named none: the first, and the longest it doubles to.
    fn unknown_pause(self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::Throttled | Self::Overloaded => (1, 60),
            Self::Broken => (5, 60),
            Self::NoQuota => (30, 3600),
            Self::Invalid | Self::Forbidden => (60, 3600),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }

    /// Whether it is an account that rests, where keys share one.
    pub(super) fn is_of_account(self) -> bool {
        matches!(self, Self::Throttled | Self::NoQuota)
    }

    /// Whether only an answer can tell that it is over.
    fn needs_probe(self) -> bool {
        !matches!(self, Self::Throttled | Self::Overloaded)
    }
}

/// What is known at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HealthState {
    InUse,
    /// Not used before `until`.
    Resting {
        why: CooldownReason,
        until: Timestamp,
    },
    /// Probes are under way; `until` is kept for the case that they end without an answer.
    Probing {
        why: CooldownReason,
        until: Timestamp,
        under_way: u32,
    },
}

impl HealthState {
    /// Until when it rests, or would if its probes ended without an answer, and why.
    pub(super) fn rest(self) -> Option<(Timestamp, CooldownReason)> {
        match self {
            Self::InUse => None,
            Self::Resting { why, until } | Self::Probing { why, until, .. } => Some((until, why)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    standing: HealthState,
    epoch: u32,
    /// Refusals in a row for which the provider named no time.
    unknown_pauses: u32,
    /// Probes that ended without an answer.
    unanswered: u32,
}

/// Doubling the probes ends here.
const MOST_DOUBLINGS: u32 = 10;

/// A condition to return to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SavedHealth {
    epoch: u32,
    standing: HealthState,
    unknown_pauses: u32,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            standing: HealthState::InUse,
            epoch: 0,
            unknown_pauses: 0,
            unanswered: 0,
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn standing(&self) -> HealthState {
        self.standing
    }

    /// Neither at rest nor tried out.
    #[inline(always)]
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.standing, HealthState::InUse)
    }

    /// When the rest ends; `None` while there is none, or while a probe decides.
    pub(super) fn cooldown_until(&self) -> Option<Timestamp> {
        match self.standing {
            HealthState::Resting { until, .. } => Some(until),
            HealthState::InUse | HealthState::Probing { .. } => None,
        }
    }

    /// Whether as many probe as may.
    pub(super) fn is_probed(&self) -> bool {
        matches!(self.standing, HealthState::Probing { under_way, .. } if under_way >= 1 << self.unanswered)
    }

    /// An attempt begins; the first one after a rest is the probe, unless time alone ended the rest and `paced` says that those who come
    /// now cannot all come at once. Answers whether this was the end of a rest.
    pub(super) fn reserve(&mut self, paced: bool, now: Timestamp) -> bool {
        let (why, until) = match &mut self.standing {
            HealthState::InUse => return false,
            HealthState::Probing { under_way, .. } => {
                *under_way += 1;
                return false;
            }
            HealthState::Resting { why, until } => (*why, *until),
        };
        if until > now {
            return false;
        }
        self.standing = if why.needs_probe() || !paced {
            HealthState::Probing {
                why,
                until,
                under_way: 1,
            }
        } else {
            HealthState::InUse
        };
        self.epoch += 1;
        true
    }

    /// An attempt ends. A probe that ends without an answer leaves the question open for the next attempt.
    pub(super) fn release(&mut self, epoch: u32) {
        if let HealthState::Probing {
            why,
            until,
            under_way,
        } = &mut self.standing
            && epoch == self.epoch
        {
            *under_way -= 1;
            if *under_way == 0 {
                // Those of one round count once, lest eleven of them let a thousand through.
                self.unanswered = (self.unanswered + 1).min(MOST_DOUBLINGS);
                self.standing = HealthState::Resting {
                    why: *why,
                    until: *until,
                };
            }
        }
    }

    /// Whether success of an attempt of `epoch` would change nothing.
    pub(super) fn is_untroubled(&self, epoch: u32) -> bool {
        epoch == self.epoch && self.is_in_use() && self.unknown_pauses == 0
    }

    /// An attempt of `epoch` got through. Answers whether it changed anything.
    #[inline(always)]
    pub(super) fn succeeded(&mut self, epoch: u32) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let changed = self.standing != HealthState::InUse;
        self.standing = HealthState::InUse;
        self.unknown_pauses = 0;
        self.unanswered = 0;
        changed
    }

    /// An attempt of `epoch` was refused. A burst that fails together counts as one refusal. The answer can take it back.
    pub(super) fn refused(
        &mut self,
        epoch: u32,
        why: CooldownReason,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<SavedHealth> {
        if epoch != self.epoch {
            return self.late_refusal(why, pause, now);
        }
        let standing = match self.standing {
            // The probe ends with this answer; nobody would be left to end it.
            HealthState::Probing { why, until, .. } => HealthState::Resting { why, until },
            standing => standing,
        };
        let unknown_pauses = self.unknown_pauses;
        let until = now + pause.unwrap_or_else(|| self.next_unknown_pause(why));
        self.rest(why, until.max(self.cooldown_until().unwrap_or(until)));
        Some(SavedHealth {
            epoch: self.epoch,
            standing,
            unknown_pauses,
        })
    }

    /// A refusal of an attempt from before the last change. It never shortens a rest and never doubles one, but what it says of something
    /// that is in use again is believed.
    pub(super) fn late_refusal(
        &mut self,
        why: CooldownReason,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<SavedHealth> {
        let pause = match (&mut self.standing, pause) {
            (HealthState::Resting { until, .. }, Some(pause)) => {
                *until = (*until).max(now + pause);
                return None;
            }
            (HealthState::InUse | HealthState::Probing { .. }, Some(pause)) => pause,
            (HealthState::InUse, None) if why.needs_probe() => why.unknown_pause().0,
            _ => return None,
        };
        let standing = match self.standing {
            HealthState::Probing { why, until, .. } => HealthState::Resting { why, until },
            standing => standing,
        };
        self.rest(why, now + pause);
        Some(SavedHealth {
            epoch: self.epoch,
            standing,
            unknown_pauses: self.unknown_pauses,
        })
    }

    /// Rests until an instant, whatever was known before.
    pub(super) fn rest(&mut self, why: CooldownReason, until: Timestamp) {
        self.standing = HealthState::Resting { why, until };
        self.unanswered = 0;
        self.epoch += 1;
    }

    /// What is known of another one is true of this one as well. The rest that ends later stays, and attempts from before count as late.
    pub(super) fn merge(&mut self, other: &Self) {
        let epoch = self.epoch.max(other.epoch) + 1;
        let rests = [&*self, other].map(|health| health.standing.rest());
        if let Some((until, why)) = rests.into_iter().flatten().max_by_key(|(until, _)| *until) {
            self.rest(why, until);
        }
        self.unknown_pauses = self.unknown_pauses.max(other.unknown_pauses);
        self.epoch = epoch;
    }

    /// What is known of a key concerns its account, as far as it is of that kind; then the key itself is as good as new.
    pub(super) fn take_over(&mut self, key: &mut Self) {
        if key.standing.rest().is_some_and(|(_, why)| why.is_of_account()) {
            self.merge(key);
            key.reinstate();
        }
    }

    /// In use from now on, whatever was known before.
    pub(super) fn reinstate(&mut self) {
        *self = Self {
            standing: HealthState::InUse,
            epoch: self.epoch + 1,
            unknown_pauses: 0,
            unanswered: 0,
        };
    }

    /// Takes a refusal back, unless something else has happened since.
    pub(super) fn restore(&mut self, before: SavedHealth) {
        if before.epoch == self.epoch {
            self.standing = before.standing;
            self.unknown_pauses = before.unknown_pauses;
            self.epoch += 1;
        }
    }

    fn next_unknown_pause(&mut self, why: CooldownReason) -> Duration {
        let (first, longest) = why.unknown_pause();
        let doubled = first.saturating_mul(1 << self.unknown_pauses.min(16));
        self.unknown_pauses = self.unknown_pauses.saturating_add(1);
        doubled.min(longest)
    }
}
