//! `llmpool chat` in a terminal: questions and answers in turn, until there is nothing more to say.
//!
//! Ctrl-C ends an answer and never the talk. Whatever fails is told, and the talk goes on with what was said before.

mod command;
mod conversation;
mod editor;
mod hush;
mod paste;
mod used;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::{CallReport, LlmInterface, OpenAiCompatible, Providers};

use self::command::Command;
use self::conversation::Conversation;
use self::editor::{Editor, Input};
use self::hush::Hush;
use self::used::Used;
use super::answer::{self, Broken};
use super::attachment::{self, Attachment, Unusable};
use super::page::Page;
use super::{Warn, attachments, choose, providers};
use crate::cli::Chat;
use crate::commands::code;
use crate::commands::state::Remembered;
use crate::terminal::{Look, Screen};
use crate::{exit, say};

struct Talk {
    providers: Providers,
    model: OpenAiCompatible,
    conversation: Conversation,
    /// What goes with the next question.
    attachments: Vec<Attachment>,
    used: Used,
    kept: Remembered,
}

/// Whether the talk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    On,
    Over,
}

pub(crate) async fn run(chat: Chat) -> ExitCode {
    code(begin(chat).await)
}

async fn begin(chat: Chat) -> Result<(), ExitCode> {
    let (_simulator, providers) = providers(&chat, Warn::No).await?;
    let kept = Remembered::load(&chat.state, &providers)?;
    let talk = Talk {
        model: first_model(&providers, chat.model())?,
        conversation: Conversation::new(chat.system),
        attachments: attachments(chat.files).await?,
        used: Used::default(),
        kept,
        providers,
    };
    talk.greet();
    talk.go_on().await
}

/// The one that was named, else the first there is: another is a word away.
fn first_model(providers: &Providers, named: Option<&str>) -> Result<OpenAiCompatible, ExitCode> {
    let first = providers.models().next().filter(|_| named.is_none());
    first.map_or_else(|| choose(providers, named), |first| Ok(first.clone()))
}

impl Talk {
    fn greet(&self) {
        say::note(format!(
            "{} answers; /help for help, Ctrl-D ends",
            self.model.id()
        ));
        for attachment in &self.attachments {
            say::note(format!("{} goes with the first question", attachment.told()));
        }
    }

    async fn go_on(mut self) -> Result<(), ExitCode> {
        let mut editor = Editor::new(
            self.providers
                .models()
                .map(|model| model.id().to_owned())
                .collect(),
        );
        loop {
            let (back, input) = editor.read().await?;
            editor = back;
            let then = match input {
                Input::Said(text) => self.hear(text).await?,
                Input::Nothing => Then::On,
                Input::Interrupted => {
                    say::hint("Ctrl-D or /quit ends the talk");
                    Then::On
                }
                Input::Over => Then::Over,
            };
            if then == Then::Over {
                return Ok(());
            }
        }
    }

    async fn hear(&mut self, text: String) -> Result<Then, ExitCode> {
        match Command::read(&text) {
            None => {
                let attachments = std::mem::take(&mut self.attachments);
                self.conversation
                    .ask(attachment::message(text.trim(), &attachments));
                self.answer().await?;
            }
            Some(Ok(command)) => return self.obey(command).await,
            Some(Err(unknown)) => {
                say::error(format!("there is no {unknown}"));
                say::about_the_error(
                    "hint:",
                    "/help tells what there is; a blank in front sends a line as it is",
                );
            }
        }
        Ok(Then::On)
    }

    async fn obey(&mut self, command: Command<'_>) -> Result<Then, ExitCode> {
        match command {
            Command::Help => say::under(command::help(Screen::stderr())),
            Command::Quit => return Ok(Then::Over),
            Command::Usage => say::under(self.used.told(self.model.context_window())),
            Command::Model(None) => self.show_models(),
            Command::Model(Some(id)) => match self.providers.model(id) {
                Ok(model) => {
                    say::under(format!("{} answers from now on", model.id()));
                    self.model = model;
                }
                Err(error) => exit::tell(&error),
            },
            Command::System(None) => match self.conversation.system() {
                Some(system) => say::under(system),
                None => say::under("there are no instructions; /system TEXT gives some"),
            },
            Command::System(Some(text)) => {
                let given = Some(text).filter(|text| *text != "-");
                say::under(match given {
                    Some(_) => "these instructions hold from the next question on",
                    None => "there are no instructions any more",
                });
                self.conversation.set_system(given.map(str::to_owned));
            }
            Command::File(path) => self.attach(PathBuf::from(path)).await,
            Command::Save(path) => self.save(Path::new(path)),
            Command::Clear => {
                self.conversation.clear();
                say::under("what was said is forgotten; the instructions hold");
            }
            Command::Retry => match self.conversation.has_question() {
                true => self.answer().await?,
                false => say::under("nothing was asked yet"),
            },
        }
        Ok(Then::On)
    }

    /// Asks the model what was asked last.
    async fn answer(&mut self) -> Result<(), ExitCode> {
        let request = self.conversation.request();
        let mut heard = String::new();
        let _hush = Hush::begin();
        let mut page = Page::begin(self.model.id());
        let done = tokio::select! {
            done = answer::stream(&self.model, &request, &mut page, &mut heard) => Some(done),
            _ = tokio::signal::ctrl_c() => None,
        };
        page.end()?;
        let is_empty = heard.trim().is_empty();
        if !is_empty {
            self.conversation.answered(heard);
        }
        match done {
            Some(Ok(report)) => self.note(&report, is_empty),
            Some(Err(Broken::Page(code))) => return Err(code),
            Some(Err(Broken::Call(error))) => {
                exit::tell(&error);
                say::about_the_error("hint:", kept(is_empty));
                self.used.note_broken(is_empty);
            }
            None => {
                say::under(format!("stopped; {}", kept(is_empty)));
                self.used.note_broken(is_empty);
            }
        }
        // Where that cannot be, it was told, and what was said is not lost for it.
        let _ = self.kept.save(&self.providers);
        Ok(())
    }

    fn note(&mut self, report: &CallReport, is_empty: bool) {
        self.used.note(report);
        say::note(answer::figures(report));
        if is_empty {
            say::under("the answer was empty; /retry asks again");
        }
    }

    fn show_models(&self) {
        let paint = say::paint();
        if self.providers.accepts_any_model() {
            say::under(format!("{} answers; /model NAME takes any name", self.model.id()));
        }
        for model in self.providers.models() {
            let (mark, look) = match model.id() == self.model.id() {
                true => ("*", Look::Strong),
                false => (" ", Look::Plain),
            };
            say::under(format!("{mark} {}", paint.paint(look, model.id())));
        }
    }

    async fn attach(&mut self, path: PathBuf) {
        let read = tokio::task::spawn_blocking(move || Attachment::read(&path)).await;
        match read.unwrap_or_else(|_| Err(Unusable::default())) {
            Ok(attachment) => {
                say::under(format!("{} goes with the next question", attachment.told()));
                self.attachments.push(attachment);
            }
            Err(Unusable { problem, hint }) => {
                say::error(problem);
                say::about_the_error("hint:", hint);
            }
        }
    }

    fn save(&self, path: &Path) {
        let shown = path.display();
        match self.conversation.save(path, self.model.id()) {
            Ok(()) => say::under(format!("saved in {shown}")),
            Err(error) => {
                say::error(format!("{shown} cannot be written: {error}"));
                say::about_the_error(
                    "hint:",
                    "give another name, as in /save talk.md or /save talk.json",
                );
            }
        }
    }
}

/// What is kept of a question whose answer broke off.
fn kept(is_empty: bool) -> &'static str {
    match is_empty {
        true => "/retry asks again",
        false => "what came is kept, and /retry asks again",
    }
}
