//! What goes along with every request of a model: parameters, headers, timeouts.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use llmpool_core::chat::Json;
use serde_json::value::RawValue;

use super::super::json::Kind;
use super::{Reader, joined};
use crate::options::Timeouts;
use crate::secrets::Reference;

const TIMEOUT_FIELDS: [&str; 4] = ["connect", "first_content", "idle", "total"];
/// Headers that belong to the exchange and not to the configuration.
const OUR_HEADERS: [&str; 9] = [
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
/// Request members that the call itself says.
const OF_THE_CALL: [&str; 4] = ["model", "messages", "stream", "stream_options"];

impl<'a> Reader<'a> {
    pub(super) fn api_params(&mut self, value: &'a RawValue, path: &str) -> Vec<(String, Json)> {
        let members = self.members(value, path, None).unwrap_or_default();
        for (name, value) in members
            .iter()
            .filter(|(name, _)| OF_THE_CALL.contains(&name.as_ref()))
        {
            self.defect(
                value,
                &joined(path, name),
                "this is said by each call",
                "remove it",
            );
        }
        members
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.to_owned().into()))
            .collect()
    }

    pub(super) fn headers(&mut self, value: &'a RawValue, path: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in self.members(value, path, None).unwrap_or_default() {
            let field = joined(path, &name);
            let Ok(header) = HeaderName::try_from(name.as_ref()) else {
                self.defect(
                    value,
                    &field,
                    "this is no name of a header",
                    "use letters, digits and dashes",
                );
                continue;
            };
            if OUR_HEADERS.contains(&header.as_str()) {
                let problem = "llmpool sets this header itself";
                self.defect(value, &field, problem, "remove it; keys belong into api_keys");
                continue;
            }
            let Some(text) = self.text(value, &field) else {
                continue;
            };
            let Some(secret) = self.resolve(&Reference::read(&text), value, &field) else {
                continue;
            };
            match HeaderValue::try_from(secret.expose()) {
                Ok(mut header_value) => {
                    header_value.set_sensitive(true);
                    headers.insert(header, header_value);
                }
                Err(_) => self.defect(
                    value,
                    &field,
                    "no header can carry this value",
                    "remove line breaks",
                ),
            }
        }
        headers
    }

    pub(super) fn timeouts(&mut self, value: &'a RawValue, path: &str) -> Timeouts {
        let mut timeouts = Timeouts::default();
        for (name, value) in self
            .members(value, path, Some(&TIMEOUT_FIELDS))
            .unwrap_or_default()
        {
            let field = joined(path, &name);
            let timeout = match Kind::of(value) {
                Kind::Null => None,
                _ => match self.number(value, &field) {
                    Some(0.0) => {
                        self.defect(
                            value,
                            &field,
                            "this would end every call at once",
                            "give seconds, or null for none",
                        );
                        None
                    }
                    seconds => seconds.map(|seconds| Duration::from_secs_f64(seconds.min(3e9))),
                },
            };
            match name.as_ref() {
                "connect" => timeouts.connect = timeout,
                "first_content" => timeouts.first_content = timeout,
                "idle" => timeouts.idle = timeout,
                _ => timeouts.total = timeout,
            }
        }
        timeouts
    }
}
