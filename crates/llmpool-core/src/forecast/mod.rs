//! What will become of traffic under given limits: the same desk as in earnest, in time that passes as fast as it can be counted.
//!
//! Every event has its instant: a call comes, a timer fires, an answer is complete. The provider is honest and never fails, so what is
//! foretold is what the limits themselves cost.
//!
//! Always true: what was offered was answered or turned away, once everything is over; the same traffic and seed foretell the same.

mod traffic;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use traffic::Call;
pub use traffic::{Arrivals, Burst, Recorded, Traffic};

use crate::estimate::{self, AnswerLengths};
use crate::limits::desk::{Answer, Desk, Refusal};
use crate::limits::ledger::{Binding, Grant, Ledger, Need, TargetId, WaitReason};
use crate::limits::room::{Arrival, Caller, Ticket};
use crate::time::Timestamp;

/// A caller who was turned away tries again after this.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Into so many pieces the span is cut for [`Forecast::pieces`].
const PIECES: u32 = 60;

/// What will become of traffic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Calls that came.
    pub offered: u64,
    /// Calls whose answer was complete within the span and one latency.
    pub answered: u64,
    /// Calls that got their turn, whenever.
    pub served: u64,
    /// Calls that were turned away.
    pub shed: Shed,
    /// For how long calls came.
    pub span: Duration,
    /// How long each call that got its turn had waited for it, the shortest first.
    pub waits: Vec<Duration>,
    /// How many calls got each key within the span, in the order of the keys.
    pub keys: Vec<u64>,
    /// What calls waited for, and for how long all of them together; the longest first.
    pub waited_for: Vec<(WaitReason, Duration)>,
    /// The span in sixty pieces.
    pub pieces: Vec<Piece>,
}

/// Calls that were turned away, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Their turn would have come, or came, too late.
    pub too_late: u64,
    /// Too many waited already.
    pub queue_full: u64,
    /// No limit would ever have admitted them.
    pub never: u64,
}

impl Shed {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.too_late + self.queue_full + self.never
    }
}

/// A piece of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Calls that came.
    pub offered: u64,
    /// Calls that got their turn.
    pub served: u64,
    /// The longest of their waits.
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
}

/// What will become of this traffic at a target, with nothing else going on.
pub fn forecast(ledger: Ledger, target: TargetId, traffic: &Traffic, start: Timestamp) -> Forecast {
    let mut run = Run::new(ledger, target, traffic, start);
    for call in traffic.calls_to_come() {
        run.expect(call);
    }
    while let Some(Reverse((at, _, event))) = run.events.pop() {
        run.now = at;
        run.happen(event);
    }
    run.told()
}

/// Numbers are those of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Complete(usize),
    Timer(usize),
    Come(usize),
}

struct Run<'a> {
    traffic: &'a Traffic,
    desk: Desk<usize>,
    target: TargetId,
    start: Timestamp,
    now: Timestamp,
    /// By instant, and in the order in which they were foreseen.
    events: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    foreseen: u64,
    calls: Vec<Underway>,
    counts_tokens: bool,
    answers: AnswerLengths,
    wakes: Vec<usize>,
    so_far: Forecast,
}

struct Underway {
    call: Call,
    arrival: Arrival,
    came: Timestamp,
    /// When it asks again, while it waits, and what it waits for.
    waits: Option<(Timestamp, WaitReason)>,
    grant: Option<Grant>,
}

impl<'a> Run<'a> {
    fn new(ledger: Ledger, target: TargetId, traffic: &'a Traffic, start: Timestamp) -> Self {
        let so_far = Forecast {
            span: traffic.span,
            keys: vec![0; ledger.key_ids().len()],
            pieces: vec![Piece::default(); PIECES as usize],
            ..Forecast::default()
        };
        Self {
            counts_tokens: ledger.counts_tokens(target),
            answers: AnswerLengths::default(),
            traffic,
            desk: Desk::over(ledger),
            target,
            start,
            now: start,
            events: BinaryHeap::new(),
            foreseen: 0,
            calls: Vec::new(),
            wakes: Vec::new(),
            so_far,
        }
    }

    fn foresee(&mut self, at: Timestamp, event: Event) {
        self.foreseen += 1;
        self.events.push(Reverse((at, self.foreseen, event)));
    }

    fn expect(&mut self, call: Call) {
        let number = self.calls.len();
        let came = self.start + call.at;
        let arrival = Arrival {
            ticket: Ticket(number as u64),
            caller: Caller::new(call.caller),
            need: Need::ONE,
            binding: Binding::Any,
            deadline: came + self.traffic.patience,
        };
        self.calls.push(Underway {
            call,
            arrival,
            came,
            waits: None,
            grant: None,
        });
        self.foresee(came, Event::Come(number));
    }

    /// As a call in earnest reserves it.
    fn need(&self, call: &Call) -> Need {
        if !self.counts_tokens {
            return Need::ONE;
        }
        let expected = self.traffic.expected_answer.or_else(|| self.answers.p95());
        let expected = expected.unwrap_or(estimate::USUAL_ANSWER);
        Need {
            tokens: call.prompt_tokens.saturating_add(expected).max(1),
            ..Need::ONE
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Come(number) => self.come(number),
            Event::Timer(number) => {
                let waits = self.calls[number].waits;
                if waits.is_some_and(|(until, _)| until == self.now) {
                    self.look_again(number);
                }
            }
            Event::Complete(number) => self.complete(number),
        }
        while let Some(number) = self.wakes.pop() {
            if self.calls[number].waits.is_some() {
                self.look_again(number);
            }
        }
    }

    fn come(&mut self, number: usize) {
        self.so_far.offered += 1;
        if let Some(piece) = self.piece() {
            piece.offered += 1;
        }
        let need = self.need(&self.calls[number].call);
        let arrival = &mut self.calls[number].arrival;
        arrival.need = need;
        let arrival = *arrival;
        let answer = self
            .desk
            .arrive(self.target, &arrival, &number, self.now, &mut self.wakes);
        let ledger = self.desk.ledger_mut();
        // Whoever goes at once has not waited for it.
        let why = ledger.why_wait(self.target, arrival.need, arrival.binding, self.now);
        self.note(number, answer, why);
    }

    fn look_again(&mut self, number: usize) {
        let Some((_, why)) = self.calls[number].waits.take() else {
            return;
        };
        let arrival = self.calls[number].arrival;
        let answer = self
            .desk
            .look_again(self.target, &arrival, &number, self.now, &mut self.wakes);
        self.note(number, answer, why);
    }

    fn note(&mut self, number: usize, answer: Answer, why: WaitReason) {
        let waited = self.now.since(self.calls[number].came);
        match answer {
            Answer::Wait(until) => {
                self.calls[number].waits = Some((until, why));
                self.foresee(until, Event::Timer(number));
                return;
            }
            Answer::Granted(grant) => self.serve(number, grant, waited),
            Answer::Refused(refusal) => self.turn_away(number, refusal),
        }
        if !waited.is_zero() {
            self.blame(why, waited);
        }
    }

    fn serve(&mut self, number: usize, grant: Grant, waited: Duration) {
        self.so_far.served += 1;
        self.so_far.waits.push(waited);
        if let Some(piece) = self.piece() {
            piece.served += 1;
            piece.longest_wait = piece.longest_wait.max(waited);
            if let Some(key) = grant.key() {
                self.so_far.keys[key.index()] += 1;
            }
        }
        self.calls[number].grant = Some(grant);
        self.foresee(
            self.now + self.calls[number].call.latency,
            Event::Complete(number),
        );
    }

    fn turn_away(&mut self, number: usize, refusal: Refusal) {
        let shed = &mut self.so_far.shed;
        match refusal {
            Refusal::TooLate { .. } => shed.too_late += 1,
            Refusal::Full { .. } => shed.queue_full += 1,
            Refusal::Never(_) => shed.never += 1,
        }
        self.again(number, TRY_AGAIN);
    }

    fn complete(&mut self, number: usize) {
        let Some(mut grant) = self.calls[number].grant.take() else {
            return;
        };
        let Call {
            prompt_tokens,
            answer_tokens,
            latency,
            ..
        } = self.calls[number].call;
        self.answers.note(answer_tokens);
        let used = prompt_tokens.saturating_add(answer_tokens);
        self.desk.settle(&mut grant, used, self.now, &mut self.wakes);
        self.desk.ledger_mut().succeeded(&grant, self.now);
        self.desk.put_back(&mut grant, true, self.now, &mut self.wakes);
        let within = self.now.since(self.start) <= self.traffic.span + latency;
        self.so_far.answered += u64::from(within);
        self.again(number, Duration::ZERO);
    }

    /// A caller goes on, while calls begin at all.
    fn again(&mut self, number: usize, pause: Duration) {
        let at = self.now.since(self.start) + pause;
        if self.calls[number].call.again && at < self.traffic.span {
            self.expect(self.traffic.call(at, true));
        }
    }

    /// The piece of the span that it is now; `None` after its end.
    fn piece(&mut self) -> Option<&mut Piece> {
        let passed = self.now.since(self.start).as_nanos();
        let at = passed * u128::from(PIECES) / self.traffic.span.as_nanos().max(1);
        self.so_far.pieces.get_mut(usize::try_from(at).ok()?)
    }

    fn blame(&mut self, why: WaitReason, waited: Duration) {
        let known = &mut self.so_far.waited_for;
        match known.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, all)) => *all += waited,
            None => known.push((why, waited)),
        }
    }

    fn told(mut self) -> Forecast {
        self.so_far.waits.sort_unstable();
        self.so_far.waited_for.sort_by_key(|(_, waited)| Reverse(*waited));
        self.so_far
    }
}
