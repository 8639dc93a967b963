//! What an error says if the base URL is likely to be wrong. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, LlmInterface, OpenAiCompatible};
use support::{Action, ScriptedProvider, answer};

#[tokio::test(start_paused = true)]
async fn missing_url_leads_to_the_base_url() {
    let no_model = r#"{"error":{"message":"no such model","code":"model_not_found"}}"#;
    for (base_url, status, body, help) in [
        (
            "http://scripted",
            404,
            "404 page not found",
            Some("set base_url to http://scripted/v1"),
        ),
        (
            "http://scripted/v1/chat/completions",
            404,
            r#"{"error":{"code":404,"message":"m"}}"#,
            Some("set base_url to http://scripted/v1"),
        ),
        (
            "http://scripted",
            405,
            "",
            Some("set base_url to http://scripted/v1"),
        ),
        ("http://scripted/v1", 404, "404 page not found", None),
        ("http://scripted", 404, no_model, None),
        (
            "http://scripted",
            404,
            r#"{"error":{"message":"model x not found"}}"#,
            None,
        ),
        (
            "http://scripted/deployments/d?api-version=1",
            404,
            "Resource not found",
            None,
        ),
        ("http://scripted", 400, "bad", None),
    ] {
        let script = ScriptedProvider::new(move |_, _| Action::Send(answer(status, "", body)));
        let target = OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", base_url)
            .connector(script.clone())
            .build()
            .unwrap();
        let error = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
        assert_eq!(error.help(), help, "{base_url} {status} {body}");
        assert_eq!(error.to_string().contains("base_url"), help.is_some(), "{error}");
        assert_eq!(script.requests(), 1, "{base_url} {status} {body}");
    }
}
