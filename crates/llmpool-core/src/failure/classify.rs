//! Classifies error responses by status, headers and body.

use super::known_errors::{kind_of_codes, kind_of_credit_message, kind_of_quota_message, mentions};
use super::refused_format::refuses_response_format;
use super::{Blame, Certainty, Failure, FailureKind};
use crate::provider_error::ProviderError;
use crate::rate_headers::ErrorHeaders;

/// Returns the failure that a response with an error status reports. `error` is the parsed response body, or
/// `None` if the body is empty.
///
/// The reset time of an exhausted rate limit is a wait only if the failure is blamed on the key: the limits
/// of one key say nothing about when a failing target recovers. If the account has no quota left, only headers
/// quoted in the body count: the headers of the response describe rate limits, which have resets of their own.
pub fn classify(status: u16, headers: &ErrorHeaders, error: Option<&ProviderError>) -> Failure {
    let empty = ProviderError::default();
    let error = error.unwrap_or(&empty);
    Failure {
        status: Some(status),
        request_id: headers.request_id.clone(),
        ..failure(status, headers, error)
    }
}

/// Returns the failure that a success response reports in its body or in a stream event. If an error code is
/// a number from 400 to 599, it is treated as the HTTP status.
pub fn classify_in_stream(error: &ProviderError) -> Failure {
    let headers = ErrorHeaders::parse(|_| None, Some(error), None);
    let statuses = error.codes.iter().filter_map(|code| code.parse().ok());
    match statuses.into_iter().find(|status| (400..600).contains(status)) {
        Some(status) => failure(status, &headers, error),
        None => {
            let kind = kind_of_codes(error)
                .or_else(|| kind_of_credit_message(error, headers.retry_after))
                .or_else(|| refuses_response_format(error).then_some(FailureKind::ResponseFormatRefused))
                .unwrap_or(FailureKind::ServerError);
            with_wait(kind, Certainty::Certain, &headers, error)
        }
    }
}

fn failure(status: u16, headers: &ErrorHeaders, error: &ProviderError) -> Failure {
    let (kind, certainty) = cause(status, headers, error);
    with_wait(kind, certainty, headers, error)
}

fn with_wait(
    kind: FailureKind,
    certainty: Certainty,
    headers: &ErrorHeaders,
    error: &ProviderError,
) -> Failure {
    let (retry_after, limit_reset) = match kind {
        FailureKind::NoQuota => (headers.retry_after.or(headers.quoted_limit_reset), None),
        kind if kind.blame() == Blame::Key => (
            headers.retry_after,
            headers.limit_reset.or(headers.quoted_limit_reset),
        ),
        _ => (headers.retry_after, None),
    };
    Failure {
        certainty,
        retry_after: retry_after.or(limit_reset),
        is_limit_reset: retry_after.is_none() && limit_reset.is_some(),
        code: error.code.clone(),
        param: error.param.clone().map(Into::into),
        message: error.message.clone(),
        ..Failure::new(kind)
    }
}

fn cause(status: u16, headers: &ErrorHeaders, error: &ProviderError) -> (FailureKind, Certainty) {
    let named_wait = headers.retry_after.or(headers.quoted_limit_reset);
    let known = kind_of_codes(error);
    let known_or_credit = || known.or_else(|| kind_of_credit_message(error, named_wait));
    let is_credit_message = || kind_of_credit_message(error, named_wait) == Some(FailureKind::NoQuota);
    let certain = |kind| (kind, Certainty::Certain);
    let is_refused_format = || known.is_none() && refuses_response_format(error);
    match status {
        // Redirects are not followed, because the redirected request would send the API key to another host.
        300..=399 => certain(FailureKind::WrongEndpoint),
        401 if known_or_credit() == Some(FailureKind::NoQuota) => certain(FailureKind::NoQuota),
        401 => certain(FailureKind::InvalidKey),
        402 => certain(FailureKind::NoQuota),
        403 => known_or_credit().map_or((FailureKind::PermissionDenied, Certainty::Ambiguous), certain),
        // Local servers refuse a format with status 500.
        400 | 404 | 405 | 422 | 500 | 501 if is_refused_format() => {
            certain(FailureKind::ResponseFormatRefused)
        }
        404 => known_or_credit().map_or((FailureKind::InvalidRequest, Certainty::Ambiguous), certain),
        408 | 409 => certain(FailureKind::ServerError),
        413 => certain(FailureKind::TooLarge),
        429 => rate_or_quota(known, headers, error),
        400 | 422 if is_about_stream_options(error) => certain(FailureKind::StreamOptionsRefused),
        400..=499 if status != 498 => certain(known_or_credit().unwrap_or(FailureKind::InvalidRequest)),
        // Some gateways answer with their own status to the refusal of an account.
        500..=599 if is_credit_message() => certain(FailureKind::NoQuota),
        498 | 503 | 529 => certain(FailureKind::Overloaded),
        500..=599 => certain(FailureKind::ServerError),
        _ => certain(FailureKind::InvalidResponse),
    }
}

fn rate_or_quota(
    known: Option<FailureKind>,
    headers: &ErrorHeaders,
    error: &ProviderError,
) -> (FailureKind, Certainty) {
    let named_wait = headers.retry_after.or(headers.quoted_limit_reset);
    let kind = if mentions(error, &["request too large"]) {
        FailureKind::TooLarge
    } else if let Some(kind) = known.or_else(|| kind_of_quota_message(error, named_wait)) {
        kind
    } else if named_wait.or(headers.limit_reset).is_some() {
        FailureKind::RateLimited
    } else {
        return (FailureKind::RateLimited, Certainty::Ambiguous);
    };
    (kind, Certainty::Certain)
}

fn is_about_stream_options(error: &ProviderError) -> bool {
    let param = error.param.as_deref().unwrap_or_default();
    param == "stream_options" || param.starts_with("stream_options.")
}

#[cfg(test)]
mod tests;
