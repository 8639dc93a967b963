//! Whether an answer that is no stream of events has arrived completely, although its body has not ended.

use bytes::Bytes;

use super::{AnswerReplay, documents};
use crate::sse::SseEvent;
use crate::stream_view::StreamView;

/// Whether what has arrived of an answer is the whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// A document is cut off, or more documents have to follow.
    Unfinished,
    /// The answer is complete, and reports no usage.
    WithoutUsage,
    /// The answer is complete, and reports its usage.
    Complete,
}

/// Returns whether `body` is a complete answer: a document or several, such as the chunks of a stream on a line
/// each. `view` is the state of a stream before its first event. Takes linear time.
pub fn completeness(body: &[u8], mut view: StreamView) -> Completeness {
    let mut replay = AnswerReplay::new(view.api_format());
    let documents = documents(body);
    let mut is_whole_answer = false;
    for document in &documents {
        let event = SseEvent {
            data: Bytes::copy_from_slice(document),
            name: None,
        };
        let flags = view.observe(&event).flags;
        if flags.error {
            return Completeness::Complete;
        }
        // Nothing follows a single answer, even if a finish reason is missing.
        is_whole_answer = flags.whole && documents.len() == 1;
        if flags.whole {
            let events = replay.events_of(document).into_iter().flatten();
            events.for_each(|event| {
                view.observe(&event);
            });
        }
    }
    match (view.is_complete() || is_whole_answer, view.usage()) {
        (false, _) => Completeness::Unfinished,
        (true, None) => Completeness::WithoutUsage,
        (true, Some(_)) => Completeness::Complete,
    }
}
