//! How many tokens a call needs and how many it used; looked at only where a limit counts them.

use std::sync::Arc;

use llmpool_core::chat::Usage;
use llmpool_core::estimate;
use llmpool_core::limits::Demand;
use llmpool_core::stream_view::{self, StreamView};
use llmpool_core::translate;
use serde::Deserialize;

use crate::exchange::{Endpoint, Rendered};
use crate::limits::Permit;
use crate::target::Target;

/// The members of a request that bound its answer.
#[derive(Deserialize)]
struct Bounds {
    max_completion_tokens: Option<u32>,
    max_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    n: Option<u32>,
}

impl Bounds {
    fn most(&self) -> Option<u32> {
        let chat = self.max_completion_tokens.or(self.max_tokens);
        chat.or(self.max_output_tokens)
    }
}

/// What a call needs.
pub(crate) fn need_of(target: &Target, Rendered { at, body, .. }: &Rendered) -> Demand {
    if !target.counts_tokens || *at == Endpoint::Models {
        return Demand::ONE;
    }
    if *at == Endpoint::Embeddings {
        return Demand {
            tokens: estimate::tokens(body).max(1),
            ..Demand::ONE
        };
    }
    let bounds: Option<Bounds> = serde_json::from_slice(body).ok();
    let each = bounds
        .as_ref()
        .and_then(Bounds::most)
        .or(target.expected_output)
        .or_else(|| target.facts.long_answer())
        .unwrap_or(estimate::DEFAULT_OUTPUT_TOKENS);
    let choices = bounds.and_then(|bounds| bounds.n).unwrap_or(1).max(1);
    let tokens = estimate::tokens(body).saturating_add(each.saturating_mul(choices));
    Demand {
        tokens: tokens.max(1),
        ..Demand::ONE
    }
}

/// The most tokens that an answer may have where a call leaves it to the target's `api_params`.
pub(crate) fn most_by_default(target: &Target) -> Option<u32> {
    let said = |name| {
        let (_, value) = target.api_params.iter().find(|(known, _)| known == name)?;
        serde_json::from_str(value.get()).ok()
    };
    let bounds = Bounds {
        max_completion_tokens: said("max_completion_tokens"),
        max_tokens: said("max_tokens"),
        max_output_tokens: said("max_output_tokens"),
        n: None,
    };
    bounds.most()
}

/// What a plain answer used, for a provider that does not say.
pub(crate) fn estimated_plain(sent: &[u8], body: &[u8]) -> Option<Usage> {
    stream_view::estimated_tokens(body).map(|answer| estimated(sent, answer))
}

/// What an answer without words used, for a provider that does not say.
pub(crate) fn estimated_input(sent: &[u8]) -> Usage {
    estimated(sent, 0)
}

/// What a stream used so far, for a provider that does not say.
pub(crate) fn estimated_stream(sent: &[u8], view: &StreamView) -> Option<Usage> {
    Some(estimated(sent, view.estimated_tokens())).filter(|_| view.has_content())
}

fn estimated(sent: &[u8], answer: u32) -> Usage {
    Usage::new(u64::from(estimate::tokens(sent)), u64::from(answer))
}

/// Corrects what was reserved by what a plain answer says.
pub(crate) fn settle_plain(target: &Target, permit: &mut Permit, body: &[u8]) {
    if target.counts_tokens {
        settle(target, permit, translate::parse_usage(body));
    }
}

fn settle(target: &Target, permit: &mut Permit, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    let tokens = |tokens: Option<u64>| tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX));
    if let Some(answer) = tokens(usage.completion_tokens()) {
        target.facts.note_answer(answer);
    }
    if let Some(all) = tokens(usage.total_tokens()) {
        permit.settle(all);
    }
}

/// A stream's permit, and whose estimate its usage corrects.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    pub(crate) permit: Permit,
    pub(crate) target: Arc<Target>,
}

impl StreamPermit {
    /// The stream has ended, having said this of its usage.
    pub(crate) fn end(mut self, usage: Option<&[u8]>) {
        if self.target.counts_tokens {
            let usage = usage.and_then(|json| serde_json::from_slice(json).ok());
            settle(&self.target, &mut self.permit, usage);
        }
    }
}
