//! Reads the parameters and headers that are sent with every request to a model, and the timeouts of the
//! model.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use llmpool_core::chat::Json;

use super::field::{Field, Fields};
use super::reader::FileReader;
use super::secret_ref::SecretRef;
use crate::options::Timeouts;

const TIMEOUT_FIELDS: [&str; 4] = ["connect", "first_content", "idle", "total"];
/// The names of the headers that a provider file must not set, because llmpool manages these headers itself.
const RESERVED_HEADERS: [&str; 9] = [
    "api-key",
    "authorization",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "proxy-authorization",
    "transfer-encoding",
];
/// The fields of the request body that each call sets itself. `api_params` must not contain these fields.
const RESERVED_PARAMS: [&str; 4] = ["model", "messages", "stream", "stream_options"];
/// The maximum duration in seconds, about 95 years. Longer durations are reduced to this maximum, so that
/// deadlines do not overflow.
const MAX_SECONDS: f64 = 3e9;

impl<'a> FileReader<'a> {
    pub(super) fn api_params(&mut self, field: Option<Field<'a>>) -> Vec<(String, Json)> {
        let members = field.and_then(|field| self.object(&field, r#"{"temperature": 0.5}"#));
        let mut params = Vec::new();
        for (name, field) in members.iter().flat_map(Fields::iter) {
            if RESERVED_PARAMS.contains(&&**name) {
                let message = "each call sets this parameter itself";
                self.error(&field, message, "remove it from api_params");
            }
            params.push((name.to_string(), field.value.to_owned().into()));
        }
        params
    }

    pub(super) fn headers(&mut self, field: Option<Field<'a>>) -> HeaderMap {
        let members = field.and_then(|field| self.object(&field, r#"{"x-title": "my app"}"#));
        let mut headers = HeaderMap::new();
        for (name, field) in members.iter().flat_map(Fields::iter) {
            if let Some((name, value)) = self.header(name, &field) {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn header(&mut self, name: &str, field: &Field<'a>) -> Option<(HeaderName, HeaderValue)> {
        let Ok(header) = HeaderName::try_from(name) else {
            self.error(field, "invalid header name", "use letters, digits and hyphens");
            return None;
        };
        if RESERVED_HEADERS.contains(&header.as_str()) {
            let help = "remove it; API keys go into api_keys";
            self.error(field, "llmpool sets this header itself", help);
            return None;
        }
        let reference = SecretRef::parse(&self.string(field)?);
        let secret = self.secret(field, &reference)?;
        let Ok(mut value) = HeaderValue::try_from(secret.expose()) else {
            let message = "the value contains characters that a header cannot contain";
            self.error(field, message, "remove line breaks and control characters");
            return None;
        };
        value.set_sensitive(true);
        Some((header, value))
    }

    pub(super) fn timeouts(&mut self, field: Option<Field<'a>>) -> Timeouts {
        let defaults = Timeouts::default();
        let members = field.and_then(|field| self.object_of(&field, &TIMEOUT_FIELDS, r#"{"idle": 30}"#));
        let mut timeout = |name, default| match members.as_ref().and_then(|members| members.get(name)) {
            Some(field) => self.timeout(&field),
            None => default,
        };
        Timeouts {
            connect: timeout("connect", defaults.connect),
            first_content: timeout("first_content", defaults.first_content),
            idle: timeout("idle", defaults.idle),
            total: timeout("total", defaults.total),
        }
    }

    fn timeout(&mut self, field: &Field<'a>) -> Option<Duration> {
        if field.is_null() {
            return None;
        }
        let timeout = self.duration(field)?;
        if timeout.is_zero() {
            let help = "use a positive number of seconds, or null for no timeout";
            self.error(field, "a timeout of 0 fails every call", help);
            return None;
        }
        Some(timeout)
    }

    /// Reads a duration in seconds. A longer duration is reduced to `MAX_SECONDS`.
    pub(super) fn duration(&mut self, field: &Field<'a>) -> Option<Duration> {
        let seconds = self.non_negative_number(field, "use a positive number of seconds")?;
        Some(Duration::from_secs_f64(seconds.min(MAX_SECONDS)))
    }
}
