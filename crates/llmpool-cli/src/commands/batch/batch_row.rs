//! One row of batch output, in the format of OpenAI batch output files. The fields `line` (the input line
//! number) and `report` are added.
//!
//! Invariant: a row is a single line, even if the provider's JSON spans several lines.

use llmpool::chat::ChatCompletion;
use llmpool::{AttemptReport, CallReport, ChatResponse, Error, ErrorKind};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::format::json_seconds;

/// The first bytes of every row, used to recognise an incomplete row.
const ROW_START: &[u8] = b"{\"id\":";

#[derive(Serialize)]
struct BatchRow<'a> {
    id: &'a str,
    /// The same value as `id`. OpenAI batch files use this field name.
    custom_id: &'a str,
    line: u64,
    response: Option<RowResponse<'a>>,
    error: Option<RowError<'a>>,
    report: RowReport<'a>,
}

#[derive(Serialize)]
struct RowResponse<'a> {
    status_code: u16,
    request_id: Option<&'a str>,
    body: &'a ChatCompletion,
}

#[derive(Serialize)]
struct RowError<'a> {
    kind: String,
    message: String,
    status: Option<u16>,
    retry_after_s: Option<f64>,
    /// The error code in the provider's response, if any.
    code: Option<&'a str>,
    provider_message: Option<&'a str>,
}

#[derive(Serialize)]
struct RowReport<'a> {
    target: &'a str,
    attempts: Vec<RowAttempt<'a>>,
    unsent: usize,
    waited_s: f64,
    elapsed_s: f64,
}

#[derive(Serialize)]
struct RowAttempt<'a> {
    key: String,
    failure: Option<String>,
    status: Option<u16>,
    duration_s: f64,
    request_id: Option<&'a str>,
}

/// Encodes the result of an input line as a row that ends in a line feed.
pub(super) fn encode(
    id: &str,
    line: u64,
    result: &Result<ChatResponse, Error>,
) -> Result<String, serde_json::Error> {
    let report = match result {
        Ok(response) => &response.report,
        Err(error) => error.report(),
    };
    let row = serde_json::to_string(&BatchRow {
        id,
        custom_id: id,
        line,
        response: result.as_ref().ok().map(row_response),
        error: result.as_ref().err().map(row_error),
        report: row_report(report),
    })?;
    // Unknown fields are kept as the provider wrote them. A raw line break in JSON is never inside a string.
    Ok(row.replace(['\n', '\r'], " ") + "\n")
}

fn row_response(response: &ChatResponse) -> RowResponse<'_> {
    let last = response.report.attempts.last();
    RowResponse {
        status_code: last.and_then(|attempt| attempt.status).unwrap_or(200),
        request_id: last.and_then(|attempt| attempt.request_id.as_deref()),
        body: &response.completion,
    }
}

fn row_error(error: &Error) -> RowError<'_> {
    RowError {
        kind: identifier(kind_name(error.kind())),
        message: match error.help() {
            Some(help) => format!("{error}; {help}"),
            None => error.to_string(),
        },
        status: error.status(),
        retry_after_s: error.retry_in().map(json_seconds),
        code: error.code(),
        provider_message: error.provider_message(),
    }
}

fn row_report(report: &CallReport) -> RowReport<'_> {
    RowReport {
        target: &report.target,
        attempts: report.attempts.iter().map(row_attempt).collect(),
        unsent: report.unsent.len(),
        waited_s: json_seconds(report.waited),
        elapsed_s: json_seconds(report.elapsed),
    }
}

fn row_attempt(attempt: &AttemptReport) -> RowAttempt<'_> {
    RowAttempt {
        key: attempt.key.to_string(),
        failure: attempt.failure.map(|kind| identifier(kind.as_str())),
        status: attempt.status,
        duration_s: json_seconds(attempt.duration),
        request_id: attempt.request_id.as_deref(),
    }
}

/// Returns a readable name for a kind of error, such as `limit reached`.
pub(super) fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "bad configuration",
        ErrorKind::UnknownModel => "unknown model",
        ErrorKind::Unsendable => "unsendable",
        ErrorKind::LimitReached => "limit reached",
        ErrorKind::Attempt(kind) => kind.as_str(),
        _ => "other",
    }
}

/// Converts a readable name to an identifier: `rate limited` becomes `rate_limited`.
fn identifier(name: &str) -> String {
    name.to_ascii_lowercase().replace(' ', "_")
}

/// A row that an earlier run wrote to the output file.
#[derive(Debug, PartialEq)]
pub(super) struct ExistingRow {
    pub(super) id: String,
    pub(super) is_answered: bool,
}

/// Parses a row of an output file. Returns `None` if the text is not a row of a batch.
pub(super) fn parse(text: &[u8]) -> Option<ExistingRow> {
    #[derive(Deserialize)]
    struct Fields {
        custom_id: String,
        // Required, but may be null.
        #[serde(deserialize_with = "Option::deserialize")]
        response: Option<Status>,
        #[serde(deserialize_with = "Option::deserialize")]
        error: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Status {
        status_code: u16,
    }
    let fields: Fields = serde_json::from_slice(text).ok()?;
    let response = fields.response.filter(|_| fields.error.is_none());
    Some(ExistingRow {
        id: fields.custom_id,
        is_answered: response.is_some_and(|response| (200..300).contains(&response.status_code)),
    })
}

/// Returns whether the text can be the start of a row. Used to recognise a last row that was not written
/// completely.
pub(super) fn may_be_incomplete(text: &[u8]) -> bool {
    text.starts_with(ROW_START) || ROW_START.starts_with(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answered(body: &str) -> Result<ChatResponse, Error> {
        Ok(ChatResponse::new(
            ChatCompletion::decode(body.as_bytes()).unwrap(),
        ))
    }

    #[test]
    fn row_is_one_line_and_is_parsed_again() {
        let result = answered("{\"choices\":[],\n\"timings\":{\r\n  \"n\": 1.50,\n  \"t\": \"a\\nb\"}}");
        let row = encode("a\n", 3, &result).unwrap();
        assert_eq!(row.find('\n'), Some(row.len() - 1));
        assert!(row.starts_with(
            "{\"id\":\"a\\n\",\"custom_id\":\"a\\n\",\"line\":3,\"response\":{\"status_code\":200,"
        ));
        assert!(
            row.contains("\"n\": 1.50,") && row.contains("\"t\": \"a\\nb\""),
            "{row}"
        );
        let id = "a\n".to_owned();
        let is_answered = true;
        assert_eq!(parse(row.as_bytes()), Some(ExistingRow { id, is_answered }));
        for end in 0..row.len() - 1 {
            assert!(may_be_incomplete(&row.as_bytes()[..end]) && parse(&row.as_bytes()[..end]).is_none());
        }
    }

    #[test]
    fn failed_row_is_not_answered() {
        let error =
            Error::new(ErrorKind::LimitReached, "too late").with_retry_in(Duration::from_millis(1500));
        let row = encode("x", 1, &Err(error)).unwrap();
        let failed = r#""response":null,"error":{"kind":"limit_reached","message":"too late; next slot in 1.5 s","status":null,"retry_after_s":1.5,"#;
        assert!(row.contains(failed), "{row}");
        assert!(!parse(row.as_bytes()).unwrap().is_answered);
    }

    #[test]
    fn batch_lines_are_not_rows() {
        for text in [
            "\"hi\"",
            "{\"custom_id\":\"a\",\"prompt\":\"hi\"}",
            "{\"custom_id\":\"a\",\"response\":null}",
            "{\"id\":\"a\",\"error\":null,\"response\":null}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
