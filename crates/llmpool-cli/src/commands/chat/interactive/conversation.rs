//! The conversation of an interactive chat, which can be saved as JSON or as Markdown.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use llmpool::chat::{ChatRequest, Content, Message, Part, Role};
use serde_json::json;

/// An optional system prompt, and the prompts of the user with their answers.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    system: Option<String>,
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    prompt: Message,
    /// The answer to the prompt. `None` if no answer has arrived yet, or if the answer ended before any text
    /// arrived.
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

    /// Adds a prompt. If the previous prompt was never answered, the new prompt replaces it, because many
    /// models reject two user messages in a row.
    pub(super) fn push_prompt(&mut self, prompt: Message) {
        self.turns.pop_if(|last| last.answer.is_none());
        self.turns.push(Turn { prompt, answer: None });
    }

    /// Returns whether the conversation contains a prompt.
    pub(super) fn has_prompt(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Sets the answer to the last prompt. Replaces an earlier answer to the same prompt.
    pub(super) fn set_answer(&mut self, answer: String) {
        if let Some(last) = self.turns.last_mut() {
            last.answer = Some(answer);
        }
    }

    /// Returns a request with all messages up to and including the last prompt. If the last prompt already
    /// has an answer, the answer is left out, so that the model answers the prompt again.
    pub(super) fn request(&self) -> ChatRequest {
        let mut messages = self.messages();
        messages.pop_if(|last| last.role == Some(Role::Assistant));
        ChatRequest::new(messages)
    }

    fn messages(&self) -> Vec<Message> {
        let system = self.system.as_deref().map(Message::system);
        let turns = self.turns.iter().flat_map(|turn| {
            let answer = turn.answer.as_deref().map(Message::assistant);
            [Some(turn.prompt.clone()), answer].into_iter().flatten()
        });
        system.into_iter().chain(turns).collect()
    }

    /// Writes the conversation to a new file: as a Chat Completions request if the file name ends in `.json`,
    /// else as Markdown.
    ///
    /// # Errors
    ///
    /// Fails if the file already exists or cannot be written.
    pub(super) fn save(&self, path: &Path, model: &str) -> io::Result<()> {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let text = match is_json {
            true => {
                serde_json::to_string_pretty(&json!({"model": model, "messages": self.messages()}))? + "\n"
            }
            false => self.to_markdown(),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())
    }

    fn to_markdown(&self) -> String {
        let mut text = String::new();
        for message in self.messages() {
            let heading = match message.role.as_ref().map(|role| role.as_str()) {
                Some("system") => "System",
                Some("assistant") => "Answer",
                _ => "Prompt",
            };
            text += &format!("## {heading}\n\n{}\n\n", message_text(&message).trim());
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }
}

/// Returns the text of a message. Images and files in the message are replaced by placeholders such as
/// `(image)`.
fn message_text(message: &Message) -> String {
    let Some(Content::Parts(parts)) = &message.content else {
        return message.text().into_owned();
    };
    let texts = parts.iter().map(|part| match part {
        Part::Image(_) => "(image)".to_owned(),
        Part::File(file) => format!("({})", file.file.filename.as_deref().unwrap_or("document")),
        other => other.as_text().unwrap_or_default().to_owned(),
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(conversation: &Conversation) -> Vec<String> {
        let messages = conversation.messages();
        messages
            .iter()
            .map(|message| message.text().into_owned())
            .collect()
    }

    #[test]
    fn prompt_without_answer_is_replaced_by_the_next() {
        let mut conversation = Conversation::new(Some("Be brief".to_owned()));
        conversation.push_prompt(Message::user("one"));
        conversation.push_prompt(Message::user("two"));
        conversation.set_answer("2".to_owned());
        conversation.push_prompt(Message::user("three"));
        assert_eq!(texts(&conversation), ["Be brief", "two", "2", "three"]);
    }

    #[test]
    fn retry_keeps_the_answer_until_it_is_replaced() {
        let mut conversation = Conversation::default();
        assert!(!conversation.has_prompt());
        conversation.push_prompt(Message::user("one"));
        conversation.set_answer("1".to_owned());
        assert!(conversation.has_prompt());
        assert_eq!(conversation.request().messages.len(), 1);
        assert_eq!(texts(&conversation), ["one", "1"]);
        conversation.set_answer("I".to_owned());
        assert_eq!(texts(&conversation), ["one", "I"]);
    }

    #[test]
    fn save_writes_everything_and_never_overwrites() {
        let directory = std::env::temp_dir().join(format!("llmpool-chat-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut conversation = Conversation::new(Some("Be brief".to_owned()));
        conversation.push_prompt(Message::user(vec![
            Part::text("What is this?"),
            Part::image("data:,"),
        ]));
        conversation.set_answer("A *star*.".to_owned());
        let (markdown, json) = (directory.join("chat.md"), directory.join("chat.json"));
        conversation.save(&markdown, "p/m").unwrap();
        conversation.save(&json, "p/m").unwrap();
        assert_eq!(
            std::fs::read_to_string(&markdown).unwrap(),
            "## System\n\nBe brief\n\n## Prompt\n\nWhat is this?\n\n(image)\n\n## Answer\n\nA *star*.\n"
        );
        let saved: ChatRequest = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        assert_eq!(saved.messages, conversation.messages());
        assert_eq!(saved.model.as_deref(), Some("p/m"));
        assert_eq!(
            conversation.save(&json, "p/m").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
