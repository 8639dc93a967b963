//! What `llmpool chat` says about answers that have no text or are cut short.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use support::{Folder, llmpool, provider_file};

/// Answers one request with a completion of one choice.
fn serve(choice: &str) -> String {
    let body = format!(
        r#"{{"object":"chat.completion","choices":[{choice}],"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut piece = [0; 4096];
            let count = socket.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..count]);
        }
        socket.write_all(answer.as_bytes()).unwrap();
    });
    url
}

#[test]
fn answer_without_text_or_cut_short_is_reported() {
    for (choice, out, warning) in [
        (
            r#"{"index":0,"message":{"content":"ab"},"finish_reason":"stop"}"#,
            "ab\n",
            "",
        ),
        (
            r#"{"index":0,"message":{"content":null},"finish_reason":"content_filter"}"#,
            "",
            "warning: the provider's content filter blocked the answer\n",
        ),
        (
            r#"{"index":0,"message":{"content":"ab"},"finish_reason":"length"}"#,
            "ab\n",
            "warning: the answer is cut off at the token limit\n",
        ),
        (
            r#"{"index":0,"message":{"reasoning_content":"hm"},"finish_reason":"stop"}"#,
            "",
            "warning: the answer has no text; --json shows what it has\n",
        ),
    ] {
        for arguments in [&["chat", "hi"][..], &["chat", "-S", "hi"]] {
            let folder = Folder::new();
            folder.write("provider.json", &provider_file(&serve(choice)));
            let (code, stdout, stderr) = llmpool(&folder.0, arguments, "", &[("KEY", "k")]);
            assert_eq!((code, stdout.as_str()), (0, out), "{choice} {arguments:?}");
            let warnings: String = stderr
                .lines()
                .filter(|line| line.starts_with("warning:"))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(warnings, warning, "{choice} {arguments:?}: {stderr}");
        }
    }
}
