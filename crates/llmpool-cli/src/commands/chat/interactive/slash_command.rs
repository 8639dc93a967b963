//! The slash commands of the interactive chat, such as `/model`.

use crate::problem::Problem;
use crate::table::Table;
use crate::terminal::{Screen, Style};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlashCommand<'a> {
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

/// The name, argument and description of every slash command.
pub(super) const COMMANDS: [(&str, &str, &str); 9] = [
    ("/model", "[NAME]", "list the models, or switch to another one"),
    ("/system", "[TEXT]", "show or set the system prompt; - removes it"),
    (
        "/file",
        "PATH",
        "attach a text, image or PDF file to the next prompt",
    ),
    ("/retry", "", "send the last prompt again"),
    ("/usage", "", "show the tokens used so far"),
    (
        "/save",
        "FILE",
        "save the conversation to a new file, as Markdown or (.json) as messages",
    ),
    ("/clear", "", "start a new conversation"),
    ("/help", "", "show this help"),
    ("/quit", "", "quit; the same as Ctrl-D"),
];

const KEYS: [(&str, &str); 5] = [
    (
        "Alt-Enter",
        "insert a line break; a \\ at the end of a line and an open ``` fence do the same",
    ),
    ("Ctrl-C", "stop the answer, or discard the input"),
    (
        "Up, Ctrl-R",
        "recall earlier prompts; a line that starts with a space is not saved",
    ),
    ("Tab", "complete a command, a model name or a path"),
    ("Ctrl-D", "quit"),
];

impl<'a> SlashCommand<'a> {
    /// Parses the user's input as a slash command. Returns `None` if the input is a prompt, which does not
    /// start with a slash.
    ///
    /// # Errors
    ///
    /// Returns a problem to print if the command is unknown or its argument is missing or unexpected.
    pub(super) fn parse(text: &'a str) -> Option<Result<Self, Problem>> {
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
            ("/file", None) => return Some(Err(missing_argument("/file", "a path", "/file notes.txt"))),
            ("/save", None) => return Some(Err(missing_argument("/save", "a file name", "/save chat.md"))),
            _ => return Some(Err(unknown(text.lines().next().unwrap_or(name)))),
        }))
    }
}

fn missing_argument(name: &str, argument: &str, example: &str) -> Problem {
    Problem::new(format!("{name} needs {argument}")).with_hint(format!("for example {example}"))
}

fn unknown(line: &str) -> Problem {
    Problem::new(format!("unknown command {line}"))
        .with_hint("/help lists the commands; start the line with a space to send it as a prompt")
}

/// Formats all slash commands and keyboard shortcuts as a table.
pub(super) fn help(screen: Screen) -> String {
    let mut table = Table::new(screen);
    let commands = COMMANDS.map(|(name, argument, description)| (format!("{name} {argument}"), description));
    let keys = KEYS.map(|(key, description)| (key.to_owned(), description));
    for (name, description) in commands.into_iter().chain(keys) {
        table.add_row([(Style::Code, name.trim_end()), (Style::Plain, description)]);
    }
    let text = table.render(2);
    text.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_without_leading_slash_is_a_prompt() {
        for prompt in ["Hello", " /help", "what is /help?", ""] {
            assert_eq!(SlashCommand::parse(prompt), None, "{prompt:?}");
        }
    }

    #[test]
    fn command_is_parsed_with_its_argument() {
        for (line, command) in [
            ("/help", SlashCommand::Help),
            ("/model", SlashCommand::Model(None)),
            (
                "/model  openai/gpt-4o ",
                SlashCommand::Model(Some("openai/gpt-4o")),
            ),
            (
                "/system Be brief.\nVery.",
                SlashCommand::System(Some("Be brief.\nVery.")),
            ),
            ("/save a b.md", SlashCommand::Save("a b.md")),
            ("/exit", SlashCommand::Quit),
        ] {
            assert_eq!(SlashCommand::parse(line), Some(Ok(command)), "{line:?}");
        }
    }

    #[test]
    fn unknown_command_and_missing_argument_are_errors() {
        for (line, message) in [
            ("/retyr", "unknown command /retyr"),
            (
                "/etc/passwd is what?\nmore",
                "unknown command /etc/passwd is what?",
            ),
            ("/quit now", "unknown command /quit now"),
            ("/save", "/save needs a file name"),
        ] {
            let problem = SlashCommand::parse(line).unwrap().unwrap_err();
            assert_eq!(problem.message, message, "{line:?}");
        }
    }

    #[test]
    fn every_listed_command_is_parsed() {
        for (name, argument, _) in COMMANDS {
            let line = format!("{name} {}", argument.trim_matches(['[', ']']));
            assert!(SlashCommand::parse(line.trim()).unwrap().is_ok(), "{line}");
        }
    }
}
