//! The error type of calls and of the configuration.
//!
//! `Display` and `Debug` show key labels, but never a key, a prompt or a message from the provider, because
//! such a message may repeat a key or a prompt. Only [`Error::provider_message`] returns the provider's
//! message.

use std::fmt;
use std::time::Duration;

use llmpool_core::chat::ChatCompletion;
use llmpool_core::failure::{Blame, Failure, FailureKind};

use crate::base_url::BaseUrlError;
use crate::provider_file::ProviderFileError;
use crate::report::{AttemptReport, CallReport};

/// What to do about a failed call if no key has credit left.
pub(crate) const ADD_CREDIT: &str =
    "add credit at the provider, or add a key of another account; llmpool status shows each key";

/// The error of a failed call or of an invalid configuration.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    failure: Option<Failure>,
    param: Option<String>,
    retry_in: Option<Duration>,
    report: CallReport,
    partial: Option<Box<ChatCompletion>>,
    provider_file: Option<ProviderFileError>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kind of an [`Error`], by which a program can decide how to react.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is invalid. The error message says where and why.
    Config,
    /// The requested provider or model is not in the configuration.
    UnknownModel,
    /// No attempt can ever be made with this request. The API of the model cannot express the request, the
    /// request needs more than a limit admits at once, or no account is known to own all resources (such as
    /// earlier responses) to which the request refers.
    Unsendable,
    /// No attempt was made, because the configured limits would admit the call only after its deadline, or
    /// because too many calls are waiting.
    LimitReached,
    /// The last attempt failed with this kind of failure. If no attempt was made, the target or all of its
    /// keys are out of use for this reason.
    Attempt(FailureKind),
}

impl ErrorKind {
    /// Returns the name of the kind for reports and log records, such as `limit reached`. For [`Self::Attempt`], the
    /// name of the failure.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "invalid configuration",
            Self::UnknownModel => "unknown model",
            Self::Unsendable => "unsendable request",
            Self::LimitReached => "limit reached",
            Self::Attempt(kind) => kind.as_str(),
        }
    }
}

impl Error {
    /// Creates an error. By convention, the message starts with a lower-case letter, has no full stop at the
    /// end, and contains no key and no part of a prompt.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            help: None,
            failure: None,
            param: None,
            retry_in: None,
            report: CallReport::default(),
            partial: None,
            provider_file: None,
            source: None,
        }))
    }

    /// Creates the error of a failed attempt. If the provider said how long to wait,
    /// [`retry_in`](Self::retry_in) returns that duration.
    pub(crate) fn from_failure(failure: Failure) -> Self {
        let message = match failure.detail() {
            Some(detail) => format!("{}: {detail}", failure.kind),
            None => failure.kind.as_str().to_owned(),
        };
        let mut error = Self::new(ErrorKind::Attempt(failure.kind), message);
        let add_credit = (failure.kind == FailureKind::NoQuota).then_some(ADD_CREDIT);
        error.0.help = failure.help().or(add_credit).map(str::to_owned);
        error.0.retry_in = failure.retry_after;
        error.0.failure = Some(failure);
        error
    }

    /// Replaces the message of an error that an exhausted quota without a known end has caused.
    pub(crate) fn without_credit(mut self) -> Self {
        "no credit left".clone_into(&mut self.0.message);
        self
    }

    /// Sets the underlying error, which [`source`](std::error::Error::source) returns.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets the help text, which tells the user how to fix the error. The text follows the same conventions
    /// as the message: see [`new`](Self::new).
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Sets the path of the request field that is at fault, such as `messages[0].name`.
    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Sets the report of the call that failed.
    pub fn with_report(mut self, report: CallReport) -> Self {
        self.0.report = report;
        self
    }

    /// Sets how long to wait before a retry can succeed, measured from the end of the call.
    pub fn with_retry_in(mut self, retry_in: Duration) -> Self {
        self.0.retry_in = Some(retry_in);
        self
    }

    /// Sets the part of the answer that was received before the stream failed.
    pub fn with_partial(mut self, partial: ChatCompletion) -> Self {
        self.0.partial = Some(Box::new(partial));
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same call can succeed later without a change to the request, the keys or the
    /// configuration.
    ///
    /// Returns true after a reached limit, a throttled key, an exhausted quota, an overload or server error,
    /// a timeout, or a broken connection.
    pub fn is_temporary(&self) -> bool {
        match self.0.kind {
            ErrorKind::LimitReached => true,
            ErrorKind::Attempt(
                FailureKind::RateLimited | FailureKind::NoQuota | FailureKind::DeadlineExceeded,
            ) => true,
            ErrorKind::Attempt(kind) => {
                matches!(kind.blame(), Blame::Target | Blame::Network) && !kind.is_lasting()
            }
            ErrorKind::Config | ErrorKind::UnknownModel | ErrorKind::Unsendable => false,
        }
    }

    /// Returns the help text, which tells the user how to fix the error. `None` if there is no help text. For
    /// [`ErrorKind::UnknownModel`], the text usually lists the models to choose from. `Display` does not show
    /// the help text.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Returns the HTTP status of the last attempt. `None` if that attempt got no response, or if no attempt
    /// was made.
    pub fn status(&self) -> Option<u16> {
        self.0.failure.as_ref()?.status
    }

    /// Returns how long to wait before a retry can succeed, measured from the end of the call. `None` if that
    /// is unknown.
    pub fn retry_in(&self) -> Option<Duration> {
        self.0.retry_in
    }

    /// Returns the id of the target, `provider/model`. Empty if the error does not belong to a call.
    pub fn target(&self) -> &str {
        &self.0.report.target
    }

    /// Returns the attempts that may have reached the provider, oldest first. Attempts whose request was
    /// never written to a connection are not included.
    pub fn attempts(&self) -> &[AttemptReport] {
        &self.0.report.attempts
    }

    /// Returns the report of the call. Empty if the error does not belong to a call.
    pub fn report(&self) -> &CallReport {
        &self.0.report
    }

    /// Returns the id that the provider gave to the last attempt, such as the value of the response header
    /// `x-request-id`. `None` if the provider sent no id.
    pub fn request_id(&self) -> Option<&str> {
        self.0.failure.as_ref()?.request_id.as_deref()
    }

    /// Returns the provider's error code, such as `insufficient_quota`. `None` if the provider sent no error
    /// code.
    pub fn code(&self) -> Option<&str> {
        self.0.failure.as_ref()?.code.as_deref()
    }

    /// Returns the path of the request field that is at fault, such as `messages[0].name`. `None` if neither
    /// the provider nor this library has named a field.
    ///
    /// The path may contain words of the prompt: show the path to the caller, but do not log it.
    pub fn param(&self) -> Option<&str> {
        let provider_param = || self.0.failure.as_ref()?.param.as_deref();
        self.0.param.as_deref().or_else(provider_param)
    }

    /// Returns the provider's error message, with keys masked. The message may repeat the prompt: show the
    /// message to the caller, but do not log it.
    pub fn provider_message(&self) -> Option<&str> {
        self.0.failure.as_ref()?.message.as_deref()
    }

    /// Returns the part of the answer that was received before the stream failed. `None` if the error does
    /// not come from [`ChatStream::into_response`](crate::ChatStream::into_response).
    pub fn partial(&self) -> Option<&ChatCompletion> {
        self.0.partial.as_deref()
    }
}

impl Error {
    /// Returns the errors in an invalid provider file, each with its location and a fix. `None` if this error
    /// has another cause. `Display` shows all of these errors too.
    pub fn provider_file_error(&self) -> Option<&ProviderFileError> {
        self.0.provider_file.as_ref()
    }
}

impl From<ProviderFileError> for Error {
    fn from(error: ProviderFileError) -> Self {
        let mut this = Self::new(ErrorKind::Config, error.to_string());
        this.0.provider_file = Some(error);
        this
    }
}

impl From<BaseUrlError> for Error {
    fn from(error: BaseUrlError) -> Self {
        Self::new(ErrorKind::Config, error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            message,
            retry_in,
            report,
            ..
        } = &*self.0;
        if !report.target.is_empty() {
            write!(f, "{}: ", report.target)?;
        }
        f.write_str(message)?;
        let has_detail = self
            .0
            .failure
            .as_ref()
            .is_some_and(|failure| failure.detail().is_some());
        write_attempts(f, report, if has_detail { "; " } else { " after " })?;
        match retry_in {
            Some(wait) if !wait.is_zero() && self.is_temporary() => {
                let action = match kind {
                    ErrorKind::LimitReached => "next slot",
                    _ => "retry",
                };
                write!(f, "; {action} in {:.1} s", wait.as_secs_f64())
            }
            _ => Ok(()),
        }
    }
}

/// Writes the key and the outcome of each attempt. Writes consecutive attempts with the same key and outcome
/// only once, followed by their number.
fn write_attempts(f: &mut fmt::Formatter<'_>, report: &CallReport, separator: &str) -> fmt::Result {
    let count = report.attempts.len() + report.unsent.len();
    if count == 0 {
        return Ok(());
    }
    let plural = if count == 1 { "" } else { "s" };
    let elapsed = report.elapsed.as_secs_f64();
    write!(f, "{separator}{count} attempt{plural} in {elapsed:.1} s")?;
    let mut runs: Vec<(String, usize)> = Vec::new();
    for attempt in report.attempts.iter().chain(&report.unsent) {
        let outcome = attempt.failure.map_or("answered", FailureKind::as_str);
        let status = attempt.status.map(|status| format!(" ({status})"));
        let text = format!("{} {outcome}{}", attempt.key, status.unwrap_or_default());
        match runs.last_mut() {
            Some((last, times)) if *last == text => *times += 1,
            _ => runs.push((text, 1)),
        }
    }
    for (index, (text, times)) in runs.iter().enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        write!(f, "{separator}{text}")?;
        if *times > 1 {
            write!(f, " ({times} times)")?;
        }
    }
    Ok(())
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("help", &self.0.help)
            .field("failure", &self.0.failure)
            .field("retry_in", &self.0.retry_in)
            .field("report", &self.0.report)
            .field("partial", &self.0.partial.is_some())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
