//! Runs the built command and compares complete outputs and exit codes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use support::{Folder, interrupt, llmpool, provider_file, simulator, start, wait_for_exit};

const SIMULATOR_NOTE: &str = "llmpool: no provider is configured; the built-in simulator answers\n\
                              hint: to use a real model, set OPENAI_API_KEY and pass -m MODEL, or run llmpool config init to write a provider.json\n";

#[test]
fn chat_without_configuration_is_answered_by_the_simulator() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["chat", "Hello"], "", &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("Hello! This is the built-in simulator of llmpool") && out.ends_with('\n'));
    let summary =
        "llmpool: simulator/built-in: 1 prompt + 29 completion tokens, first content #s, total #s\n";
    assert_eq!(err, format!("{SIMULATOR_NOTE}{summary}"));
}

#[test]
fn model_without_provider_is_a_configuration_error() {
    let folder = Folder::new();
    for arguments in [["chat", "-m", "openai/x", "hi"].as_slice(), &["models"]] {
        let (code, out, err) = llmpool(&folder.0, arguments, "", &[]);
        assert_eq!((code, out.as_str()), (78, ""));
        assert_eq!(
            err,
            "error: no provider is configured\nhint: set OPENAI_API_KEY, or run llmpool config init to write a provider.json\n"
        );
    }
}

#[test]
fn missing_prompt_is_a_usage_error() {
    let folder = Folder::new();
    let (code, _, err) = llmpool(&folder.0, &["chat"], "", &[]);
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "error: no prompt was given\nhint: pass a prompt as an argument or on stdin, or run llmpool chat in a terminal\n"
        )
    );
}

#[test]
fn invalid_provider_file_reports_all_errors_and_is_not_loaded() {
    let folder = Folder::new();
    folder.write(
        "bad.json",
        "{\"p\": [\n  {\"model_nam\": \"m\", \"api_keys\": [\"env:NOPE\"], \"base_url\": \"h\"}\n]}",
    );
    for arguments in [
        ["config", "validate", "--config", "bad.json"].as_slice(),
        &["chat", "--config", "bad.json", "hi"],
    ] {
        let (code, out, err) = llmpool(&folder.0, arguments, "", &[]);
        assert_eq!((code, out.as_str()), (78, ""));
        assert_eq!(
            err,
            "error: bad.json: 4 errors; file not loaded\n\
             bad.json:2:3: p[0].model_name: missing required field\n  hint: add it, as in \"model_name\": \"gpt-4o-mini\"\n\
             bad.json:2:17: p[0].model_nam: unknown field\n  hint: did you mean `model_name`?\n\
             bad.json:2:35: p[0].api_keys[0]: environment variable NOPE is not set\n  hint: set the variable, as in export NOPE=…\n\
             bad.json:2:60: p[0].base_url: invalid base URL: it must begin with http:// or https://\n  hint: write it as in https://api.openai.com/v1\n"
        );
    }
}

#[test]
fn config_schema_prints_json() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["config", "schema"], "", &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["$defs"]["model"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_provider_file_is_used_and_stdin_is_appended() {
    let simulator = simulator(r#"{"keys":[{"key":"k"}],"echo":true}"#).await;
    let folder = Folder::new();
    folder.write("provider.json", &provider_file(&simulator.url()));
    let (code, out, err) = llmpool(&folder.0, &["chat", "Sum", "up:"], "one\ntwo\n", &[("KEY", "k")]);
    assert_eq!((code, out.as_str()), (0, "Sum up:\n\none\ntwo\n"), "{err}");
    assert!(
        err.starts_with("llmpool: using ./provider.json\nllmpool: p/m: "),
        "{err}"
    );
    let (code, out, _) = llmpool(&folder.0, &["models", "--json"], "", &[("KEY", "k")]);
    assert_eq!(code, 0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap()[0]["id"],
        "p/m"
    );
    let (code, out, _) = llmpool(&folder.0, &["chat", "-S", "--json", "x"], "", &[("KEY", "k")]);
    assert_eq!(code, 0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["choices"][0]["message"]["content"],
        "x"
    );
    let (code, _, err) = llmpool(&folder.0, &["chat", "-m", "p/other", "x"], "", &[("KEY", "k")]);
    assert_eq!(code, 2);
    assert!(
        err.ends_with("error: model p/other is not configured\nhint: use a configured model: p/m\n"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_of_a_provider_that_numbers_choices_from_1_is_printed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        let chunk = |choices: &str| format!("data: {{\"choices\":[{choices}]}}\n\n");
        let events = [
            chunk(r#"{"index":1,"delta":{"role":"assistant","content":"be"}}"#),
            chunk(r#"{"index":2,"delta":{"content":"x"}},{"index":1,"delta":{"content":"st"}}"#),
            chunk(r#"{"index":1,"delta":{},"finish_reason":"stop"}"#),
            "data: [DONE]\n\n".to_owned(),
        ];
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        socket
            .write_all((head.to_owned() + &events.concat()).as_bytes())
            .await
            .unwrap();
    });
    let folder = Folder::new();
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", &*url)];
    let (code, out, err) = llmpool(&folder.0, &["chat", "-m", "any", "hi"], "", &variables);
    assert_eq!((code, out.as_str()), (0, "best\n"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_code_depends_on_the_failure() {
    for (status, code, kind) in [
        (401, 77, "invalid API key"),
        (403, 77, "permission denied"),
        (429, 75, "rate limited"),
        (402, 75, "no credit left"),
        (503, 75, "overloaded"),
        (500, 1, "server error"),
        (400, 1, "invalid request"),
    ] {
        let scenario = format!(r#"{{"keys":[{{"key":"k","behaviours":[{{"status":{status}}}]}}]}}"#);
        let simulator = simulator(&scenario).await;
        let folder = Folder::new();
        folder.write("p.json", &provider_file(&simulator.url()));
        let (found, out, err) = llmpool(
            &folder.0,
            &["chat", "hi"],
            "",
            &[("KEY", "k"), ("LLMPOOL_CONFIG", "p.json")],
        );
        assert_eq!((found, out.as_str()), (code, ""), "{status}: {err}");
        assert!(
            err.starts_with(&format!("error: p/m: {kind} after 1 attempt in # s: key-1 (")),
            "{status}: {err}"
        );
        assert!(!err.contains("Bearer"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_key_in_the_environment_defines_a_provider() {
    let simulator = simulator(r#"{"keys":[{"key":"k"}],"answer":"yes"}"#).await;
    let folder = Folder::new();
    let url = simulator.url();
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", url.as_str())];
    let (code, out, err) = llmpool(&folder.0, &["chat", "-m", "any", "hi"], "", &variables);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");
    let (code, _, err) = llmpool(&folder.0, &["chat", "hi"], "", &variables);
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "error: no model was specified\nhint: pass a model with -m, such as -m gpt-4o-mini\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_aborts_a_stream_and_its_connection() {
    let simulator = simulator(r#"{"behaviours":[{"stall":{"after_events":3}}]}"#).await;
    let folder = Folder::new();
    let url = simulator.url();
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", url.as_str())];
    let mut child = start(&folder.0, &["chat", "-m", "any", "hi"], &variables);
    drop(child.stdin.take());
    let result = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut byte = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        interrupt(&child);
        wait_for_exit(child)
    });
    let (code, _, err) = result.await.unwrap();
    assert_eq!((code, err.as_str()), (130, ""));
    let aborted = simulator
        .wait_for(
            |stats| stats.connections_open == 0 && stats.aborts.len() == 1,
            Duration::from_secs(2),
        )
        .await;
    assert!(aborted.is_ok(), "{aborted:?}");
}

#[test]
fn ctrl_c_ends_the_command_while_it_reads_stdin() {
    let folder = Folder::new();
    let mut child = start(&folder.0, &["chat", "hi"], &[]);
    let stdin = child.stdin.take();
    // Waits until the signal handler is installed: the command then sleeps.
    while !is_sleeping(child.id()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt(&child);
    let (code, out, _) = wait_for_exit(child);
    assert_eq!((code, out.as_str()), (130, ""));
    drop(stdin);
}

/// Returns whether all threads of the process sleep, one of them in a read of stdin.
fn is_sleeping(process: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    let states: Vec<_> = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .collect();
    states.len() >= 2 && states.iter().all(|stat| stat.contains(") S "))
}

#[test]
fn too_long_stdin_is_a_usage_error() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["chat"], &"é".repeat(17 << 20), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: stdin is longer than 32 MiB, more than any provider accepts\nhint: shorten the input\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_too_large_for_the_provider_is_reported() {
    let simulator = simulator(r#"{"behaviours":[{"status":413}]}"#).await;
    let folder = Folder::new();
    folder.write("provider.json", &provider_file(&simulator.url()));
    let (code, _, err) = llmpool(&folder.0, &["chat", "hi"], "", &[("KEY", "k")]);
    assert_eq!(code, 1);
    assert!(err.contains("p/m: request too large after 1 attempt"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_environment_variables_count_as_unset() {
    let simulator = simulator(r#"{"keys":[{"key":"k"}],"answer":"yes"}"#).await;
    let folder = Folder::new();
    folder.write("provider.json", &provider_file(&simulator.url()));
    let variables = [
        ("KEY", "k"),
        ("LLMPOOL_MODEL", ""),
        ("LLMPOOL_CONFIG", ""),
        ("XDG_CONFIG_HOME", ""),
    ];
    let (code, out, err) = llmpool(&folder.0, &["chat", "hi"], "", &variables);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");
}

#[test]
fn bash_completions_work_in_bash() {
    let script = format!(
        "source <('{}' completions bash) && complete -p llmpool && COMP_WORDS=(llmpool con) COMP_CWORD=1 && _llmpool llmpool con llmpool && echo \"${{COMPREPLY[@]}}\"",
        env!("CARGO_BIN_EXE_llmpool")
    );
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &script])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        stdout.contains("-F _llmpool llmpool\n") && stdout.ends_with("\nconfig\n"),
        "{stdout}"
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["man", "--folder", "pages"], "", &[]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let pages = std::fs::read_dir(folder.0.join("pages")).unwrap();
    let mut names: Vec<_> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let commands = [
        "chat",
        "check",
        "completions",
        "config-init",
        "config-schema",
        "config-show",
        "config-validate",
        "config",
        "man",
        "models",
        "plan",
        "sim",
        "status",
        "version",
    ];
    let expected = commands.map(|command| format!("llmpool-{command}.1"));
    let mut expected: Vec<_> = expected.into_iter().chain(["llmpool.1".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn closed_stdout_is_not_an_error() {
    let folder = Folder::new();
    folder.write("provider.json", &provider_file("http://127.0.0.1:1/v1"));
    for arguments in [
        ["models"].as_slice(),
        &["config", "schema"],
        &["config", "show", "--json"],
        &["config", "validate"],
        &["completions", "zsh"],
        &["man"],
        &["version"],
        &["plan", "--rate", "1", "--for", "60"],
        &["check", "--timeout", "0.1"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_llmpool"))
            .args(arguments)
            .current_dir(&folder.0)
            .env_clear()
            .env("KEY", "k")
            .stdout(writer)
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
        assert!(
            !err.contains("error") && !err.contains("panic"),
            "{arguments:?}: {err}"
        );
    }
}
