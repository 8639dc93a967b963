//! Tool calls in a stream of response events. The client gets the id and the name of a call first, then the
//! arguments of the function or the input of the custom tool.

use super::chunk_queue::ChunkQueue;
use super::output_items::{StreamedItem, unsent};
use crate::chat::{Delta, ToolCallDelta};
use crate::responses::Item;
use crate::translate::tool_call_parts::{ToolCallParts, tool_call_delta};

/// Sends the id and the name of a tool call. Does nothing if the id and the name were already sent, or if
/// `started` is not a tool call.
pub(super) fn push_start(item: &mut StreamedItem, started: &Item, chunks: &mut ChunkQueue) {
    if item.is_named {
        return;
    }
    if let Some(mut call) = ToolCallParts::from_item(started) {
        item.is_named = true;
        call.arguments.clear();
        item.has_extra = !call.extra.is_empty();
        push_delta(item, call.into_delta(), chunks);
    }
}

/// Sends a piece of a tool call's arguments. `is_custom` tells whether the piece is the input of a custom
/// tool or the arguments of a function.
pub(super) fn push_arguments(
    item: &mut StreamedItem,
    is_custom: bool,
    arguments: String,
    chunks: &mut ChunkQueue,
) {
    item.other_bytes += arguments.len();
    item.arguments.push(&arguments);
    push_delta(item, tool_call_delta(is_custom, None, arguments), chunks);
}

/// Sends the part of a complete tool call that earlier deltas did not contain. Does nothing if `complete` is
/// not a tool call.
pub(super) fn push_unsent(item: &mut StreamedItem, complete: &Item, chunks: &mut ChunkQueue) {
    let Some(call) = ToolCallParts::from_item(complete) else {
        return;
    };
    // Arguments that are complete already may be repeated in another notation, such as with escape sequences.
    if !item.arguments.is_complete()
        && let Some(arguments) = unsent(&call.arguments, item.other_bytes)
    {
        push_arguments(item, call.is_custom, arguments, chunks);
    }
    if !call.extra.is_empty() && !std::mem::replace(&mut item.has_extra, true) {
        let extra = call.extra;
        let delta = tool_call_delta(call.is_custom, None, String::new());
        push_delta(item, ToolCallDelta { extra, ..delta }, chunks);
    }
}

fn push_delta(item: &StreamedItem, mut call: ToolCallDelta, chunks: &mut ChunkQueue) {
    call.index = item.tool_call_index.into();
    chunks.push(Delta {
        tool_calls: vec![call],
        ..Delta::default()
    });
}
