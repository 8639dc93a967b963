//! Saves a pace and the current pause as plain data, and adds saved ones, usually those of an earlier process.

use std::time::Duration;

use super::{FORGET, MIN_RATE, ObservedLimits};
use crate::limits::saved_limits::{LearnedPace, millis, remaining};
use crate::time::Timestamp;

impl ObservedLimits {
    /// Returns the pace and the pause. `None` if there is neither.
    pub(in crate::limits) fn save(&self, now: Timestamp) -> Option<LearnedPace> {
        (self.rate.is_some() || self.run.is_some()).then(|| LearnedPace {
            per_second: self.rate,
            worked: self.worked,
            available: self.rate.map_or(0.0, |rate| self.level_now(rate, now)),
            idle_for_ms: now.since(self.confirmed_at).as_millis() as u64,
            paused_for_ms: self.run.map(|run| millis(run.until.since(now))),
        })
    }

    /// Adds what was saved `elapsed` ago. The result is never faster than either of both. A learned pace only
    /// applies if paces are inferred here, too.
    pub(in crate::limits) fn load(&mut self, saved: &LearnedPace, elapsed: Duration, now: Timestamp) {
        let idle = Duration::from_millis(saved.idle_for_ms).saturating_add(elapsed);
        if let Some(rate) = saved.per_second.filter(|_| self.enabled && idle <= FORGET) {
            let worked = self.rate.map_or(saved.worked, |_| saved.worked.min(self.worked));
            let level = self.rate.map_or(1.0, |known| self.level_now(known, now));
            let rate = self.rate.unwrap_or(f64::MAX).min(rate.max(MIN_RATE));
            let refilled = saved.available.max(-1.0) + elapsed.as_secs_f64() * rate;
            self.rate = Some(rate);
            self.worked = worked;
            (self.level, self.level_at) = (refilled.min(level), now);
            self.confirmed_at = self.confirmed_at.max(now - idle);
            self.run_ended_at = now;
        }
        if let Some(paused) = saved.paused_for_ms {
            self.pause_until(now + remaining(paused, elapsed), now);
        }
    }
}
