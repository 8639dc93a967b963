//! The interactive chat in a real terminal (tmux), with the simulator and with a real model.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use support::terminal::{self, Terminal};
use support::{Folder, simulator};

const LLMPOOL: &str = env!("CARGO_BIN_EXE_llmpool");
/// Part of the line below every answer.
const STATISTICS: &str = "completion tokens, first content";

const REAL_MODEL: &str = "smollm2-135m-instruct";

/// Returns a provider file with two providers at one URL.
fn provider_file(url: &str, model: &str) -> String {
    // The small model sometimes repeats itself until its context window is full.
    let params = match model {
        REAL_MODEL => r#"{"max_tokens": 256}"#,
        _ => "{}",
    };
    let entry = format!(
        r#"[{{"model_name": "{model}", "api_keys": ["${{KEY}}"], "base_url": "{url}", "rate_limit_capacity": null, "api_params": {params}}}]"#
    );
    format!(r#"{{"one": {entry}, "two": {entry}}}"#)
}

/// Starts an interactive chat that prints its exit code and the terminal modes at the end.
fn start_chat(url: &str, model: &str, variables: &[(&str, &str)]) -> Terminal {
    let folder = Folder::new();
    folder.write("provider.json", &provider_file(url, model));
    let command = format!("'{LLMPOOL}' chat; echo \"ended with $?\"; stty -a");
    let terminal = Terminal::start(folder, (90, 30), &command, variables);
    terminal.wait_for("/help for help, Ctrl-D to quit\n>", 1);
    terminal
}

/// Quits the chat, and asserts that the terminal modes are restored.
fn quit(terminal: &Terminal) {
    terminal.press(&["C-d"]);
    let text = terminal.wait_for("ended with ", 1);
    assert!(text.contains("ended with 0"), "{text}");
    let text = terminal.wait_for("echoke", 1);
    let modes = &text[text.find("ended with").unwrap()..];
    assert!(modes.contains(" icanon ") && modes.contains(" echo "), "{modes}");
}

fn lines(count: usize) -> String {
    (1..=count).map(|line| format!("line {line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_can_be_typed_pasted_and_recalled() {
    if !terminal::is_available() {
        return;
    }
    let simulator = simulator(r#"{"keys": [{"key": "k"}], "echo": true}"#).await;
    let terminal = start_chat(&simulator.url(), "m", &[("KEY", "k"), ("NO_COLOR", "1")]);
    terminal.enter("Say **this**");
    let text = terminal.wait_for(STATISTICS, 1);
    assert!(
        text.contains("\n> Say **this**\nSay **this**\nllmpool: "),
        "{text}"
    );
    let shown = terminal.coloured();
    assert!(
        !shown.contains("\u{1b}[1m") && !shown.contains("\u{1b}[3"),
        "colours despite NO_COLOR: {shown}"
    );

    // Several lines: with Alt-Enter, with a backslash, and with a paste.
    terminal.write("first").press(&["M-Enter"]).enter("second \\");
    terminal.enter("third");
    let text = terminal.wait_for(STATISTICS, 2);
    assert!(
        text.contains("\nfirst\nsecond\nthird\nllmpool: ")
            || text.contains("\nfirst\nsecond \nthird\nllmpool: "),
        "{text}"
    );
    terminal.paste("a\nb").press(&["Enter"]);
    let text = terminal.wait_for(STATISTICS, 3);
    assert!(text.contains("\na\nb\nllmpool: "), "{text}");

    // A long paste is shown as a placeholder and sent completely.
    terminal.write("Look: ").paste(&lines(2000));
    terminal.wait_for("> Look: [pasted text 1: 2000 lines]", 1);
    terminal.press(&["Enter"]);
    let text = terminal.wait_for(STATISTICS, 4);
    assert!(
        text.contains("\nline 1999\nline 2000\nllmpool: "),
        "the end of the paste is missing"
    );
    assert_eq!(text.matches("\nline 1000\n").count(), 1);

    // Prompts are in the history, except those that start with a space.
    terminal.enter(" in secret");
    terminal.wait_for(STATISTICS, 5);
    terminal
        .press(&["Up", "Up"])
        .wait_for("> Look: [pasted text 1: 2000 lines]", 2);
    terminal
        .press(&["C-c"])
        .wait_for("press Ctrl-D or type /quit to quit", 1);

    // Commands.
    terminal
        .enter("/nope")
        .wait_for("error: unknown command /nope", 1);
    terminal
        .enter("/system Be brief.")
        .wait_for("applies from the next prompt on", 1);
    terminal.enter("/usage").wait_for("5 answers: ", 1);
    terminal
        .enter("/save chat.json")
        .wait_for("saved to chat.json", 1);
    terminal
        .enter("/save chat.json")
        .wait_for("cannot write chat.json: File exists", 1);
    let saved = std::fs::read_to_string(terminal.folder().join("chat.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(saved["messages"][0]["content"], "Be brief.");
    assert_eq!(saved["messages"].as_array().unwrap().len(), 11);
    std::fs::write(terminal.folder().join("note.txt"), "from a file\n").unwrap();
    terminal
        .write("/file no")
        .press(&["Tab"])
        .wait_for("> /file note.txt", 1);
    terminal
        .press(&["Enter"])
        .wait_for("attached to the next prompt: note.txt (1 line)", 1);
    terminal
        .enter("Read it")
        .wait_for("\nRead it\n\nnote.txt:\n```\nfrom a file\n```\n", 1);
    terminal
        .enter("/file nowhere.txt")
        .wait_for("error: cannot read nowhere.txt", 1);
    terminal.write("/us").press(&["Tab"]).wait_for("> /usage", 2);
    terminal.press(&["Enter"]).wait_for("6 answers: ", 1);

    let history = terminal.folder().join(".local/state/llmpool/chat-history");
    quit(&terminal);
    let saved_history = std::fs::read_to_string(&history).unwrap();
    assert!(
        saved_history.contains("Say **this**") && !saved_history.contains("secret"),
        "{saved_history}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&history).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_answer_can_be_retried_and_errors_keep_the_chat() {
    if !terminal::is_available() {
        return;
    }
    let scenario = r#"{"keys": [{"key": "k"}], "script": [
        {"ok": true, "chunk_delay": 0.2}, {"ok": true}, {"status": 400, "body": {"error": {"message": "Not \u001b[31mthis\u001b[0m."}}}
    ], "answer": "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."}"#;
    let simulator = simulator(scenario).await;
    let terminal = start_chat(&simulator.url(), "m", &[("KEY", "k")]);
    terminal.enter("Count").wait_for("One two", 1);
    // Input typed during an answer is not echoed into it, and is kept.
    terminal.write("and then?");
    terminal.press(&["C-c"]).wait_for(
        "stopped; the partial answer is kept; /retry sends the prompt again",
        1,
    );
    let text = terminal.text();
    let answer = &text[text.find("One").unwrap()..text.find("stopped").unwrap()];
    assert!(!answer.contains("sixteen") && !answer.contains("then"), "{text}");
    terminal.press(&["C-c"]).wait_for("type /quit to quit", 1);
    terminal.enter("/retry").wait_for("sixteen.", 1);
    terminal.wait_for(STATISTICS, 1);
    terminal.enter("What is wrong?").wait_for("invalid request", 1);
    let text = terminal.wait_for("hint: /retry sends the prompt again", 1);
    assert!(text.contains("provider message: Not  [31mthis [0m."), "{text}");
    terminal.enter("/model").wait_for("* one/m\n  two/m", 1);
    terminal
        .enter("/model two")
        .wait_for("model two is not configured", 1);
    terminal.enter("/model two/m").wait_for("switched to two/m", 1);
    terminal.resize(30, 12);
    terminal.write("narrow").wait_for("> narrow", 1);
    terminal.resize(120, 40);
    terminal.write(" and wide").wait_for("> narrow and wide", 1);
    terminal.press(&["C-u"]);
    quit(&terminal);
}

/// Stops an answer while it streams. Retries if the answer is complete before Ctrl-C arrives, which happens with a small model.
fn interrupt(terminal: &Terminal) {
    const QUESTION: &str = "Write a very long story about the sea, in twenty chapters.";
    for times in 1..=20 {
        terminal.enter(QUESTION);
        let has_begun = |text: &str| {
            let answers: Vec<_> = text.split(QUESTION).skip(times).collect();
            // Excludes the spinner, which shows the name of the model.
            answers
                .first()
                .is_some_and(|answer| answer.trim().len() > 20 && !answer.contains("one/"))
        };
        terminal.wait_until("the story", has_begun);
        terminal.press(&["C-c"]);
        let text = terminal.wait_until("the end of the answer", |text| {
            text.contains("stopped;") || text.contains("type /quit to quit")
        });
        if text.contains("stopped; the partial answer is kept") {
            return;
        }
    }
    panic!("every answer was complete before Ctrl-C: {}", terminal.text());
}

#[test]
fn interactive_chat_with_a_real_model() {
    // scripts/test starts the server and sets the variable.
    let Ok(url) = std::env::var("LLMPOOL_TEST_REAL_URL") else {
        return;
    };
    if !terminal::is_available() {
        return;
    }
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap_or_default();
    let key = keys.split(',').next().unwrap_or_default();
    let terminal = start_chat(&url, REAL_MODEL, &[("KEY", key)]);
    // One prompt, streamed to the end.
    terminal.enter("Say hello in one short sentence.");
    let text = terminal.wait_for(STATISTICS, 1);
    let answer =
        &text[text.find("sentence.\n").unwrap() + "sentence.\n".len()..text.rfind("llmpool: ").unwrap()];
    assert!(answer.trim().len() > 2, "{text}");
    // Retry.
    terminal.enter("/retry").wait_for(STATISTICS, 2);
    interrupt(&terminal);
    // Switch to the other model.
    terminal
        .enter("/model two/smollm2-135m-instruct")
        .wait_for("switched to two/", 1);
    terminal.enter("/clear").wait_for("conversation cleared", 1);
    let answers = terminal.text().matches(STATISTICS).count();
    terminal.enter("Say yes.").wait_for(STATISTICS, answers + 1);
    // 2 000 lines exceed the context window: the error does not end the chat.
    terminal
        .paste(&lines(2000))
        .wait_for("[pasted text 1: 2000 lines]", 1);
    terminal
        .enter(" How many lines are these?")
        .wait_for("context length exceeded", 1);
    terminal.wait_for("hint: shorten the prompt", 1);
    // Resize while a prompt is typed.
    terminal
        .write("Say")
        .resize(50, 15)
        .write(" no.")
        .wait_for("> Say no.", 1);
    terminal.press(&["Enter"]).wait_for(STATISTICS, answers + 2);
    terminal.enter("/usage").wait_until("the usage", |text| {
        text.contains(" unknown") && text.contains(" answers: ")
    });
    quit(&terminal);
}

#[test]
fn config_init_prompts_for_the_settings() {
    if !terminal::is_available() {
        return;
    }
    let command = format!("'{LLMPOOL}' config init; echo \"ended with $?\"");
    let terminal = Terminal::start(Folder::new(), (90, 30), &command, &[("DEEPSEEK_API_KEY", "k")]);
    terminal.wait_for("Provider [openai]:", 1);
    terminal.enter("deepseek").wait_for("Model [deepseek-chat]:", 1);
    terminal
        .press(&["Enter"])
        .wait_for("separated by spaces [DEEPSEEK_API_KEY]:", 1);
    let text = terminal
        .enter("DEEPSEEK_API_KEY SECOND_KEY")
        .wait_for("ended with 0", 1);
    assert!(
        text.contains("hint: set the API key: export SECOND_KEY=…"),
        "{text}"
    );
    let file = std::fs::read_to_string(terminal.folder().join("provider.json")).unwrap();
    assert!(
        file.contains(r#""api_keys": ["${DEEPSEEK_API_KEY}", "${SECOND_KEY}"]"#),
        "{file}"
    );

    // Ctrl-C writes no file.
    let command = format!("'{LLMPOOL}' config init; echo \"ended with $?\"");
    let terminal = Terminal::start(Folder::new(), (90, 30), &command, &[]);
    terminal.wait_for("Provider [openai]:", 1);
    terminal.press(&["C-c"]).wait_for("ended with 130", 1);
    assert!(!terminal.folder().join("provider.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompt_is_read_from_the_terminal_if_stdout_is_a_pipe() {
    if !terminal::is_available() {
        return;
    }
    let simulator = simulator(r#"{"keys": [{"key": "k"}], "echo": true}"#).await;
    let folder = Folder::new();
    folder.write("provider.json", &provider_file(&simulator.url(), "m"));
    let command = format!("'{LLMPOOL}' chat -m one/m | cat > answer; echo \"ended with $?\"");
    let terminal = Terminal::start(folder, (90, 30), &command, &[("KEY", "k")]);
    terminal.wait_for("Ctrl-D on an empty line ends it", 1);
    terminal
        .enter("Say **this**")
        .enter("in two lines")
        .press(&["C-d"]);
    terminal.wait_for("ended with 0", 1);
    let answer = std::fs::read_to_string(terminal.folder().join("answer")).unwrap();
    assert_eq!(answer, "Say **this**\nin two lines\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasoning_is_shown_and_is_not_part_of_the_answer() {
    if !terminal::is_available() {
        return;
    }
    let scenario = r#"{"keys": [{"key": "k"}], "reasoning": "Let me think.", "answer": "It is 42."}"#;
    let simulator = simulator(scenario).await;
    let terminal = start_chat(&simulator.url(), "m", &[("KEY", "k")]);
    terminal.enter("What is it?");
    let text = terminal.wait_for(STATISTICS, 1);
    assert!(text.contains("\nLet me think.\n\nIt is 42.\nllmpool: "), "{text}");
    terminal.enter("/save chat.md").wait_for("saved to chat.md", 1);
    let saved = std::fs::read_to_string(terminal.folder().join("chat.md")).unwrap();
    assert_eq!(saved, "## Prompt\n\nWhat is it?\n\n## Answer\n\nIt is 42.\n");
    quit(&terminal);
    let (code, out, _) = support::llmpool(
        terminal.folder(),
        &["chat", "-m", "one/m", "And?"],
        "",
        &[("KEY", "k")],
    );
    assert_eq!((code, out.as_str()), (0, "It is 42.\n"));
}
