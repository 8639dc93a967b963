//! Parses behaviours from JSON. Each behaviour is a flat object: one field selects the action, and each other
//! field is a condition or an option.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{AfterResponse, Behaviour, BehaviourAction, DelayOverride, EndpointFilter, SlidingLimit};
use crate::reply::{
    ErrorIn200, RecordedBody, ResponsePoint, SimulatedReply, StatusReply, StreamOptionsRefusal,
};
use crate::retry_after::{RetryAfter, RetryAfterForm};
use crate::seconds::Seconds;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BehaviourJson {
    // The action: exactly one of these fields is present.
    ok: Option<bool>,
    status: Option<u16>,
    limit: Option<u32>,
    throttle_once: Option<Seconds>,
    stall: Option<ResponsePoint>,
    cut: Option<ResponsePoint>,
    refuse_stream_options: Option<StreamOptionsRefusal>,
    raw: Option<RecordedBody>,
    error_in_200: Option<ErrorIn200>,
    // Options that apply to one or several of the actions.
    code: Option<String>,
    retry_after: Option<Seconds>,
    body: Option<serde_json::Value>,
    per: Option<Seconds>,
    rate_headers: Option<bool>,
    retry_after_form: Option<RetryAfterForm>,
    reset: Option<bool>,
    // Options that apply to every action.
    probability: Option<f64>,
    #[serde(default)]
    on: EndpointFilter,
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
struct RecordedBodyJson {
    status: Option<u16>,
    content_type: Option<String>,
    body: Option<String>,
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    writes: Vec<usize>,
}

impl<'de> Deserialize<'de> for Behaviour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = BehaviourJson::deserialize(deserializer)?;
        json.into_behaviour().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for RecordedBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = RecordedBodyJson::deserialize(deserializer)?;
        json.into_recorded_body().map_err(D::Error::custom)
    }
}

impl BehaviourJson {
    fn into_behaviour(self) -> Result<Behaviour, String> {
        self.check_single_action()?;
        self.check_options()?;
        Ok(Behaviour {
            probability: self.probability,
            on: self.on,
            from: self.from.map_or(Duration::ZERO, |s| s.0),
            until: self.until.map(|s| s.0),
            before_limits: self.before_limits,
            headers: self.headers.clone().into_iter().collect(),
            delays: DelayOverride {
                head_delay: self.head_delay.map(|s| s.0),
                first_chunk_delay: self.first_chunk_delay.map(|s| s.0),
                chunk_delay: self.chunk_delay.map(|s| s.0),
            },
            after_response: self.after_response,
            action: self.into_action()?,
        })
    }

    fn action_names(&self) -> Vec<&'static str> {
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
        .filter_map(|(name, is_present)| is_present.then_some(name))
        .collect()
    }

    fn check_single_action(&self) -> Result<(), String> {
        let given = match self.action_names().as_slice() {
            [_] => return Ok(()),
            [] => "has none of them".to_owned(),
            several => format!("has {}", several.join(" and ")),
        };
        Err(format!(
            "a behaviour has exactly one of ok, status, limit, throttle_once, stall, cut, refuse_stream_options, raw, \
             error_in_200; this one {given}"
        ))
    }

    /// Checks that each option belongs to the behaviour's action. Returns an error for any other option,
    /// because the option would have no effect.
    fn check_options(&self) -> Result<(), String> {
        let status = self.status.is_some();
        let limit = self.limit.is_some();
        let has_wait = limit || self.throttle_once.is_some() || self.retry_after.is_some();
        for (field, is_present, is_allowed, action) in [
            ("code", self.code.is_some(), status, "status"),
            ("body", self.body.is_some(), status, "status"),
            ("retry_after", self.retry_after.is_some(), status, "status"),
            ("per", self.per.is_some(), limit, "limit"),
            ("rate_headers", self.rate_headers.is_some(), limit, "limit"),
            ("reset", self.reset.is_some(), self.cut.is_some(), "cut"),
            (
                "retry_after_form",
                self.retry_after_form.is_some(),
                has_wait,
                "limit, throttle_once or retry_after",
            ),
        ] {
            if is_present && !is_allowed {
                return Err(format!(
                    "{field} needs {action}, which this behaviour does not have"
                ));
            }
        }
        Ok(())
    }

    fn into_action(self) -> Result<BehaviourAction, String> {
        let form = self.retry_after_form;
        if let Some(limit) = self.limit {
            let per = self
                .per
                .ok_or("limit needs per, the length of its window in seconds")?
                .0;
            return Ok(BehaviourAction::Limit(SlidingLimit {
                limit,
                per,
                retry_after_form: form.unwrap_or(RetryAfterForm::Seconds),
                rate_headers: self.rate_headers.unwrap_or(false),
            }));
        }
        if let Some(Seconds(wait)) = self.throttle_once {
            let form = form.unwrap_or(RetryAfterForm::Seconds);
            return Ok(BehaviourAction::ThrottleOnce(RetryAfter { wait, form }));
        }
        if let Some(form) = self.refuse_stream_options {
            return Ok(BehaviourAction::RefuseStreamOptions(form));
        }
        self.into_reply().map(BehaviourAction::Reply)
    }

    fn into_reply(self) -> Result<SimulatedReply, String> {
        if let Some(status) = self.status {
            let retry_after = self.retry_after.map(|Seconds(wait)| {
                let default = RetryAfter::new(wait);
                RetryAfter {
                    form: self.retry_after_form.unwrap_or(default.form),
                    ..default
                }
            });
            return Ok(SimulatedReply::Status(StatusReply {
                status,
                code: self.code,
                retry_after,
                body: self.body,
            }));
        }
        if let Some(point) = self.stall {
            return Ok(SimulatedReply::Stall(point));
        }
        if let Some(at) = self.cut {
            return Ok(SimulatedReply::Cut {
                at,
                reset: self.reset.unwrap_or(false),
            });
        }
        if let Some(raw) = self.raw {
            return Ok(SimulatedReply::Raw(raw));
        }
        if let Some(place) = self.error_in_200 {
            return Ok(SimulatedReply::ErrorIn200(place));
        }
        match self.ok {
            Some(true) => Ok(SimulatedReply::Ok),
            _ => Err("ok must be true; use status for an error".into()),
        }
    }
}

impl RecordedBodyJson {
    fn into_recorded_body(self) -> Result<RecordedBody, String> {
        let body = match (self.body, self.bytes) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(bytes)) => Bytes::from(bytes),
            _ => return Err("raw needs either body (text) or bytes (a list of numbers)".into()),
        };
        if self.writes.contains(&0) {
            return Err("raw.writes contains 0; give sizes above 0".into());
        }
        Ok(RecordedBody {
            status: self.status.unwrap_or(200),
            content_type: self.content_type.unwrap_or_else(|| "text/event-stream".into()),
            body,
            writes: self.writes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Behaviour, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn reply(json: &str) -> SimulatedReply {
        match read(json).unwrap().action {
            BehaviourAction::Reply(reply) => reply,
            other => panic!("{json} is {other:?}"),
        }
    }

    #[test]
    fn each_action_is_parsed() {
        assert_eq!(reply(r#"{"ok": true}"#), SimulatedReply::Ok);
        assert_eq!(
            reply(r#"{"stall": "before_head"}"#),
            SimulatedReply::Stall(ResponsePoint::BeforeHead)
        );
        let cut = SimulatedReply::Cut {
            at: ResponsePoint::AfterBytes(7),
            reset: true,
        };
        assert_eq!(reply(r#"{"cut": {"after_bytes": 7}, "reset": true}"#), cut);
        assert_eq!(
            reply(r#"{"error_in_200": {"after_events": 2}}"#),
            SimulatedReply::ErrorIn200(ErrorIn200::AfterEvents(2))
        );
        let throttled = StatusReply::throttled(RetryAfter::new(Duration::from_secs(5)));
        assert_eq!(
            reply(r#"{"status": 429, "retry_after": 5}"#),
            SimulatedReply::Status(throttled)
        );
        let limit = read(r#"{"limit": 3, "per": 60}"#).unwrap().action;
        assert!(matches!(
            limit,
            BehaviourAction::Limit(SlidingLimit {
                limit: 3,
                retry_after_form: RetryAfterForm::Seconds,
                ..
            })
        ));
    }

    #[test]
    fn raw_body_can_be_binary() {
        let SimulatedReply::Raw(raw) = reply(r#"{"raw": {"bytes": [255, 0], "writes": [1]}}"#) else {
            panic!("raw")
        };
        assert_eq!((raw.body.as_ref(), raw.status), (&[255u8, 0][..], 200));
    }

    #[test]
    fn contradictory_behaviour_is_rejected() {
        for (json, part) in [
            ("{}", "has none of them"),
            (
                r#"{"status": 500, "stall": "after_head"}"#,
                "has status and stall",
            ),
            (r#"{"status": 500, "per": 3}"#, "per needs limit"),
            (r#"{"ok": true, "retry_after": 3}"#, "retry_after needs status"),
            (r#"{"stall": "after_head", "reset": true}"#, "reset needs cut"),
            (
                r#"{"status": 429, "retry_after_form": "ms"}"#,
                "retry_after_form needs",
            ),
            (r#"{"limit": 3}"#, "limit needs per"),
            (r#"{"ok": false}"#, "ok must be true"),
            (r#"{"raw": {"status": 200}}"#, "raw needs either body"),
            (r#"{"stauts": 500}"#, "unknown field `stauts`"),
        ] {
            let message = read(json).unwrap_err();
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
