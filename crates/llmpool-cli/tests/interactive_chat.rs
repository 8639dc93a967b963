//! A talk in a real terminal, with the simulator and with a real model: type, stream, interrupt, retry, switch, paste, resize, quit.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use support::terminal::{self, Terminal};
use support::{Folder, simulator};

const LLMPOOL: &str = env!("CARGO_BIN_EXE_llmpool");
/// What stands below every answer.
const FIGURES: &str = "completion tokens, first content";

/// Two providers at one place, for somebody to switch between.
fn file(url: &str, model: &str) -> String {
    let entry = format!(
        r#"[{{"model_name": "{model}", "api_keys": ["${{KEY}}"], "base_url": "{url}", "rate_limit_capacity": null}}]"#
    );
    format!(r#"{{"one": {entry}, "two": {entry}}}"#)
}

/// A talk, and what the terminal is like when it has ended.
fn talk(url: &str, model: &str, variables: &[(&str, &str)]) -> Terminal {
    let folder = Folder::new();
    folder.write("provider.json", &file(url, model));
    let command = format!("'{LLMPOOL}' chat; echo \"ended with $?\"; stty -a");
    let terminal = Terminal::start(folder, (90, 30), &command, variables);
    terminal.wait_for("/help for help, Ctrl-D ends\n>", 1);
    terminal
}

/// Ends the talk, and sees that the terminal is as it was.
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
async fn questions_are_typed_pasted_remembered_and_sent_whole() {
    if !terminal::is_there() {
        return;
    }
    let simulator = simulator(r#"{"keys": [{"key": "k"}], "echo": true}"#).await;
    let terminal = talk(&simulator.url(), "m", &[("KEY", "k"), ("NO_COLOR", "1")]);
    terminal.enter("Say **this**");
    let text = terminal.wait_for(FIGURES, 1);
    assert!(
        text.contains("\n> Say **this**\nSay **this**\nllmpool: "),
        "{text}"
    );
    let shown = terminal.coloured();
    assert!(
        !shown.contains("\u{1b}[1m") && !shown.contains("\u{1b}[3"),
        "colours in spite of NO_COLOR: {shown}"
    );

    // Several lines: by key, by backslash, by fence, and by paste.
    terminal.write("first").press(&["M-Enter"]).enter("second \\");
    terminal.enter("third");
    let text = terminal.wait_for(FIGURES, 2);
    assert!(
        text.contains("\nfirst\nsecond\nthird\nllmpool: ")
            || text.contains("\nfirst\nsecond \nthird\nllmpool: "),
        "{text}"
    );
    terminal.paste("a\nb").press(&["Enter"]);
    let text = terminal.wait_for(FIGURES, 3);
    assert!(text.contains("\na\nb\nllmpool: "), "{text}");

    // A long one is a sign, and goes out whole.
    terminal.write("Look: ").paste(&lines(2000));
    terminal.wait_for("> Look: [pasted text 1: 2000 lines]", 1);
    terminal.press(&["Enter"]);
    let text = terminal.wait_for(FIGURES, 4);
    assert!(
        text.contains("\nline 1999\nline 2000\nllmpool: "),
        "the end of the paste is missing"
    );
    assert_eq!(text.matches("\nline 1000\n").count(), 1);

    // What was said is remembered, but for what begins with a blank.
    terminal.enter(" in secret");
    terminal.wait_for(FIGURES, 5);
    terminal
        .press(&["Up", "Up"])
        .wait_for("> Look: [pasted text 1: 2000 lines]", 2);
    terminal
        .press(&["C-c"])
        .wait_for("Ctrl-D or /quit ends the talk", 1);

    // Commands.
    terminal.enter("/nope").wait_for("error: there is no /nope", 1);
    terminal
        .enter("/system Be brief.")
        .wait_for("hold from the next question on", 1);
    terminal.enter("/usage").wait_for("5 answers: ", 1);
    terminal
        .enter("/save talk.json")
        .wait_for("saved in talk.json", 1);
    terminal
        .enter("/save talk.json")
        .wait_for("talk.json cannot be written: File exists", 1);
    let saved = std::fs::read_to_string(terminal.folder().join("talk.json")).unwrap();
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
        .wait_for("note.txt (1 line) goes with the next question", 1);
    terminal
        .enter("Read it")
        .wait_for("\nRead it\n\nnote.txt:\n```\nfrom a file\n```\n", 1);
    terminal
        .enter("/file nowhere.txt")
        .wait_for("error: nowhere.txt cannot be read", 1);
    terminal.write("/us").press(&["Tab"]).wait_for("> /usage", 2);
    terminal.press(&["Enter"]).wait_for("6 answers: ", 1);

    let history = terminal.folder().join(".local/state/llmpool/chat-history");
    quit(&terminal);
    let remembered = std::fs::read_to_string(&history).unwrap();
    assert!(
        remembered.contains("Say **this**") && !remembered.contains("secret"),
        "{remembered}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&history).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_can_be_stopped_and_asked_again_and_a_failure_ends_nothing() {
    if !terminal::is_there() {
        return;
    }
    let scenario = r#"{"keys": [{"key": "k"}], "script": [
        {"ok": true, "chunk_delay": 0.2}, {"ok": true}, {"status": 400, "body": {"error": {"message": "Not \u001b[31mthis\u001b[0m."}}}
    ], "answer": "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."}"#;
    let simulator = simulator(scenario).await;
    let terminal = talk(&simulator.url(), "m", &[("KEY", "k")]);
    terminal.enter("Count").wait_for("One two", 1);
    // What is typed meanwhile is not shown in the answer, and waits.
    terminal.write("and then?");
    terminal
        .press(&["C-c"])
        .wait_for("stopped; what came is kept, and /retry asks again", 1);
    let text = terminal.text();
    let answer = &text[text.find("One").unwrap()..text.find("stopped").unwrap()];
    assert!(!answer.contains("sixteen") && !answer.contains("then"), "{text}");
    terminal.press(&["C-c"]).wait_for("ends the talk", 1);
    terminal.enter("/retry").wait_for("sixteen.", 1);
    terminal.wait_for(FIGURES, 1);
    terminal.enter("What is wrong?").wait_for("invalid request", 1);
    let text = terminal.wait_for("hint: /retry asks again", 1);
    assert!(text.contains("the provider says: Not  [31mthis [0m."), "{text}");
    terminal.enter("/model").wait_for("* one/m\n  two/m", 1);
    terminal
        .enter("/model two")
        .wait_for("no model two is configured", 1);
    terminal
        .enter("/model two/m")
        .wait_for("two/m answers from now on", 1);
    terminal.resize(30, 12);
    terminal.write("narrow").wait_for("> narrow", 1);
    terminal.resize(120, 40);
    terminal.write(" and wide").wait_for("> narrow and wide", 1);
    terminal.press(&["C-u"]);
    quit(&terminal);
}

/// Stops an answer while it streams. A small model may have nothing more to say before that; then it is asked again.
fn interrupt(terminal: &Terminal) {
    const QUESTION: &str = "Write a very long story about the sea, in twenty chapters.";
    for times in 1..=20 {
        terminal.enter(QUESTION);
        let has_begun = |text: &str| {
            let answers: Vec<_> = text.split(QUESTION).skip(times).collect();
            // Not the sign that it is waited for.
            answers
                .first()
                .is_some_and(|answer| answer.trim().len() > 20 && !answer.contains("one/"))
        };
        terminal.wait_until("the story", has_begun);
        terminal.press(&["C-c"]);
        let text = terminal.wait_until("an end", |text| {
            text.contains("stopped;") || text.contains("ends the talk")
        });
        if text.contains("stopped; what came is kept") {
            return;
        }
    }
    panic!("every story was short: {}", terminal.text());
}

#[test]
fn a_real_model_is_talked_with() {
    // Without a server there is nothing to talk with; scripts/test starts one.
    let Ok(url) = std::env::var("LLMPOOL_TEST_REAL_URL") else {
        return;
    };
    if !terminal::is_there() {
        return;
    }
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap_or_default();
    let key = keys.split(',').next().unwrap_or_default();
    let terminal = talk(&url, "smollm2-135m-instruct", &[("KEY", key)]);
    // Type, and see it stream to its end.
    terminal.enter("Say hello in one short sentence.");
    let text = terminal.wait_for(FIGURES, 1);
    let answer =
        &text[text.find("sentence.\n").unwrap() + "sentence.\n".len()..text.rfind("llmpool: ").unwrap()];
    assert!(answer.trim().len() > 2, "{text}");
    // Ask again.
    terminal.enter("/retry").wait_for(FIGURES, 2);
    interrupt(&terminal);
    // Switch the model.
    terminal
        .enter("/model two/smollm2-135m-instruct")
        .wait_for("answers from now on", 1);
    terminal.enter("/clear").wait_for("what was said is forgotten", 1);
    let answers = terminal.text().matches(FIGURES).count();
    terminal.enter("Say yes.").wait_for(FIGURES, answers + 1);
    // 2 000 lines are more than this model takes: it says so, and the talk goes on.
    terminal
        .paste(&lines(2000))
        .wait_for("[pasted text 1: 2000 lines]", 1);
    terminal
        .enter(" How many lines are these?")
        .wait_for("context length exceeded", 1);
    terminal.wait_for("hint: send less of it", 1);
    // Resize within a question.
    terminal
        .write("Say")
        .resize(50, 15)
        .write(" no.")
        .wait_for("> Say no.", 1);
    terminal.press(&["Enter"]).wait_for(FIGURES, answers + 2);
    terminal.enter("/usage").wait_until("what it took", |text| {
        text.contains(" that is not known") && text.contains(" answers: ")
    });
    quit(&terminal);
}

#[test]
fn a_provider_file_is_asked_for_in_a_few_questions() {
    if !terminal::is_there() {
        return;
    }
    let command = format!("'{LLMPOOL}' config init; echo \"ended with $?\"");
    let terminal = Terminal::start(Folder::new(), (90, 30), &command, &[("DEEPSEEK_API_KEY", "k")]);
    terminal.wait_for("Provider [openai]:", 1);
    terminal.enter("deepseek").wait_for("Model [deepseek-chat]:", 1);
    terminal
        .press(&["Enter"])
        .wait_for("between them [DEEPSEEK_API_KEY]:", 1);
    let text = terminal
        .enter("DEEPSEEK_API_KEY SECOND_KEY")
        .wait_for("ended with 0", 1);
    assert!(
        text.contains("hint: set the key first: export SECOND_KEY=…"),
        "{text}"
    );
    let file = std::fs::read_to_string(terminal.folder().join("provider.json")).unwrap();
    assert!(
        file.contains(r#""api_keys": ["${DEEPSEEK_API_KEY}", "${SECOND_KEY}"]"#),
        "{file}"
    );

    // Ctrl-C leaves nothing behind.
    let command = format!("'{LLMPOOL}' config init; echo \"ended with $?\"");
    let terminal = Terminal::start(Folder::new(), (90, 30), &command, &[]);
    terminal.wait_for("Provider [openai]:", 1);
    terminal.press(&["C-c"]).wait_for("ended with 130", 1);
    assert!(!terminal.folder().join("provider.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn into_a_pipe_a_prompt_is_typed_and_answered_plainly() {
    if !terminal::is_there() {
        return;
    }
    let simulator = simulator(r#"{"keys": [{"key": "k"}], "echo": true}"#).await;
    let folder = Folder::new();
    folder.write("provider.json", &file(&simulator.url(), "m"));
    let command = format!("'{LLMPOOL}' chat -m one/m | cat > answer; echo \"ended with $?\"");
    let terminal = Terminal::start(folder, (90, 30), &command, &[("KEY", "k")]);
    terminal.wait_for("Ctrl-D at the beginning of a line ends it", 1);
    terminal
        .enter("Say **this**")
        .enter("in two lines")
        .press(&["C-d"]);
    terminal.wait_for("ended with 0", 1);
    let answer = std::fs::read_to_string(terminal.folder().join("answer")).unwrap();
    assert_eq!(answer, "Say **this**\nin two lines\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_thinks_is_shown_and_no_part_of_its_answer() {
    if !terminal::is_there() {
        return;
    }
    let scenario = r#"{"keys": [{"key": "k"}], "reasoning": "Let me think.", "answer": "It is 42."}"#;
    let simulator = simulator(scenario).await;
    let terminal = talk(&simulator.url(), "m", &[("KEY", "k")]);
    terminal.enter("What is it?");
    let text = terminal.wait_for(FIGURES, 1);
    assert!(text.contains("\nLet me think.\n\nIt is 42.\nllmpool: "), "{text}");
    terminal.enter("/save talk.md").wait_for("saved in talk.md", 1);
    let saved = std::fs::read_to_string(terminal.folder().join("talk.md")).unwrap();
    assert_eq!(saved, "## Question\n\nWhat is it?\n\n## Answer\n\nIt is 42.\n");
    quit(&terminal);
    let (code, out, _) = support::llmpool(
        terminal.folder(),
        &["chat", "-m", "one/m", "And?"],
        "",
        &[("KEY", "k")],
    );
    assert_eq!((code, out.as_str()), (0, "It is 42.\n"));
}
