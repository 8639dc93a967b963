//! One opaque error that answers questions.
//!
//! `Display` says what went wrong in our words, with key labels and without a word of the prompt or of the provider: the
//! provider's own message may echo either, and is given only to who asks for it.

use std::fmt;
use std::time::Duration;

use llmpool_core::chat::ChatCompletion;
use llmpool_core::failure::{Failure, FailureKind};

use crate::base_url::BaseUrlError;
use crate::provider_file::ProviderFileError;
use crate::report::{AttemptReport, CallReport};

/// Why a call has no answer, or a configuration no effect.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    failure: Option<Failure>,
    param: Option<String>,
    retry_after: Option<Duration>,
    report: CallReport,
    partial: Option<Box<ChatCompletion>>,
    provider_file: Option<ProviderFileError>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is wrong; the message says where and what to do.
    Config,
    /// No such provider or model is configured.
    UnknownModel,
    /// The request cannot be sent at all: it cannot be encoded, or asks for more than a limit ever admits.
    Unsendable,
    /// Our own limits would admit the call only after its deadline. Nothing was sent.
    LimitReached,
    /// The last attempt failed so, or every key is in this state.
    Attempt(FailureKind),
}

impl Error {
    /// An error of this kind. The message is lower case, without a full stop, and holds no secret and no prompt.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            failure: None,
            param: None,
            retry_after: None,
            report: CallReport::default(),
            partial: None,
            provider_file: None,
            source: None,
        }))
    }

    /// An attempt that failed.
    pub fn from_failure(failure: Failure) -> Self {
        let mut error = Self::new(ErrorKind::Attempt(failure.kind), failure.kind.as_str());
        error.0.retry_after = failure.retry_after;
        error.0.failure = Some(failure);
        error
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds which member of the request is at fault.
    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Adds what happened during the call.
    pub fn with_report(mut self, report: CallReport) -> Self {
        self.0.report = report;
        self
    }

    /// Adds when another try makes sense.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    /// Adds what had been received of the answer.
    pub fn with_partial(mut self, partial: ChatCompletion) -> Self {
        self.0.partial = Some(Box::new(partial));
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status of the last answer, if one came.
    pub fn status(&self) -> Option<u16> {
        self.0.failure.as_ref()?.status
    }

    /// The shortest wait after which another try makes sense, if it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The target's id, `provider/model`; empty when there was none.
    pub fn target(&self) -> &str {
        &self.0.report.target
    }

    /// Every attempt that was made.
    pub fn attempts(&self) -> &[AttemptReport] {
        &self.0.report.attempts
    }

    /// What happened during the call.
    pub fn report(&self) -> &CallReport {
        &self.0.report
    }

    /// The provider's id of the last exchange.
    pub fn request_id(&self) -> Option<&str> {
        self.0.failure.as_ref()?.request_id.as_deref()
    }

    /// The provider's error code.
    pub fn code(&self) -> Option<&str> {
        self.0.failure.as_ref()?.code.as_deref()
    }

    /// The member of the request that is at fault, as a path, where the provider or the translation names it. As with the provider's
    /// words: for the caller, not for logs.
    pub fn param(&self) -> Option<&str> {
        let said = || self.0.failure.as_ref()?.param.as_deref();
        self.0.param.as_deref().or_else(said)
    }

    /// The provider's own words, masked for keys. They may echo the prompt: show them to the caller, do not log them.
    pub fn provider_message(&self) -> Option<&str> {
        self.0.failure.as_ref()?.message.as_deref()
    }

    /// What had been received of the answer when a stream broke.
    pub fn partial(&self) -> Option<&ChatCompletion> {
        self.0.partial.as_deref()
    }
}

impl Error {
    /// Returns the errors in a provider file, each with its location and a fix, if that is why it was not loaded. The text of this error
    /// contains them all.
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
        let Inner { message, report, .. } = &*self.0;
        if !report.target.is_empty() {
            write!(f, "{}: ", report.target)?;
        }
        f.write_str(message)?;
        let tries = report.attempts.len() + report.unsent.len();
        if tries == 0 {
            return Ok(());
        }
        let plural = if tries == 1 { "attempt" } else { "attempts" };
        write!(
            f,
            " after {tries} {plural} in {:.1}s",
            report.elapsed.as_secs_f64()
        )?;
        write_tries(f, report)
    }
}

/// Each try with its key, runs of the same told once.
fn write_tries(f: &mut fmt::Formatter<'_>, report: &CallReport) -> fmt::Result {
    let mut tries: Vec<(String, usize)> = Vec::new();
    for attempt in report.attempts.iter().chain(&report.unsent) {
        let outcome = attempt.failure.map_or("answered", FailureKind::as_str);
        let status = attempt.status.map(|status| format!(" ({status})"));
        let told = format!("{} {outcome}{}", attempt.key, status.unwrap_or_default());
        match tries.last_mut() {
            Some((last, times)) if *last == told => *times += 1,
            _ => tries.push((told, 1)),
        }
    }
    for (index, (told, times)) in tries.iter().enumerate() {
        f.write_str(if index == 0 { ": " } else { ", " })?;
        f.write_str(told)?;
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
            .field("failure", &self.0.failure)
            .field("retry_after", &self.0.retry_after)
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
