//! Text, refusals and annotations of a message in a stream of chat chunks.

use super::output::StreamedOutput;
use crate::chat::Json;
use crate::responses::{EventKind, ItemPart};
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
        if output.last_annotations().is_none() {
            return;
        }
        for annotation in std::mem::take(&mut self.0) {
            let Some(((index, part_index), is_done, known)) = output.last_annotations() else {
                return;
            };
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
    }
}
