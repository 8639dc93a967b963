//! Saves a pace and the current pause as plain data, and adds saved ones, usually those of an earlier process.

use std::time::Duration;

use super::{FORGET, MIN_RATE, Pace};
use crate::limits::saved_limits::{LearnedPace, millis, remaining};
use crate::time::Timestamp;

impl Pace {
    /// Returns the pace and the pause. `None` if there is neither.
    pub(in crate::limits) fn save(&self, now: Timestamp) -> Option<LearnedPace> {
        let learned = LearnedPace {
            per_second: self.rate,
            worked: self.worked,
            available: self.rate.map_or(0.0, |rate| self.level_now(rate, now)),
            idle_for_ms: now.since(self.confirmed_at).as_millis() as u64,
            paused_for_ms: self.run.map(|run| millis(run.until.since(now))),
        };
        (self.rate.is_some() || self.run.is_some()).then_some(learned)
    }

    /// Adds what was saved `elapsed` ago. The result is never faster than either of both. `infers`: whether
    /// paces are inferred here, too.
    pub(in crate::limits) fn load(
        &mut self,
        saved: &LearnedPace,
        infers: bool,
        elapsed: Duration,
        now: Timestamp,
    ) {
        let idle = Duration::from_millis(saved.idle_for_ms).saturating_add(elapsed);
        if let Some(rate) = saved.per_second.filter(|_| infers && idle <= FORGET) {
            let (known, worked, level, confirmed_at) = match self.rate {
                Some(known) => (known, self.worked, self.level_now(known, now), self.confirmed_at),
                None => (f64::MAX, f64::MAX, 1.0, Timestamp::ZERO),
            };
            let rate = rate.max(MIN_RATE).min(known);
            let refilled = saved.available.max(-1.0) + elapsed.as_secs_f64() * rate;
            self.rate = Some(rate);
            self.worked = saved.worked.min(worked);
            (self.level, self.level_at) = (refilled.min(level), now);
            self.confirmed_at = (now - idle).max(confirmed_at);
            self.run_ended_at = now;
        }
        if let Some(paused) = saved.paused_for_ms {
            self.pause_until(now + remaining(paused, elapsed), now);
        }
    }
}
