//! Text, refusals and annotations of a message in a stream of chat chunks.

use super::output::StreamedOutput;
use crate::chat::{Content, Json};
use crate::responses::{EventKind, Item, ItemPart, MessageItem};
use crate::translate::tagged_object;

/// Appends text, with the log probabilities of its tokens, to the current message. Does nothing if both are
/// empty.
pub(super) fn push_text(output: &mut StreamedOutput, text: String, logprobs: Vec<Json>) {
    if !text.is_empty() || !logprobs.is_empty() {
        output.push_text(ItemPart::output_text(""), text, Some(logprobs));
    }
}

/// Appends text to the refusal of the current message. Does nothing if the text is empty.
pub(super) fn push_refusal(output: &mut StreamedOutput, text: String) {
    if !text.is_empty() {
        output.push_text(ItemPart::refusal(""), text, None);
    }
}

/// Annotations that arrived before the text to which they belong.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingAnnotations(Vec<Json>);

impl PendingAnnotations {
    /// Adds annotations in the Chat Completions format to the last text part. Keeps the annotations for a
    /// later call if there is no text part yet. An annotation of a message that has ended causes no event and
    /// appears only in the final response.
    pub(super) fn push(&mut self, annotations: Option<&Json>, output: &mut StreamedOutput) {
        let annotations = annotations.and_then(|json| serde_json::from_str::<Vec<Json>>(json.get()).ok());
        self.0
            .extend(annotations.iter().flatten().map(tagged_object::flatten));
        if self.0.is_empty() {
            return;
        }
        for annotation in std::mem::take(&mut self.0) {
            match output.find_last(text_annotations) {
                Some((index, is_done, (part_index, known))) => {
                    known.push(annotation.clone());
                    let annotation_index = known.len() - 1;
                    if is_done {
                        continue;
                    }
                    let mut event = output.part_event(index, part_index, EventKind::AnnotationAdded);
                    event.extra.insert("annotation", annotation);
                    if let Ok(annotation_index) = Json::of(&annotation_index) {
                        event.extra.insert("annotation_index", annotation_index);
                    }
                    output.push_event(event);
                }
                None => self.0.push(annotation),
            }
        }
    }
}

/// Returns the zero-based index and the annotations of a message's first text part. Returns `None` if the
/// item is not a message or has no text part.
fn text_annotations(item: &mut Item) -> Option<(usize, &mut Vec<Json>)> {
    let Item::Message(MessageItem {
        content: Some(Content::Parts(parts)),
        ..
    }) = item
    else {
        return None;
    };
    let mut parts = parts.iter_mut().enumerate();
    parts.find_map(|(index, part)| match part {
        ItemPart::OutputText(part) => Some((index, &mut part.annotations)),
        _ => None,
    })
}
