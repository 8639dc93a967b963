//! Tool calls in a stream of chat chunks: their names, and the arguments of functions or the input of custom
//! tools.

use super::output::StreamedOutput;
use crate::chat::{ToolCallDelta, ToolCallMatcher};
use crate::translate::dropped_output::DroppedOutput;
use crate::translate::echoed::insert_all;
use crate::translate::tool_call_parts::ToolCallParts;

/// The tool calls of the stream so far, in the order in which they started.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolCallStream {
    calls: Vec<CallState>,
    matcher: ToolCallMatcher,
    /// Number of calls whose output items have started, or start once their names arrive.
    started: usize,
}

#[derive(Clone, Debug)]
enum CallState {
    /// The output item of the call has not started, because its name may be incomplete. Contains the parts of
    /// the call that have arrived, without the name.
    Pending(ToolCallParts),
    /// The output item of the call has started.
    Started {
        /// Zero-based index of the item in the output.
        index: usize,
        /// A placeholder for the arguments. It is held back until the end, because no event can take it back if
        /// the arguments follow.
        held: String,
    },
}

impl ToolCallStream {
    /// Translates a streamed piece of a tool call. The output item starts with the arguments of the call or of a
    /// later call, because some providers send the name in several pieces.
    pub(super) fn push(
        &mut self,
        delta: ToolCallDelta,
        output: &mut StreamedOutput,
        dropped: &mut DroppedOutput,
    ) {
        let calls = &self.calls;
        let (number, change) = self.matcher.assign(&delta, |number| match &calls[number] {
            CallState::Pending(call) => &call.arguments,
            CallState::Started { index, .. } => output.arguments(*index),
        });
        let is_held = self.matcher.has_placeholder(number);
        dropped.add_call_piece(&delta, number);
        let is_custom = delta.custom.is_some() || delta.kind.as_deref() == Some("custom");
        let piece = ToolCallParts::from_chat(delta.id, delta.function, delta.custom, &delta.extra);
        if number == self.calls.len() {
            self.calls.push(CallState::Pending(ToolCallParts {
                is_custom,
                ..ToolCallParts::default()
            }));
        }
        match &mut self.calls[number] {
            CallState::Started { index, held } => {
                change.apply(held, piece.arguments);
                if !is_held {
                    output.push_arguments(*index, std::mem::take(held));
                }
                output.add_extra(*index, piece.extra);
            }
            CallState::Pending(call) => {
                if call.call_id.is_empty() {
                    call.call_id = piece.call_id;
                }
                change.apply(&mut call.arguments, piece.arguments);
                insert_all(&mut call.extra, piece.extra);
                self.start_complete(number, output);
            }
        }
    }

    /// Starts the output items of the tool calls whose names have become complete with a piece of call
    /// `number`.
    fn start_complete(&mut self, number: usize, output: &mut StreamedOutput) {
        let complete = self.matcher.complete_names();
        let new = self.started..complete;
        self.started = self.started.max(complete);
        for number in new.chain(Some(number).filter(|number| *number < complete)) {
            if self.matcher.name(number).is_some() {
                self.start(number, output);
            }
        }
    }

    /// Starts the output items of the tool calls whose names or arguments never arrived, and adds the arguments that
    /// were held back.
    pub(super) fn finish(&mut self, output: &mut StreamedOutput) {
        (0..self.calls.len()).for_each(|number| self.start(number, output));
        for call in &mut self.calls {
            if let CallState::Started { index, held } = call {
                output.push_arguments(*index, std::mem::take(held));
            }
        }
    }

    /// Starts the output item of a tool call, with the arguments that have arrived so far. Does nothing if
    /// the item has already started. `number` is the zero-based position of the call among the tool calls.
    fn start(&mut self, number: usize, output: &mut StreamedOutput) {
        let CallState::Pending(call) = &mut self.calls[number] else {
            return;
        };
        let mut call = std::mem::take(call);
        call.name = self.matcher.name(number).unwrap_or_default().to_owned();
        if call.call_id.is_empty() {
            call.call_id = output.envelope.item_id("call", number);
        }
        let mut arguments = std::mem::take(&mut call.arguments);
        let is_held = self.matcher.has_placeholder(number);
        let held = if is_held {
            std::mem::take(&mut arguments)
        } else {
            String::new()
        };
        let id = output.envelope.item_id(call.item_prefix(), number);
        let index = output.start_item(call.into_item(Some(id), Some("in_progress".to_owned())));
        self.calls[number] = CallState::Started { index, held };
        output.push_arguments(index, arguments);
    }
}
