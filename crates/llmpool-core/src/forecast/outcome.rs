//! What is told of one model.

use std::cmp::Reverse;
use std::time::Duration;

use super::utilization::{KeyUse, Utilization};
use crate::limits::admission::Rejection;
use crate::limits::limiter::WaitReason;
use crate::time::Timestamp;

/// Into so many pieces the span is cut for [`Forecast::pieces`].
const PIECES: usize = 240;

/// What will become of a model's calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Calls that came.
    pub offered: u64,
    /// Calls whose answer was complete within the span and their own latency: those that got their turn within it.
    pub answered: u64,
    /// Calls that got their turn, whenever.
    pub served: u64,
    /// Calls that were turned away.
    pub shed: Rejections,
    /// For how long calls came.
    pub span: Duration,
    /// Tokens of those that were answered, prompts and answers together.
    pub tokens: u64,
    /// How long each call that got its turn had waited for it, the shortest first.
    pub waits: Vec<Duration>,
    /// The model's own limit that was used most, where it has one.
    pub own: Option<Utilization>,
    /// What its keys did for all models.
    pub keys: Vec<KeyUse>,
    /// What the first in line waited for, and for how long all who waited did; the longest first. Calls that gave up count too.
    pub waited_for: Vec<(WaitReason, Duration)>,
    /// What turned calls away that came too late for it, and how many; the most first.
    pub turned_away_for: Vec<(WaitReason, u64)>,
    /// The span in 240 pieces.
    pub pieces: Vec<TimeBin>,
}

/// Calls that were turned away, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Their turn would have come, or came, too late.
    pub too_late: u64,
    /// Too many waited already.
    pub queue_full: u64,
    /// No limit would ever have admitted them.
    pub never: u64,
}

impl Rejections {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.too_late + self.queue_full + self.never
    }
}

/// A piece of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBin {
    /// Calls that came.
    pub offered: u64,
    /// Calls that got their turn.
    pub served: u64,
    /// Calls that were turned away.
    pub shed: u64,
    /// The longest wait of those that got their turn.
    pub longest_wait: Duration,
}

impl Forecast {
    /// The wait that so many of the calls that got their turn did not exceed: 0.5 is the median, 1 the longest.
    pub fn wait(&self, part: f64) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let at = (part * self.waits.len() as f64).ceil() as usize;
        self.waits
            .get(at.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    }

    /// Answers a second, over the span.
    pub fn goodput(&self) -> f64 {
        self.answered as f64 / self.span.as_secs_f64()
    }

    /// What bound: what most of the waiting was for, or where nobody waited, what turned most calls away.
    pub fn binding_limit(&self) -> Option<WaitReason> {
        let waited = self.waited_for.first().map(|(why, _)| *why);
        waited.or_else(|| self.turned_away_for.first().map(|(why, _)| *why))
    }
}

/// A forecast in the making.
pub(super) struct Teller {
    so_far: Forecast,
    start: Timestamp,
    /// How many wait, and for what.
    waiting: u64,
    waiting_for: Option<WaitReason>,
    /// In nanoseconds.
    waited_for: Vec<(WaitReason, u128)>,
}

impl Teller {
    pub(super) fn new(span: Duration, start: Timestamp) -> Self {
        Self {
            so_far: Forecast {
                span,
                pieces: vec![TimeBin::default(); PIECES],
                ..Forecast::default()
            },
            start,
            waiting: 0,
            waiting_for: None,
            waited_for: Vec::new(),
        }
    }

    pub(super) fn offered(&mut self, now: Timestamp) {
        self.so_far.offered += 1;
        self.piece(now, |piece| piece.offered += 1);
    }

    pub(super) fn waits(&mut self) {
        self.waiting += 1;
    }

    pub(super) fn waits_no_more(&mut self) {
        self.waiting -= 1;
    }

    /// So much time passes for those who wait.
    pub(super) fn passes(&mut self, time: Duration) {
        let Some(why) = self.waiting_for.filter(|_| self.waiting > 0) else {
            return;
        };
        *entry(&mut self.waited_for, why) += time.as_nanos() * u128::from(self.waiting);
    }

    /// What they wait for from now on; asked only where somebody waits.
    pub(super) fn wait_for(&mut self, why: impl FnOnce() -> Option<WaitReason>) {
        if self.waiting > 0 {
            self.waiting_for = why();
        }
    }

    pub(super) fn served(&mut self, waited: Duration, tokens: u64, now: Timestamp) {
        self.so_far.served += 1;
        self.so_far.waits.push(waited);
        let in_time = self.piece(now, |piece| {
            piece.served += 1;
            piece.longest_wait = piece.longest_wait.max(waited);
        });
        if in_time {
            self.so_far.answered += 1;
            self.so_far.tokens += tokens;
        }
    }

    pub(super) fn turned_away(&mut self, refusal: Rejection, now: Timestamp) {
        let shed = &mut self.so_far.shed;
        match refusal {
            Rejection::TooLate { why, .. } => {
                shed.too_late += 1;
                *entry(&mut self.so_far.turned_away_for, why) += 1;
            }
            Rejection::Full { .. } => shed.queue_full += 1,
            Rejection::Unsatisfiable(_) => shed.never += 1,
        }
        self.piece(now, |piece| piece.shed += 1);
    }

    pub(super) fn told(mut self, own: Option<Utilization>, keys: Vec<KeyUse>) -> Forecast {
        let spans = self.waited_for.into_iter().map(|(why, nanos)| {
            (
                why,
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
            )
        });
        self.so_far.waited_for = spans.collect();
        self.so_far.waited_for.sort_by_key(|(_, waited)| Reverse(*waited));
        self.so_far
            .turned_away_for
            .sort_by_key(|(_, calls)| Reverse(*calls));
        self.so_far.waits.sort_unstable();
        Forecast {
            own,
            keys,
            ..self.so_far
        }
    }

    /// Changes the piece of the span that it is now. Answers whether it is within the span.
    fn piece(&mut self, now: Timestamp, change: impl FnOnce(&mut TimeBin)) -> bool {
        let passed = now.since(self.start).as_nanos();
        let at = passed * PIECES as u128 / self.so_far.span.as_nanos().max(1);
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        match self.so_far.pieces.get_mut(at) {
            Some(piece) => {
                change(piece);
                true
            }
            None => false,
        }
    }
}

fn entry<T: Default>(of: &mut Vec<(WaitReason, T)>, why: WaitReason) -> &mut T {
    let at = of.iter().position(|(known, _)| *known == why);
    let at = at.unwrap_or_else(|| {
        of.push((why, T::default()));
        of.len() - 1
    });
    &mut of[at].1
}
