//! What was said so far.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use llmpool::chat::{ChatRequest, Content, Message, Part, Role};
use serde_json::json;

/// Instructions, and questions with their answers.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    system: Option<String>,
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    question: Message,
    /// `None` while there is none, or where it broke off before its first word.
    answer: Option<String>,
}

impl Conversation {
    pub(super) fn new(system: Option<String>) -> Self {
        Self {
            system,
            turns: Vec::new(),
        }
    }

    pub(super) fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    pub(super) fn set_system(&mut self, system: Option<String>) {
        self.system = system;
    }

    pub(super) fn clear(&mut self) {
        self.turns.clear();
    }

    /// A question without an answer is not sent again with the next one: many models take no two in a row.
    pub(super) fn ask(&mut self, question: Message) {
        self.turns.pop_if(|last| last.answer.is_none());
        self.turns.push(Turn {
            question,
            answer: None,
        });
    }

    /// Whether there is a question to ask, or to ask again.
    pub(super) fn has_question(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Takes the place of an earlier answer to the last question, which is kept until there is another one.
    pub(super) fn answered(&mut self, answer: String) {
        if let Some(last) = self.turns.last_mut() {
            last.answer = Some(answer);
        }
    }

    /// Everything that was said, up to the last question.
    pub(super) fn request(&self) -> ChatRequest {
        let mut messages = self.messages();
        messages.pop_if(|last| last.role == Some(Role::Assistant));
        ChatRequest::new(messages)
    }

    fn messages(&self) -> Vec<Message> {
        let system = self.system.as_deref().map(Message::system);
        let turns = self.turns.iter().flat_map(|turn| {
            let answer = turn.answer.as_deref().map(Message::assistant);
            [Some(turn.question.clone()), answer].into_iter().flatten()
        });
        system.into_iter().chain(turns).collect()
    }

    /// Writes the talk to a file that is not there yet.
    pub(super) fn save(&self, path: &Path, model: &str) -> io::Result<()> {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let text = match is_json {
            true => {
                serde_json::to_string_pretty(&json!({"model": model, "messages": self.messages()}))? + "\n"
            }
            false => self.as_markdown(),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())
    }

    fn as_markdown(&self) -> String {
        let mut text = String::new();
        for message in self.messages() {
            let who = match message.role.as_ref().map(|role| role.as_str()) {
                Some("system") => "Instructions",
                Some("assistant") => "Answer",
                _ => "Question",
            };
            text += &format!("## {who}\n\n{}\n\n", shown(&message).trim());
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }
}

/// The text of a message, with the name of what is none.
fn shown(message: &Message) -> String {
    let Some(Content::Parts(parts)) = &message.content else {
        return message.text().into_owned();
    };
    let shown = parts.iter().map(|part| match part {
        Part::Image(_) => "(an image)".to_owned(),
        Part::File(file) => format!("({})", file.file.filename.as_deref().unwrap_or("a document")),
        other => other.as_text().unwrap_or_default().to_owned(),
    });
    shown.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(conversation: &Conversation) -> Vec<String> {
        let messages = conversation.messages();
        messages
            .iter()
            .map(|message| message.text().into_owned())
            .collect()
    }

    #[test]
    fn a_question_without_an_answer_gives_way_to_the_next() {
        let mut talk = Conversation::new(Some("Be brief".to_owned()));
        talk.ask(Message::user("one"));
        talk.ask(Message::user("two"));
        talk.answered("2".to_owned());
        talk.ask(Message::user("three"));
        assert_eq!(told(&talk), ["Be brief", "two", "2", "three"]);
    }

    #[test]
    fn again_is_the_last_question_without_its_answer_which_stays_until_there_is_another() {
        let mut talk = Conversation::default();
        assert!(!talk.has_question());
        talk.ask(Message::user("one"));
        talk.answered("1".to_owned());
        assert!(talk.has_question());
        assert_eq!(talk.request().messages.len(), 1);
        assert_eq!(told(&talk), ["one", "1"]);
        talk.answered("I".to_owned());
        assert_eq!(told(&talk), ["one", "I"]);
    }

    #[test]
    fn what_is_saved_is_whole_and_replaces_nothing() {
        let folder = std::env::temp_dir().join(format!("llmpool-talk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut talk = Conversation::new(Some("Be brief".to_owned()));
        talk.ask(Message::user(vec![
            Part::text("What is this?"),
            Part::image("data:,"),
        ]));
        talk.answered("A *star*.".to_owned());
        let (markdown, json) = (folder.join("talk.md"), folder.join("talk.json"));
        talk.save(&markdown, "p/m").unwrap();
        talk.save(&json, "p/m").unwrap();
        assert_eq!(
            std::fs::read_to_string(&markdown).unwrap(),
            "## Instructions\n\nBe brief\n\n## Question\n\nWhat is this?\n\n(an image)\n\n## Answer\n\nA *star*.\n"
        );
        let saved: ChatRequest = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        assert_eq!(saved.messages, talk.messages());
        assert_eq!(saved.model.as_deref(), Some("p/m"));
        assert_eq!(
            talk.save(&json, "p/m").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
