//! The error codes and messages that providers are known to send, and the failure that each of them means.

use std::time::Duration;

use super::FailureKind;
use crate::provider_error::ProviderError;

/// The error codes, types and reasons that providers are known to send, grouped by the failure that each of
/// them means. The four-digit codes are those of GLM (Zhipu AI), those of `base_resp` are MiniMax's.
const KNOWN_CODES: &[(FailureKind, &[&str])] = &[
    (
        FailureKind::InvalidKey,
        &[
            "1000",
            "1001",
            "1002",
            "1003",
            "1004",
            "API_KEY_INVALID",
            "authentication_error",
            "incorrect_api_key_error",
            "invalid_api_key",
            "invalid_authentication_error",
            "base_resp.1004",
            "base_resp.2049",
        ],
    ),
    (
        FailureKind::NoQuota,
        &[
            "1113",
            "1304",
            "1308",
            "1310",
            "AccountOverdueError",
            "AllocationQuota.FreeTierOnly",
            "Arrearage",
            "BILLING_DISABLED",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "budget_exceeded",
            "credit_balance_too_low",
            "exceeded_current_quota_error",
            "insufficient_balance",
            "insufficient_credits",
            INSUFFICIENT_QUOTA,
            "insufficient_user_quota",
            "not_enough_balance",
            "payment_required",
            "pre_consume_token_quota_failed",
            "quota_exceeded",
            "base_resp.1008",
        ],
    ),
    (FailureKind::ModelNotFound, &["1211", "model_not_found"]),
    (
        FailureKind::ContextLength,
        &[
            "1261",
            "context_length_exceeded",
            "exceed_context_size_error",
            "tokens_too_long",
        ],
    ),
    (
        FailureKind::ContentFilter,
        &[
            "1301",
            "ResponsibleAIPolicyViolation",
            "content_filter",
            "content_policy_violation",
            "base_resp.1026",
            "base_resp.1027",
        ],
    ),
    (
        FailureKind::RateLimited,
        &[
            "1302",
            "1303",
            "1305",
            "Throttling.AllocationQuota",
            "Throttling.RateQuota",
            "limit_requests",
            "rate_limit_error",
            "rate_limit_exceeded",
            "rate_limit_reached_error",
            "rpm_rate_limit_exceeded",
            "tpm_rate_limit_exceeded",
            "base_resp.1002",
            "base_resp.1039",
        ],
    ),
    (
        FailureKind::Overloaded,
        &["1312", "engine_overloaded_error", "overloaded_error"],
    ),
    (
        FailureKind::PermissionDenied,
        &["insufficient_permissions", "permission_error"],
    ),
];

/// Types of rate limits. OpenAI also sends them with an exhausted quota, so every other known code outranks
/// them.
const RATE_TYPES: &[&str] = &["requests", "tokens"];

const INSUFFICIENT_QUOTA: &str = "insufficient_quota";

/// Phrases in error messages, in lower case, that mean that an account has no credit left. They count at
/// every status, so they leave no other meaning: a false match pauses a key that works.
const CREDIT_PHRASES: &[&str] = &[
    "insufficient balance",
    "insufficient account balance",
    "balance is insufficient",
    "insufficient credit",
    "insufficient funds",
    "not enough credit",
    "credit balance is too low",
    "out of credits",
    "used all available credits",
    "monthly spending limit",
    "key limit exceeded (",
    "exceeded your current quota",
    "check your plan and billing",
    "余额不足",
    "余额已用尽",
    "额度不足",
    "额度已用尽",
    "欠费",
];

/// Phrases in error messages, in lower case, that in a 429 mean an exhausted quota rather than an exceeded
/// rate limit.
const QUOTA_PHRASES: &[&str] = &[
    "subscription quota",
    "billing",
    "per day",
    "per-day",
    "daily",
    "free quota",
];

/// A quota that returns within this time is a rate limit, unless an error code says otherwise.
const MAX_RATE_WAIT: Duration = Duration::from_secs(60);

/// Returns the failure that the codes of an error mean, or `None` if none of them is known.
pub(super) fn kind_of_codes(error: &ProviderError) -> Option<FailureKind> {
    let known = error.codes.iter().find_map(|code| kind_of_code(code));
    let is_rate = || error.codes.iter().any(|code| RATE_TYPES.contains(&code.as_str()));
    let kind = known.or_else(|| is_rate().then_some(FailureKind::RateLimited))?;
    // DashScope sends `insufficient_quota` both for an exceeded rate, which recovers within a minute, and for
    // an exhausted quota. Only the message tells the two apart.
    let is_disguised_rate = kind == FailureKind::NoQuota
        && error.codes.iter().any(|code| code == INSUFFICIENT_QUOTA)
        && mentions(error, &["allocated quota", "per minute"]);
    Some(if is_disguised_rate {
        FailureKind::RateLimited
    } else {
        kind
    })
}

/// Returns the failure if the message says that the account has no credit left. `wait` is the wait that the
/// provider names. Returns `None` if the error is about a parameter, because its message may quote the request.
pub(super) fn kind_of_credit_message(error: &ProviderError, wait: Option<Duration>) -> Option<FailureKind> {
    let is_about_credit = error.param.is_none() && mentions(error, CREDIT_PHRASES);
    is_about_credit.then(|| quota_or_rate(wait))
}

/// Returns the failure if the message of a 429 says that a quota is exhausted. `wait` is the wait that the
/// provider names.
pub(super) fn kind_of_quota_message(error: &ProviderError, wait: Option<Duration>) -> Option<FailureKind> {
    let is_about_quota = mentions(error, CREDIT_PHRASES) || mentions(error, QUOTA_PHRASES);
    is_about_quota.then(|| quota_or_rate(wait))
}

/// Returns whether the message contains one of the phrases, which are in lower case.
pub(super) fn mentions(error: &ProviderError, phrases: &[&str]) -> bool {
    let message = error.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    phrases.iter().any(|phrase| message.contains(phrase))
}

fn quota_or_rate(wait: Option<Duration>) -> FailureKind {
    match wait {
        Some(wait) if wait <= MAX_RATE_WAIT => FailureKind::RateLimited,
        _ => FailureKind::NoQuota,
    }
}

/// Looks up a code as a whole, then its part before the first dot: `RateLimitExceeded.EndpointRPMExceeded` is
/// a kind of `RateLimitExceeded`.
fn kind_of_code(code: &str) -> Option<FailureKind> {
    let known = |code: &str| {
        let is_listed = |codes: &[&str]| codes.iter().any(|known| is_same_code(known, code));
        let group = KNOWN_CODES.iter().find(|(_, codes)| is_listed(codes));
        group.map(|(kind, _)| *kind)
    };
    known(code).or_else(|| known(code.split_once('.')?.0))
}

/// Compares codes without regard to case and joining marks, because providers write one code as
/// `rate_limit_exceeded`, `rateLimitExceeded` and `RATE-LIMIT-EXCEEDED`.
fn is_same_code(one: &str, other: &str) -> bool {
    fn letters(code: &str) -> impl Iterator<Item = u8> {
        let letters = code.bytes().filter(u8::is_ascii_alphanumeric);
        letters.map(|byte| byte.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}
