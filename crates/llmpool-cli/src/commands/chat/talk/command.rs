//! What can be said in a talk that is no question.

use crate::table::Table;
use crate::terminal::{Look, Screen};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Help,
    Model(Option<&'a str>),
    System(Option<&'a str>),
    File(&'a str),
    Retry,
    Usage,
    Save(&'a str),
    Clear,
    Quit,
}

/// Name, what goes behind it, and what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 9] = [
    (
        "/model",
        "[NAME]",
        "show the models, or ask another one from now on",
    ),
    (
        "/system",
        "[TEXT]",
        "show the instructions, or give others; - for none",
    ),
    (
        "/file",
        "PATH",
        "send a text, an image or a PDF with the next question",
    ),
    ("/retry", "", "ask the last question again"),
    ("/usage", "", "what the talk took so far"),
    (
        "/save",
        "FILE",
        "write the talk to a new file, as Markdown or (.json) as messages",
    ),
    ("/clear", "", "begin anew"),
    ("/help", "", "this"),
    ("/quit", "", "end the talk, as Ctrl-D does"),
];

const KEYS: [(&str, &str); 5] = [
    (
        "Alt-Enter",
        "a new line; so does a \\ at the end of one, and an open ``` fence",
    ),
    ("Ctrl-C", "stop the answer, or throw away what was typed"),
    (
        "Up, Ctrl-R",
        "what was said before; a line with a blank in front is not remembered",
    ),
    ("Tab", "complete a command, the name of a model or a path"),
    ("Ctrl-D", "end the talk"),
];

impl<'a> Command<'a> {
    /// `None` where it is a question, and the word that nobody knows where it looks like a command.
    pub(super) fn read(text: &'a str) -> Option<Result<Self, &'a str>> {
        let rest = text.strip_prefix('/')?;
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (name, argument) = (&text[..=end], rest[end..].trim());
        let argument = Some(argument).filter(|argument| !argument.is_empty());
        Some(Ok(match (name, argument) {
            ("/help" | "/?", None) => Self::Help,
            ("/model", id) => Self::Model(id),
            ("/system", text) => Self::System(text),
            ("/file", Some(path)) => Self::File(path),
            ("/save", Some(path)) => Self::Save(path),
            ("/retry", None) => Self::Retry,
            ("/usage", None) => Self::Usage,
            ("/clear", None) => Self::Clear,
            ("/quit" | "/exit", None) => Self::Quit,
            ("/file", None) => return Some(Err("/file without a path")),
            ("/save", None) => return Some(Err("/save without the name of a file")),
            _ => return Some(Err(text.lines().next().unwrap_or(name))),
        }))
    }
}

/// All commands and keys.
pub(super) fn help(screen: Screen) -> String {
    let mut table = Table::new(screen);
    let commands = COMMANDS.map(|(name, argument, what)| (format!("{name} {argument}"), what));
    let keys = KEYS.map(|(key, what)| (key.to_owned(), what));
    for (said, what) in commands.into_iter().chain(keys) {
        table.row([(Look::Code, said.trim_end()), (Look::Plain, what)]);
    }
    let text = table.draw(2);
    text.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_and_all_else_is_a_question() {
        for question in ["Hello", " /help", "what is /help?", ""] {
            assert_eq!(Command::read(question), None, "{question:?}");
        }
        for (line, command) in [
            ("/help", Command::Help),
            ("/model", Command::Model(None)),
            ("/model  openai/gpt-4o ", Command::Model(Some("openai/gpt-4o"))),
            (
                "/system Be brief.\nVery.",
                Command::System(Some("Be brief.\nVery.")),
            ),
            ("/save a b.md", Command::Save("a b.md")),
            ("/exit", Command::Quit),
        ] {
            assert_eq!(Command::read(line), Some(Ok(command)), "{line:?}");
        }
        for (line, unknown) in [
            ("/retyr", "/retyr"),
            ("/etc/passwd is what?\nmore", "/etc/passwd is what?"),
            ("/quit now", "/quit now"),
            ("/save", "/save without the name of a file"),
        ] {
            assert_eq!(Command::read(line), Some(Err(unknown)), "{line:?}");
        }
    }

    #[test]
    fn every_command_that_is_told_is_known() {
        for (name, argument, _) in COMMANDS {
            let line = format!("{name} {}", argument.trim_matches(['[', ']']));
            assert!(Command::read(line.trim()).unwrap().is_ok(), "{line}");
        }
    }
}
