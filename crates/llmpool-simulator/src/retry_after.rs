//! The time that a rejected client should wait before a retry, and the headers that report this time.

use std::time::{Duration, SystemTime};

use hyper::header::{HeaderName, RETRY_AFTER};
use serde::Deserialize;

use crate::time_format;

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The time that a client should wait before its next attempt, and how a response reports this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// The time to wait. At most a year.
    pub wait: Duration,
    /// The header that reports the wait, and the format of the header's value.
    pub form: RetryAfterForm,
}

/// The header that reports the wait of a [`RetryAfter`], and the format of the header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    /// The header `retry-after`, with the wait in whole seconds, rounded up.
    Seconds,
    /// The header `retry-after`, with the wait in seconds, rounded to three decimals.
    Decimal,
    /// The header `retry-after-ms`, with the wait in whole milliseconds, rounded up. The response has no
    /// `retry-after` header.
    Ms,
    /// The header `retry-after`, with the end of the wait as an HTTP date, rounded up to a whole second.
    Date,
    /// No header: the response does not report the wait.
    None,
}

impl RetryAfter {
    /// Creates a wait that the header `retry-after` reports in seconds: as an integer if the wait is a whole
    /// number of seconds, otherwise with three decimals.
    pub fn new(wait: Duration) -> Self {
        let form = if wait.subsec_nanos() == 0 {
            RetryAfterForm::Seconds
        } else {
            RetryAfterForm::Decimal
        };
        Self { wait, form }
    }

    /// Returns the name and value of the header, or `None` for [`RetryAfterForm::None`]. `date` is the
    /// provider's current date.
    pub(crate) fn header(self, date: SystemTime) -> Option<(HeaderName, String)> {
        Some(match self.form {
            RetryAfterForm::Seconds => (RETRY_AFTER, time_format::seconds_up(self.wait).to_string()),
            RetryAfterForm::Decimal => (RETRY_AFTER, format!("{:.3}", self.wait.as_secs_f64())),
            RetryAfterForm::Ms => (
                RETRY_AFTER_MS,
                self.wait.as_nanos().div_ceil(1_000_000).to_string(),
            ),
            RetryAfterForm::Date => (RETRY_AFTER, time_format::http_date(date + self.wait)),
            RetryAfterForm::None => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_wait_is_never_too_short() {
        let wait = Duration::from_micros(1_200_400);
        let header = |form| RetryAfter { wait, form }.header(SystemTime::now());
        assert_eq!(header(RetryAfterForm::Seconds), Some((RETRY_AFTER, "2".into())));
        assert_eq!(header(RetryAfterForm::Ms), Some((RETRY_AFTER_MS, "1201".into())));
        assert_eq!(header(RetryAfterForm::None), None);
        let (_, date) = header(RetryAfterForm::Date).unwrap();
        assert!(httpdate::parse_http_date(&date).unwrap() >= SystemTime::now() + Duration::from_secs(1));
    }
}
