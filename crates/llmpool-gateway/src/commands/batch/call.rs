//! A call of a batch, as long as there is a key for it.
//!
//! A call with much time waits for refused keys too, since those are tried again after a minute. That is right where one key
//! of several is in trouble; where all are, every line of the batch would wait for the same refusal.

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    CallOptions, CallReport, ChatResponse, Error, ErrorKind, FailureKind, KeyState, LlmInterface,
    OpenAiCompatible,
};

/// How soon a call in line notices that every key was refused.
const NOTICED_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn run(
    model: &OpenAiCompatible,
    request: &ChatRequest,
    options: &CallOptions,
) -> Result<ChatResponse, Error> {
    tokio::select! {
        // First, so that an answer that has come is never thrown away.
        biased;
        answer = model.chat(request, options) => answer,
        failure = keys_spent(model) => Err(error(model, failure)),
    }
}

/// Resolves once no key of the model is of use any more.
async fn keys_spent(model: &OpenAiCompatible) -> FailureKind {
    loop {
        if let Some(failure) = why_spent(model) {
            return failure;
        }
        tokio::time::sleep(NOTICED_AFTER).await;
    }
}

/// Why all keys are of no use, if they are and nobody is still being answered.
fn why_spent(model: &OpenAiCompatible) -> Option<FailureKind> {
    let mut why = None;
    for key in model.key_status() {
        why = Some(match key.state {
            _ if key.in_flight > 0 => return None,
            KeyState::Healthy | KeyState::Throttled(_) | KeyState::Probing => return None,
            // Comes back earlier than a refused key, and so decides what is said.
            KeyState::NoQuota(_) => FailureKind::NoQuota,
            KeyState::Invalid(_) | KeyState::Disabled => why.unwrap_or(FailureKind::InvalidKey),
            KeyState::Forbidden(_) => why.unwrap_or(FailureKind::PermissionDenied),
        });
    }
    why
}

fn error(model: &OpenAiCompatible, failure: FailureKind) -> Error {
    let message = match failure {
        FailureKind::NoQuota => "no key has quota left",
        _ => "every key was refused",
    };
    Error::new(ErrorKind::Attempt(failure), message).with_report(CallReport {
        target: model.id().into(),
        ..CallReport::default()
    })
}
