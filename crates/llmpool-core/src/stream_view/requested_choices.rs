//! The number of choices that a chat request asks for.

use memchr::memmem;
use serde::Deserialize;

use crate::chat::LenientU64;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    n: LenientU64,
}

/// Returns how many choices the encoded chat request `body` asks for: its member `n`, otherwise 1.
pub fn requested_choices(body: &[u8]) -> u32 {
    // Few requests have the member, and only those are parsed.
    if memmem::find(body, br#""n""#).is_none() {
        return 1;
    }
    let request: Option<Request> = serde_json::from_slice(body).ok();
    let choices = request.and_then(|request| request.n.get());
    choices.map_or(1, |choices| u32::try_from(choices).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_the_member_n() {
        for (body, choices) in [
            (r#"{"model":"m"}"#, 1),
            (r#"{"model":"m","n":3}"#, 3),
            (r#"{"model":"m","n":"2"}"#, 2),
            (r#"{"n":null}"#, 1),
            (r#"{"n":0}"#, 1),
            (r#"{"n":-1}"#, 1),
            (r#"{"n":99999999999}"#, u32::MAX),
            (r#"{"messages":[{"n":5}],"text":"\"n\":4"}"#, 1),
            (r#"{"n":2"#, 1),
        ] {
            assert_eq!(requested_choices(body.as_bytes()), choices, "{body}");
        }
    }
}
