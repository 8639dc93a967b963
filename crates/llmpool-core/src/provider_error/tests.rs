use super::*;

// L03
#[test]
fn reset_time_in_body_or_message_is_parsed() {
    let parse = |body: &str| {
        let error = ProviderError::parse(body.as_bytes()).unwrap();
        (
            error.resets_at.map(|at| at.as_secs()),
            error.retry_delay.map(|delay| delay.as_secs()),
        )
    };
    // 2026-01-02 03:04:05 in UTC, which is 11:04:05 in Beijing.
    let at = Some(1_767_323_045);
    for (body, expected) in [
        (
            r#"{"error":{"message":"Limit will reset at 2026-01-02 03:04:05"}}"#,
            (at, None),
        ),
        (
            r#"{"error":{"message":"resets 2026-01-02T03:04:05Z."}}"#,
            (at, None),
        ),
        (
            r#"{"error":{"code":"1308","message":"Your limit will reset at 2026-01-02 11:04:05"}}"#,
            (at, None),
        ),
        (
            r#"{"error":{"code":"1308","message":"限额将在 2026-01-02 11:04:05 重置。"}}"#,
            (at, None),
        ),
        (r#"{"error":{"message":"x","resets_at":1767323045}}"#, (at, None)),
        (
            r#"{"error":{"message":"x","resets_in_seconds":90}}"#,
            (None, Some(90)),
        ),
        (
            r#"{"error":{"message":"model of 2026-01-02 03:04:05"}}"#,
            (None, None),
        ),
        (
            r#"{"error":{"message":"reset 99999-99-99 99:99:99 ü 2026-13-02 03:04:05"}}"#,
            (None, None),
        ),
        (r#"{"error":{"message":"x","resets_at":-1}}"#, (None, None)),
    ] {
        assert_eq!(parse(body), expected, "{body}");
    }
}

// L56
#[test]
fn error_in_success_body_is_found_in_all_shapes() {
    for (body, code) in [
        (
            r#"{"code":"rpm_rate_limit_exceeded","msg":"Rate limit"}"#,
            Some("rpm_rate_limit_exceeded"),
        ),
        (
            r#"{"error_code":336501,"error_msg":"Rate limit"}"#,
            Some("336501"),
        ),
        (r#"{"object":"error","message":"overloaded","code":null}"#, None),
        (
            r#"{"choices":[{"message":{"content":"half"},"finish_reason":"insufficient_system_resource"}]}"#,
            Some("insufficient_system_resource"),
        ),
        (
            r#"{"choices":[{"message":{"content":"half"},"finish_reason":"network_error"}]}"#,
            Some("network_error"),
        ),
    ] {
        let error = find_error_in_success(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(error.code.as_deref(), code, "{body}");
    }
    for success in [
        r#"{"code":0,"message":"Success","choices":[]}"#,
        r#"{"code":5,"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"message":{"content":"\"error\" and \"code\""},"finish_reason":"stop"}]}"#,
    ] {
        assert_eq!(find_error_in_success(success.as_bytes()), None, "{success}");
    }
}

/// Gateways add empty error structs, and codes for success, to complete answers.
#[test]
fn error_that_says_nothing_does_not_hide_an_answer() {
    for error in [
        r#"{"message":"","type":"","param":"","code":null}"#,
        r#"{"code":0,"message":"","status":""}"#,
        r#"{"message":null,"type":null}"#,
        r#"{"code":0,"message":"success"}"#,
        r#"{"code":200,"message":"OK","details":[]}"#,
        "0",
        "[{}]",
        r#""success""#,
        r#""None""#,
        r#""null""#,
        r#"" ""#,
    ] {
        for body in [
            format!(
                r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],"error":{error}}}"#
            ),
            format!(r#"{{"choices":[{{"message":{{"content":"x"}},"error":{error}}}]}}"#),
            format!(r#"{{"object":"response","output":[{{"type":"message"}}],"error":{error}}}"#),
            format!(r#"{{"object":"list","data":[{{"id":"m"}}],"error":{error}}}"#),
        ] {
            assert_eq!(find_error_in_success(body.as_bytes()), None, "{body}");
        }
    }
    for error in [
        r#"{"message":"","type":"server_error"}"#,
        r#"{"code":0,"message":"boom"}"#,
        "true",
        "503",
    ] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"error":{error}}}"#);
        assert!(find_error_in_success(body.as_bytes()).is_some(), "{body}");
    }
}

#[test]
fn body_without_content_but_with_a_code_is_an_error() {
    for (body, code, message) in [
        (
            r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#,
            Some("1004"),
            Some("login fail"),
        ),
        (
            r#"{"choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
            Some("1008"),
            Some("insufficient balance"),
        ),
        (
            r#"{"code":401,"msg":"token expired","data":null}"#,
            Some("401"),
            Some("token expired"),
        ),
        (
            r#"{"choices":null,"usage":null,"code":"InvalidParameter","message":"bad"}"#,
            Some("InvalidParameter"),
            Some("bad"),
        ),
        (r#"{"choices":[],"code":"c","message":"m"}"#, Some("c"), Some("m")),
        (
            r#"{"output": {}, "success":false,"message":"无效的令牌"}"#,
            None,
            Some("无效的令牌"),
        ),
        // Names of content within the error.
        (
            r#"{"code":401,"message":"m","metadata":{"request_id":"r"}}"#,
            Some("401"),
            Some("m"),
        ),
        (
            r#"{"code":400,"message":"m","details":{"data":[1],"output":[1]}}"#,
            Some("400"),
            Some("m"),
        ),
        (
            r#"{"errors":[{"message":"m","input":{"data":[1]}}]}"#,
            None,
            Some("m"),
        ),
        (r#"{"status":"fail","message":"m"}"#, None, Some("m")),
        (r#"{"type":"error","message":"m"}"#, None, Some("m")),
        (
            r#"{"type":"about:blank","title":"Unauthorized","status":401}"#,
            None,
            Some("Unauthorized"),
        ),
    ] {
        let error = find_error_in_success(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(error.code.as_deref(), code, "{body}");
        assert_eq!(error.message.as_deref(), message, "{body}");
    }
    for answer in [
        r#"{"base_resp":{"status_code":0,"status_msg":""},"choices":[]}"#,
        r#"{"code":0,"message":"Success","data":[]}"#,
        r#"{"code":"200","msg":"done"}"#,
        r#"{"object":"list","data":[]}"#,
        r#"{"message":{"role":"assistant","content":"x"},"done":true}"#,
        r#"{"object":"response","status":"completed","output":[],"error":null}"#,
        r#"{"message":"ok"}"#,
        r#"{"success":true,"message":"text"}"#,
        r#"{"message":"text"}"#,
        r#"{"error":{"code":0,"message":""},"base_resp":{"status_code":0,"status_msg":"success"}}"#,
    ] {
        assert_eq!(find_error_in_success(answer.as_bytes()), None, "{answer}");
    }
}

#[test]
fn null_error_does_not_hide_a_later_error() {
    for body in [
        r#"{"error":null,"choices":[{"error":{"message":"m"}}]}"#,
        r#"{"choices":[{"error":null},{"error":{"message":"m"}}]}"#,
        r#"{"choices":[{"error":null}],"x_groq":{"error":"m"}}"#,
    ] {
        let error = find_error_in_success(body.as_bytes()).unwrap();
        assert_eq!(error.message.as_deref(), Some("m"), "{body}");
    }
}

/// The readable values of an error: message, code, param, wait in seconds, and reset time in seconds.
type Values = (
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    Option<f64>,
    Option<u64>,
);

fn check_bodies(table: &[(&str, Values)]) {
    for (body, expected) in table {
        let error = ProviderError::parse(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        let values = (
            error.message.as_deref(),
            error.code.as_deref(),
            error.param.as_deref(),
            error.retry_delay.map(|wait| wait.as_secs_f64()),
            error.resets_at.map(|at| at.as_secs()),
        );
        assert_eq!(values, *expected, "{body}");
    }
}

fn message(text: &'static str) -> Values {
    (Some(text), None, None, None, None)
}

fn coded(text: &'static str, code: &'static str) -> Values {
    (Some(text), Some(code), None, None, None)
}

#[test]
fn validation_errors_name_the_field_and_never_its_value() {
    check_bodies(&[
        (
            r#"{"detail":[{"loc":["body","messages",0,"content"],"msg":"Field required","input":"CANARY"}]}"#,
            (
                Some("messages[0].content: Field required"),
                None,
                Some("messages[0].content"),
                None,
                None,
            ),
        ),
        (
            r#"{"detail":[{"loc":["body","a"],"msg":"m"},{"loc":["body",1],"msg":"n"}]}"#,
            (Some("a: m; [1]: n"), None, Some("a"), None, None),
        ),
        (r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#, message("m")),
        (r#"{"detail":"Not Found"}"#, message("Not Found")),
        (
            r#"{"detail":{"message":"m","code":"c","param":"p"}}"#,
            (Some("m"), Some("c"), Some("p"), None, None),
        ),
        (
            r#"{"detail":{"error":{"message":"m","code":"c"}}}"#,
            coded("m", "c"),
        ),
        (
            r#"{"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"m"}]},"type":"t"}"#,
            (Some("n: m"), None, Some("n"), None, None),
        ),
    ]);
}

#[test]
fn lists_and_maps_of_errors_are_read() {
    check_bodies(&[
        (
            r#"{"success":false,"errors":[{"code":10000,"message":"m"}],"result":null}"#,
            coded("m", "10000"),
        ),
        (
            r#"{"errors":[{"message":"m"},{"message":"m"},{"message":"n"}]}"#,
            message("m; n"),
        ),
        (r#"{"errors":["m","n"]}"#, message("m; n")),
        (
            r#"{"errors":["a","b","c","d","e","f"]}"#,
            message("a; b; c; d; e"),
        ),
        (
            r#"{"errors":{"model":["gone"],"n":"too large"},"title":"t"}"#,
            message("model: gone; n: too large"),
        ),
        (r#"{"errors":[],"title":"t"}"#, message("t")),
        (
            r#"{"error":{"code":429,"errors":[{"message":"m","reason":"rateLimitExceeded"}]}}"#,
            coded("m", "429"),
        ),
        (
            r#"[{"error":{"code":429,"message":"m","details":[{"retryDelay":"34s"}]}}]"#,
            (Some("m"), Some("429"), None, Some(34.0), None),
        ),
        (r#"[null,{},{"error":{"message":"m"}}]"#, message("m")),
    ]);
}

#[test]
fn values_beside_and_below_an_error_text_are_read() {
    check_bodies(&[
        (
            r#"{"error":"insufficient_quota","message":"Top up"}"#,
            coded("Top up", "insufficient_quota"),
        ),
        (
            r#"{"error":"invalid_client","error_description":"m"}"#,
            coded("m", "invalid_client"),
        ),
        (
            r#"{"statusCode":400,"code":"FST_ERR","error":"Bad Request","message":"m"}"#,
            coded("m", "FST_ERR"),
        ),
        (
            r#"{"error":"Model is loading","error_type":"overloaded"}"#,
            message("Model is loading"),
        ),
        (r#"{"error":"overloaded"}"#, coded("overloaded", "overloaded")),
        (r#"{"error":true,"message":"m"}"#, message("m")),
        (
            r#"{"error":{"message":"m","code":"c"},"retry_after":5}"#,
            (Some("m"), Some("c"), None, Some(5.0), None),
        ),
        (
            r#"{"error":{"code":"content_filter","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            coded("m", "content_filter"),
        ),
        (
            r#"{"fault":{"faultstring":"m","detail":{"errorcode":"c"}}}"#,
            coded("m", "c"),
        ),
        (
            r#"{"error":{"message":{"message":"m","code":"c"}}}"#,
            coded("m", "c"),
        ),
    ]);
}

#[test]
fn json_within_texts_is_read() {
    check_bodies(&[
        (
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"m\",\"code\":\"c\"}}"}}}"#,
            coded("m", "429"),
        ),
        (
            r#"{"error":{"message":"Provider returned error","metadata":{"raw":"slow down"}}}"#,
            message("slow down"),
        ),
        (
            r#"{"error":{"message":"{\"error\":{\"message\":\"m\",\"code\":\"c\"}}"}}"#,
            coded("m", "c"),
        ),
        (r#"{"error":{"message":"{not json}"}}"#, message("{not json}")),
        (
            r#"upstream: {"error":{"message":"m","code":"c"}} (end)"#,
            coded("m", "c"),
        ),
        (r#"upstream said {no} more"#, message("upstream said {no} more")),
        (
            "event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":\"c\"}}\n\ndata: [DONE]\n\n",
            coded("m", "c"),
        ),
        (
            "{\"error\":{\"message\":\"m\"}}\n{\"error\":{\"message\":\"n\"}}",
            message("m"),
        ),
        ("error: {\"message\":\"m\",\"code\":\"c\"}\n", coded("m", "c")),
        ("\u{feff}{\"message\":\"m\"}", message("m")),
    ]);
}

#[test]
fn html_pages_are_named_by_their_title() {
    check_bodies(&[
        (
            "<!DOCTYPE html>\n<html><head><title>\n 502 Bad&nbsp;Gateway &amp; more\x07 </title></head><body>please retry in 5s</body></html>",
            message("HTML page: 502 Bad Gateway & more"),
        ),
        ("<html>no</html>", message("HTML page")),
        (
            "<?xml version=\"1.0\"?><Error/>",
            message("<?xml version=\"1.0\"?><Error/>"),
        ),
    ]);
}

#[test]
fn truncated_json_is_read_up_to_the_cut() {
    check_bodies(&[
        (
            r#"{"error":{"message":"m","code":"c","param":"p","x":[{"y":"aaaa"#,
            (Some("m"), Some("c"), Some("p"), None, None),
        ),
        (
            r#"{"error":{"code":"c","message":"a, {\"b"#,
            (None, Some("c"), None, None, None),
        ),
        (r#"{"err"#, message(r#"{"err"#)),
    ]);
}

// L03
#[test]
fn waits_and_reset_times_are_read_in_all_notations() {
    let at = Some(1_767_323_045); // 2026-01-02T03:04:05Z
    let wait = |seconds| (None, None, None, Some(seconds), None);
    let reset = (None, None, None, None, at);
    check_bodies(&[
        (r#"{"error":{"retry_after":34}}"#, wait(34.0)),
        (r#"{"error":{"retryAfter":"1.5"}}"#, wait(1.5)),
        (r#"{"error":{"retry_after_ms":1500}}"#, wait(1.5)),
        (r#"{"error":{"resets_in_seconds":90}}"#, wait(90.0)),
        (
            r#"{"error":{"details":[{"reason":"x"},{"retryDelay":{"seconds":34,"nanos":500000000}}]}}"#,
            (None, None, None, Some(34.5), None),
        ),
        (r#"{"errors":[{"retryDelay":"34.07s"}]}"#, wait(34.07)),
        (
            r#"{"error":{"metadata":{"raw":"[{\"error\":{\"details\":[{\"retryDelay\":\"7s\"}]}}]"}}}"#,
            wait(7.0),
        ),
        (r#"{"error":{"resets_at":1767323045}}"#, reset),
        (r#"{"error":{"resets_at":1767323045000}}"#, reset),
        (r#"{"error":{"reset_at":"2026-01-02T03:04:05.123Z"}}"#, reset),
        (r#"{"error":{"resetsAt":"2026-01-02T11:04:05+08:00"}}"#, reset),
        (r#"{"error":{"resets_at":"2026-01-01T22:04:05.5-05:00"}}"#, reset),
        (
            r#"{"error":{"retry_after":"Fri, 02 Jan 2026 03:04:05 GMT"}}"#,
            reset,
        ),
        (r#"{"error":{"retry_after":1767323045}}"#, reset),
        (
            r#"{"error":{"resets_at":"2026-01-02T03:04:05"}}"#,
            (None, None, None, None, None),
        ),
        (
            r#"{"error":{"resets_at":"2026-01-02T03:04:05+8"}}"#,
            (None, None, None, None, None),
        ),
        (
            r#"{"error":{"message":"resets 2026-01-02T11:04:05+08:00"}}"#,
            (Some("resets 2026-01-02T11:04:05+08:00"), None, None, None, at),
        ),
    ]);
}

#[test]
fn waits_in_sentences_are_read_only_after_known_words() {
    let wait = |text: &str| {
        let error = ProviderError::parse(text.as_bytes()).unwrap();
        error.retry_delay.map(|wait| wait.as_secs_f64())
    };
    for (text, seconds) in [
        ("Please try again in 20s.", 20.0),
        ("Please retry in 34.07s.", 34.07),
        ("Retry after 5 minutes", 300.0),
        ("please wait 10 seconds before retrying", 10.0),
        ("Please wait for 2 hours", 7200.0),
        ("Try again in 1m30.5s", 90.5),
        ("try again in 6ms", 0.006),
        ("Please try again after 1 seconds", 1.0),
        ("Try again in 1 hour 20 minutes.", 4800.0),
        ("please try again later; retry in 3 sec", 3.0),
        (
            r#"{"error":{"message":"Limit 10. Please try again in 20s."}}"#,
            20.0,
        ),
    ] {
        assert_eq!(wait(text), Some(seconds), "{text}");
    }
    for text in [
        "Rate limit is 60 requests per 1 minute",
        "try again in a few seconds",
        "try again in 20 furlongs",
        "retry in 5",
        "retries in 20s",
        "took 20s",
        "try again in 99999 days",
        "try again in 1e400s",
    ] {
        assert_eq!(wait(text), None, "{text}");
    }
}

// L56
#[test]
fn error_in_a_list_or_beside_the_result_of_a_success_is_found() {
    for (body, code) in [
        (r#"[{"error":{"code":429,"message":"m"}}]"#, "429"),
        (r#"[{"id":"x"},{"error":{"code":"c"}}]"#, "c"),
        (
            r#"{"success":false,"errors":[{"code":7,"message":"m"}],"result":null}"#,
            "7",
        ),
    ] {
        let error = find_error_in_success(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(error.code.as_deref(), Some(code), "{body}");
    }
    for success in [
        r#"[{"id":"a","code":"x"},{"id":"b","error":null}]"#,
        r#"{"errors":[{"code":7}],"choices":[{"message":{"content":"x"}}]}"#,
    ] {
        assert_eq!(find_error_in_success(success.as_bytes()), None, "{success}");
    }
}

#[test]
fn values_of_the_user_are_not_taken_for_an_error() {
    let body = r#"{"type":"response.failed","response":{"error":{"message":"m"},"metadata":{"code":"c","message":"CANARY"}}}"#;
    check_bodies(&[(body, message("m"))]);
    let body = r#"{"object":"response","error":{"message":"m"},"metadata":{"code":"c"}}"#;
    check_bodies(&[(body, message("m"))]);
}

#[test]
fn errors_with_broken_text_are_read() {
    for (body, message) in [
        (&br#"{"error":{"code":"x","message":"a\ud83d"}}"#[..], "a\u{fffd}"),
        (b"{\"error\":{\"code\":\"x\",\"message\":\"a\xff\"}}", "a\u{fffd}"),
        (
            b"{\"error\":{\"code\":\"x\",\"message\":\"a\nb\",\"n\":NaN}}",
            "a\nb",
        ),
    ] {
        let named = [&b"data: "[..], body, b"\n\n"].concat();
        let shown = String::from_utf8_lossy(body);
        for error in [
            ProviderError::parse(body),
            ProviderError::parse(&named),
            find_error_in_success(body),
        ] {
            let error = error.unwrap_or_default();
            assert_eq!(error.code.as_deref(), Some("x"), "{shown}");
            assert_eq!(error.message.as_deref(), Some(message), "{shown}");
        }
    }
}

#[test]
fn every_failed_finish_reason_is_an_error() {
    for reason in [
        "error",
        "ERROR",
        "NETWORK_ERROR",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_FUNCTION_CALL",
        "insufficient_system_resource",
    ] {
        for name in ["finish_reason", "native_finish_reason"] {
            let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}},"{name}" : "{reason}"}}]}}"#);
            let error = find_error_in_success(body.as_bytes()).unwrap_or_default();
            assert_eq!(error.code.as_deref(), Some(reason), "{body}");
        }
    }
    for reason in ["stop", "SAFETY", "length", "", "STOP"] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"{reason}"}}]}}"#);
        assert!(find_error_in_success(body.as_bytes()).is_none(), "{body}");
    }
}

#[test]
fn base_resp_of_a_success_adds_nothing_to_an_error() {
    let body = r#"{"error":{"type":"x"},"base_resp":{"status_code":0,"status_msg":"success"}}"#;
    let error = ProviderError::parse(body.as_bytes()).unwrap();
    assert_eq!(
        (error.code, error.message, error.kind.as_deref()),
        (None, None, Some("x"))
    );
}
