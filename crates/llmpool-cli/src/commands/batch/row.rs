//! A line of a batch's output: as OpenAI's batches write it, with the line and the report beside it.
//!
//! Always true: a row is one line, whatever the provider wrote.

use std::time::Duration;

use llmpool::chat::ChatCompletion;
use llmpool::{AttemptReport, CallReport, ChatResponse, Error, ErrorKind};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// What every row begins with.
const BEGINNING: &[u8] = b"{\"id\":";

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    /// The same again, under the name that OpenAI's batches give it.
    custom_id: &'a str,
    line: u64,
    response: Option<Response<'a>>,
    error: Option<Failed<'a>>,
    report: Report<'a>,
}

#[derive(Serialize)]
struct Response<'a> {
    status_code: u16,
    request_id: Option<&'a str>,
    body: &'a ChatCompletion,
}

#[derive(Serialize)]
struct Failed<'a> {
    kind: String,
    message: String,
    status: Option<u16>,
    retry_after_s: Option<f64>,
    /// The provider's own code and words, for the one who asked.
    code: Option<&'a str>,
    provider_message: Option<&'a str>,
}

#[derive(Serialize)]
struct Report<'a> {
    target: &'a str,
    attempts: Vec<Attempt<'a>>,
    unsent: usize,
    waited_s: f64,
    elapsed_s: f64,
}

#[derive(Serialize)]
struct Attempt<'a> {
    key: String,
    failure: Option<String>,
    status: Option<u16>,
    duration_s: f64,
    request_id: Option<&'a str>,
}

/// The row of a line, with its line end.
pub(super) fn write(
    name: &str,
    line: u64,
    outcome: &Result<ChatResponse, Error>,
) -> Result<String, serde_json::Error> {
    let report = match outcome {
        Ok(response) => &response.report,
        Err(error) => error.report(),
    };
    let row = serde_json::to_string(&Row {
        id: name,
        custom_id: name,
        line,
        response: outcome.as_ref().ok().map(response),
        error: outcome.as_ref().err().map(failed),
        report: told(report),
    })?;
    // Members without a type are kept as they were written; a line end in JSON is never part of a text.
    Ok(row.replace(['\n', '\r'], " ") + "\n")
}

fn response(response: &ChatResponse) -> Response<'_> {
    let answered = response.report.attempts.last();
    Response {
        status_code: answered.and_then(|attempt| attempt.status).unwrap_or(200),
        request_id: answered.and_then(|attempt| attempt.request_id.as_deref()),
        body: &response.completion,
    }
}

fn failed(error: &Error) -> Failed<'_> {
    Failed {
        kind: code(kind(error.kind())),
        message: error.to_string(),
        status: error.status(),
        retry_after_s: error.retry_in().map(seconds),
        code: error.code(),
        provider_message: error.provider_message(),
    }
}

fn told(report: &CallReport) -> Report<'_> {
    Report {
        target: &report.target,
        attempts: report.attempts.iter().map(attempt).collect(),
        unsent: report.unsent.len(),
        waited_s: seconds(report.waited),
        elapsed_s: seconds(report.elapsed),
    }
}

fn attempt(attempt: &AttemptReport) -> Attempt<'_> {
    Attempt {
        key: attempt.key.to_string(),
        failure: attempt.failure.map(|kind| code(kind.as_str())),
        status: attempt.status,
        duration_s: seconds(attempt.duration),
        request_id: attempt.request_id.as_deref(),
    }
}

/// A kind of error in words.
pub(super) fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "bad configuration",
        ErrorKind::UnknownModel => "unknown model",
        ErrorKind::Unsendable => "unsendable",
        ErrorKind::LimitReached => "limit reached",
        ErrorKind::Attempt(kind) => kind.as_str(),
        _ => "other",
    }
}

/// Words as one word for programs.
fn code(words: &str) -> String {
    words.replace(' ', "_")
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// What an earlier run says of a line.
#[derive(Debug, PartialEq)]
pub(super) struct Earlier {
    pub(super) name: String,
    pub(super) answered: bool,
}

/// Reads a row again. `None` where it is none.
pub(super) fn read(text: &[u8]) -> Option<Earlier> {
    #[derive(Deserialize)]
    struct Known {
        custom_id: String,
        // Named so that they have to be there, if only as null.
        #[serde(deserialize_with = "Option::deserialize")]
        response: Option<Answer>,
        #[serde(deserialize_with = "Option::deserialize")]
        error: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Answer {
        status_code: u16,
    }
    let known: Known = serde_json::from_slice(text).ok()?;
    let answer = known.response.filter(|_| known.error.is_none());
    Some(Earlier {
        name: known.custom_id,
        answered: answer.is_some_and(|answer| (200..300).contains(&answer.status_code)),
    })
}

/// Whether it may be the beginning of a row whose end was never written.
pub(super) fn may_be_torn(text: &[u8]) -> bool {
    text.starts_with(BEGINNING) || BEGINNING.starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &str) -> Result<ChatResponse, Error> {
        Ok(ChatResponse::new(
            ChatCompletion::decode(body.as_bytes()).unwrap(),
        ))
    }

    #[test]
    fn a_row_is_one_line_and_is_read_again() {
        let outcome = answered("{\"choices\":[],\n\"timings\":{\r\n  \"n\": 1.50,\n  \"t\": \"a\\nb\"}}");
        let row = write("a\n", 3, &outcome).unwrap();
        assert_eq!(row.find('\n'), Some(row.len() - 1));
        assert!(row.starts_with(
            "{\"id\":\"a\\n\",\"custom_id\":\"a\\n\",\"line\":3,\"response\":{\"status_code\":200,"
        ));
        assert!(
            row.contains("\"n\": 1.50,") && row.contains("\"t\": \"a\\nb\""),
            "{row}"
        );
        let name = "a\n".to_owned();
        assert_eq!(read(row.as_bytes()), Some(Earlier { name, answered: true }));
        for end in 0..row.len() - 1 {
            assert!(may_be_torn(&row.as_bytes()[..end]) && read(&row.as_bytes()[..end]).is_none());
        }
    }

    #[test]
    fn a_failure_is_read_as_one() {
        let error =
            Error::new(ErrorKind::LimitReached, "too late").with_retry_in(Duration::from_millis(1500));
        let row = write("x", 1, &Err(error)).unwrap();
        let failed = r#""response":null,"error":{"kind":"limit_reached","message":"too late; next slot in 1.5 s","status":null,"retry_after_s":1.5,"#;
        assert!(row.contains(failed), "{row}");
        assert!(!read(row.as_bytes()).unwrap().answered);
    }

    #[test]
    fn questions_are_no_rows() {
        for text in [
            "\"hi\"",
            "{\"custom_id\":\"a\",\"prompt\":\"hi\"}",
            "{\"custom_id\":\"a\",\"response\":null}",
            "{\"id\":\"a\",\"error\":null,\"response\":null}",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
