//! Token usage that the events of a stream report.

use bytes::Bytes;

use crate::chat::Usage;

/// Token usage, decoded and as JSON text with the field names of Chat Completions or of Responses.
#[derive(Clone, Debug)]
pub(super) struct ReportedUsage {
    pub(super) usage: Usage,
    pub(super) json: Bytes,
}

impl ReportedUsage {
    /// Adds what an earlier event has reported. The text stays as received if that is nothing new.
    pub(super) fn complete_from(&mut self, earlier: &Self) {
        if self.usage.complete_from(&earlier.usage)
            && let Ok(json) = serde_json::to_vec(&self.usage)
        {
            self.json = json.into();
        }
    }
}
