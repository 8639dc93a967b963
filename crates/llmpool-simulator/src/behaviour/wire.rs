//! Behaviours as JSON writes them: flat objects, one word for what happens, the rest to say how.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Action, AfterResponse, Endpoint, ErrorIn200, PaceOverride, Point, RateLimit, RefusalForm, Reply,
    RetryAfter, RetryAfterForm, StatusReply,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Behaviour {
    // What happens: exactly one of these.
    ok: Option<bool>,
    status: Option<u16>,
    limit: Option<u32>,
    throttle_once: Option<Seconds>,
    stall: Option<Point>,
    cut: Option<Point>,
    refuse_stream_options: Option<RefusalForm>,
    raw: Option<super::Raw>,
    error_in_200: Option<ErrorIn200>,
    // How: each belongs to one or two of the above.
    code: Option<String>,
    retry_after: Option<Seconds>,
    body: Option<serde_json::Value>,
    per: Option<Seconds>,
    rate_headers: Option<bool>,
    retry_after_form: Option<RetryAfterForm>,
    reset: Option<bool>,
    // To whom, and around it.
    probability: Option<f64>,
    #[serde(default)]
    on: Endpoint,
    from: Option<Seconds>,
    until: Option<Seconds>,
    #[serde(default)]
    before_limits: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    head_delay: Option<Seconds>,
    first_chunk_delay: Option<Seconds>,
    chunk_delay: Option<Seconds>,
    after_response: Option<AfterResponse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    status: Option<u16>,
    content_type: Option<String>,
    body: Option<String>,
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    writes: Vec<usize>,
}

#[derive(Clone, Copy, Deserialize)]
struct Seconds(#[serde(deserialize_with = "crate::scenario::seconds")] Duration);

impl TryFrom<Behaviour> for super::Behaviour {
    type Error = String;

    fn try_from(wire: Behaviour) -> Result<Self, String> {
        wire.one_word()?;
        wire.no_strays()?;
        Ok(Self {
            probability: wire.probability,
            on: wire.on,
            from: wire.from.map_or(Duration::ZERO, |s| s.0),
            until: wire.until.map(|s| s.0),
            before_limits: wire.before_limits,
            headers: wire.headers.clone().into_iter().collect(),
            pace: PaceOverride {
                head_delay: wire.head_delay.map(|s| s.0),
                first_chunk_delay: wire.first_chunk_delay.map(|s| s.0),
                chunk_delay: wire.chunk_delay.map(|s| s.0),
            },
            after_response: wire.after_response,
            action: wire.action()?,
        })
    }
}

impl Behaviour {
    fn words(&self) -> Vec<&'static str> {
        [
            ("ok", self.ok.is_some()),
            ("status", self.status.is_some()),
            ("limit", self.limit.is_some()),
            ("throttle_once", self.throttle_once.is_some()),
            ("stall", self.stall.is_some()),
            ("cut", self.cut.is_some()),
            ("refuse_stream_options", self.refuse_stream_options.is_some()),
            ("raw", self.raw.is_some()),
            ("error_in_200", self.error_in_200.is_some()),
        ]
        .into_iter()
        .filter_map(|(word, present)| present.then_some(word))
        .collect()
    }

    fn one_word(&self) -> Result<(), String> {
        let given = match self.words().as_slice() {
            [_] => return Ok(()),
            [] => "none of them".to_owned(),
            several => several.join(" and "),
        };
        Err(format!(
            "a behaviour says exactly one of ok, status, limit, throttle_once, stall, cut, refuse_stream_options, raw, \
             error_in_200; this one says {given}"
        ))
    }

    /// A companion without its word would be ignored, which is never what its author meant.
    fn no_strays(&self) -> Result<(), String> {
        let status = self.status.is_some();
        let limit = self.limit.is_some();
        let told = limit || self.throttle_once.is_some() || self.retry_after.is_some();
        for (field, present, belongs, home) in [
            ("code", self.code.is_some(), status, "status"),
            ("body", self.body.is_some(), status, "status"),
            ("retry_after", self.retry_after.is_some(), status, "status"),
            ("per", self.per.is_some(), limit, "limit"),
            ("rate_headers", self.rate_headers.is_some(), limit, "limit"),
            ("reset", self.reset.is_some(), self.cut.is_some(), "cut"),
            (
                "retry_after_form",
                self.retry_after_form.is_some(),
                told,
                "limit, throttle_once or retry_after",
            ),
        ] {
            if present && !belongs {
                return Err(format!(
                    "{field} belongs to {home}, which this behaviour does not have"
                ));
            }
        }
        Ok(())
    }

    fn action(self) -> Result<Action, String> {
        let form = self.retry_after_form;
        if let Some(limit) = self.limit {
            let per = self.per.ok_or("limit needs per, the seconds it counts for")?.0;
            return Ok(Action::Limit(RateLimit {
                limit,
                per,
                retry_after_form: form.unwrap_or(RetryAfterForm::Seconds),
                rate_headers: self.rate_headers.unwrap_or(false),
            }));
        }
        if let Some(Seconds(wait)) = self.throttle_once {
            let form = form.unwrap_or(RetryAfterForm::Seconds);
            return Ok(Action::ThrottleOnce(RetryAfter { wait, form }));
        }
        if let Some(form) = self.refuse_stream_options {
            return Ok(Action::RefuseStreamOptions(form));
        }
        self.reply().map(Action::Reply)
    }

    fn reply(self) -> Result<Reply, String> {
        if let Some(status) = self.status {
            let retry_after = self.retry_after.map(|Seconds(wait)| {
                let plain = RetryAfter::new(wait);
                RetryAfter {
                    form: self.retry_after_form.unwrap_or(plain.form),
                    ..plain
                }
            });
            return Ok(Reply::Status(StatusReply {
                status,
                code: self.code,
                retry_after,
                body: self.body,
            }));
        }
        if let Some(point) = self.stall {
            return Ok(Reply::Stall(point));
        }
        if let Some(at) = self.cut {
            return Ok(Reply::Cut {
                at,
                reset: self.reset.unwrap_or(false),
            });
        }
        if let Some(raw) = self.raw {
            return Ok(Reply::Raw(raw));
        }
        if let Some(place) = self.error_in_200 {
            return Ok(Reply::ErrorIn200(place));
        }
        match self.ok {
            Some(true) => Ok(Reply::Ok),
            _ => Err("ok can only be true; for a failure give a status".into()),
        }
    }
}

impl TryFrom<Raw> for super::Raw {
    type Error = String;

    fn try_from(wire: Raw) -> Result<Self, String> {
        let body = match (wire.body, wire.bytes) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(bytes)) => Bytes::from(bytes),
            _ => return Err("raw needs either body (text) or bytes (a list of numbers)".into()),
        };
        if wire.writes.contains(&0) {
            return Err("raw.writes has a write of 0 bytes; give sizes above 0".into());
        }
        Ok(Self {
            status: wire.status.unwrap_or(200),
            content_type: wire.content_type.unwrap_or_else(|| "text/event-stream".into()),
            body,
            writes: wire.writes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn read(json: &str) -> Result<Behaviour, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn reply(json: &str) -> Reply {
        match read(json).unwrap().action {
            Action::Reply(reply) => reply,
            other => panic!("{json} is {other:?}"),
        }
    }

    #[test]
    fn every_word_reads_as_what_it_says() {
        assert_eq!(reply(r#"{"ok": true}"#), Reply::Ok);
        assert_eq!(
            reply(r#"{"stall": "before_head"}"#),
            Reply::Stall(Point::BeforeHead)
        );
        let cut = Reply::Cut {
            at: Point::AfterBytes(7),
            reset: true,
        };
        assert_eq!(reply(r#"{"cut": {"after_bytes": 7}, "reset": true}"#), cut);
        assert_eq!(
            reply(r#"{"error_in_200": {"after_events": 2}}"#),
            Reply::ErrorIn200(ErrorIn200::AfterEvents(2))
        );
        let throttled = StatusReply::throttled(RetryAfter::new(Duration::from_secs(5)));
        assert_eq!(
            reply(r#"{"status": 429, "retry_after": 5}"#),
            Reply::Status(throttled)
        );
        let limit = read(r#"{"limit": 3, "per": 60}"#).unwrap().action;
        assert!(matches!(
            limit,
            Action::Limit(RateLimit {
                limit: 3,
                retry_after_form: RetryAfterForm::Seconds,
                ..
            })
        ));
    }

    #[test]
    fn raw_bytes_need_not_be_text() {
        let Reply::Raw(raw) = reply(r#"{"raw": {"bytes": [255, 0], "writes": [1]}}"#) else {
            panic!("raw")
        };
        assert_eq!((raw.body.as_ref(), raw.status), (&[255u8, 0][..], 200));
    }

    #[test]
    fn a_behaviour_that_contradicts_itself_is_refused() {
        for (json, part) in [
            ("{}", "says none of them"),
            (
                r#"{"status": 500, "stall": "after_head"}"#,
                "says status and stall",
            ),
            (r#"{"status": 500, "per": 3}"#, "per belongs to limit"),
            (
                r#"{"ok": true, "retry_after": 3}"#,
                "retry_after belongs to status",
            ),
            (
                r#"{"stall": "after_head", "reset": true}"#,
                "reset belongs to cut",
            ),
            (
                r#"{"status": 429, "retry_after_form": "ms"}"#,
                "retry_after_form belongs to",
            ),
            (r#"{"limit": 3}"#, "limit needs per"),
            (r#"{"ok": false}"#, "ok can only be true"),
            (r#"{"raw": {"status": 200}}"#, "raw needs either body"),
            (r#"{"stauts": 500}"#, "unknown field `stauts`"),
        ] {
            let message = read(json).unwrap_err();
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
