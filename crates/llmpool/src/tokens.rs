//! Estimates the tokens of a call before the request is sent, and replaces the estimate by the actual usage
//! afterwards.

use std::sync::Arc;

use bytes::Bytes;
use llmpool_core::chat::Usage;
use llmpool_core::estimate;
use llmpool_core::limits::Demand;
use llmpool_core::stream_view::{self, StreamView};
use llmpool_core::translate;
use serde::Deserialize;

use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::limits::Permit;
use crate::target::Target;

/// The request fields that limit the number of answer tokens: the maximum length of each choice, and the
/// number of choices, `n`.
#[derive(Deserialize)]
struct AnswerBounds {
    max_completion_tokens: Option<u32>,
    max_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    n: Option<u32>,
}

impl AnswerBounds {
    fn max_tokens(&self) -> Option<u32> {
        let chat = self.max_completion_tokens.or(self.max_tokens);
        chat.or(self.max_output_tokens)
    }
}

/// Returns what a request takes from the limits: one request and, if a limit counts tokens, the estimated
/// prompt tokens plus the expected answer tokens.
pub(crate) fn demand(target: &Target, request: &EncodedRequest) -> Demand {
    let EncodedRequest { endpoint, body, .. } = request;
    if !target.counts_tokens || *endpoint == Endpoint::Models {
        return Demand::ONE;
    }
    if *endpoint == Endpoint::Embeddings {
        return Demand {
            tokens: estimate::tokens(body).max(1),
            ..Demand::ONE
        };
    }
    let bounds: Option<AnswerBounds> = serde_json::from_slice(body).ok();
    let each = bounds
        .as_ref()
        .and_then(AnswerBounds::max_tokens)
        .or(target.expected_output)
        .or_else(|| target.capabilities.p95_answer_length())
        .unwrap_or(estimate::DEFAULT_OUTPUT_TOKENS);
    let choices = bounds.and_then(|bounds| bounds.n).unwrap_or(1).max(1);
    let tokens = estimate::tokens(body).saturating_add(each.saturating_mul(choices));
    Demand {
        tokens: tokens.max(1),
        ..Demand::ONE
    }
}

/// Returns the maximum answer length, in tokens, that the target's `api_params` set. Returns `None` if
/// `api_params` sets no maximum.
pub(crate) fn default_max_tokens(target: &Target) -> Option<u32> {
    let param = |name| {
        let (_, value) = target.api_params.iter().find(|(known, _)| known == name)?;
        serde_json::from_str(value.get()).ok()
    };
    let bounds = AnswerBounds {
        max_completion_tokens: param("max_completion_tokens"),
        max_tokens: param("max_tokens"),
        max_output_tokens: param("max_output_tokens"),
        n: None,
    };
    bounds.max_tokens()
}

/// Estimates the usage of a call from the request and the body of the answer. Returns `None` if the body is
/// not an answer.
pub(crate) fn estimated_plain(request: &[u8], body: &[u8]) -> Option<Usage> {
    stream_view::estimated_tokens(body).map(|answer| estimated(request, answer))
}

/// Estimates the usage of a call whose answer contains no text, such as embeddings. Counts only the prompt.
pub(crate) fn estimated_input(request: &[u8]) -> Usage {
    estimated(request, 0)
}

/// Estimates the usage of a stream from the request and the events so far. Returns `None` if no content has
/// arrived.
pub(crate) fn estimated_stream(request: &[u8], view: &StreamView) -> Option<Usage> {
    Some(estimated(request, view.estimated_tokens())).filter(|_| view.has_content())
}

fn estimated(request: &[u8], answer: u32) -> Usage {
    Usage::new(u64::from(estimate::tokens(request)), u64::from(answer))
}

/// Replaces the tokens that the permit has reserved by the usage that a complete answer reports. Without
/// reported usage, the reservation stays unchanged.
pub(crate) fn settle_plain(target: &Target, permit: &mut Permit, body: &[u8]) {
    if target.counts_tokens
        && let Some(usage) = translate::parse_usage(body)
    {
        settle(target, permit, &usage);
    }
}

/// Replaces the tokens that the permit has reserved by the total of `usage`. Returns false if `usage` contains no
/// total.
fn settle(target: &Target, permit: &mut Permit, usage: &Usage) -> bool {
    let tokens = |tokens: Option<u64>| tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX));
    if let Some(answer) = tokens(usage.completion_tokens()) {
        target.capabilities.record_answer_length(answer);
    }
    let total = tokens(usage.total_tokens());
    if let Some(total) = total {
        permit.settle(total);
    }
    total.is_some()
}

/// The permit of a stream, with what is needed to settle its tokens.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    pub(crate) permit: Permit,
    /// The target for which the length of the streamed answer is recorded. Dropped after the permit.
    pub(crate) target: Arc<Target>,
    /// The body of the request, from which the prompt tokens of an abandoned stream are estimated.
    pub(crate) request_body: Bytes,
}

impl StreamPermit {
    /// Releases the permit of a stream that has ended. First replaces the reserved tokens by the usage that
    /// the stream reported. Without reported usage, the reservation stays unchanged.
    pub(crate) fn end(mut self, view: &StreamView) {
        self.settle(view);
    }

    /// Releases the permit of a stream that the caller dropped. First replaces the reserved tokens by the
    /// usage that the stream reported or, if there is none, by an estimate of the prompt and the output so
    /// far. If no output has arrived either, the reservation stays unchanged.
    pub(crate) fn abandon(mut self, view: &StreamView) {
        if self.target.counts_tokens
            && !self.settle(view)
            && let Some(estimate) = estimated_stream(&self.request_body, view)
        {
            let tokens = estimate.total_tokens().unwrap_or_default();
            self.permit.settle(u32::try_from(tokens).unwrap_or(u32::MAX));
        }
    }

    /// Settles the permit with the usage that the stream reported. Returns false if it reported no usage, or one
    /// without a readable total.
    fn settle(&mut self, view: &StreamView) -> bool {
        let json = view.usage().filter(|_| self.target.counts_tokens);
        let usage = json.and_then(|json| serde_json::from_slice(json).ok());
        usage.is_some_and(|usage| settle(&self.target, &mut self.permit, &usage))
    }
}
