//! The interactive chat: reads prompts and prints answers until the user quits.
//!
//! Ctrl-C stops the current answer but does not end the chat. After a failed call, the chat continues with
//! the conversation so far.

mod chat_usage;
mod completion;
mod conversation;
mod echo_guard;
mod editor;
mod paste;
mod slash_command;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::{LlmInterface, OpenAiCompatible, Providers};

use self::chat_usage::ChatUsage;
use self::conversation::Conversation;
use self::echo_guard::EchoGuard;
use self::editor::{Editor, EditorInput};
use self::slash_command::SlashCommand;
use super::answer_end;
use super::answer_printer::AnswerPrinter;
use super::answer_stream::{self, AnswerError, PrintedAnswer};
use super::attachment::{self, Attachment};
use crate::blocking::run_blocking;
use crate::cli::ChatArgs;
use crate::context::state_file::StateFile;
use crate::context::{ProviderSource, select_model};
use crate::output;
use crate::problem::{self, Problem};
use crate::terminal::{Screen, Style};

/// The state of an interactive chat.
struct Session {
    providers: Providers,
    model: OpenAiCompatible,
    conversation: Conversation,
    /// Files that are sent with the next prompt.
    attachments: Vec<Attachment>,
    usage: ChatUsage,
    state_file: StateFile,
}

pub(crate) async fn run(args: ChatArgs) -> Result<(), ExitCode> {
    let source = ProviderSource::load(&args.config)?;
    let (_simulator, providers) = source.providers_or_simulator(args.model()).await?;
    let state_file = StateFile::load(&args.state, &providers)?;
    let session = Session {
        model: initial_model(&providers, args.model())?,
        conversation: Conversation::new(args.system),
        attachments: attachment::load_all(args.files).await?,
        usage: ChatUsage::default(),
        state_file,
        providers,
    };
    session.print_greeting();
    session.read_prompts().await
}

/// Returns the requested model. If none was requested, returns the first configured model; the user can
/// switch models with `/model`.
fn initial_model(providers: &Providers, requested: Option<&str>) -> Result<OpenAiCompatible, ExitCode> {
    let first = providers.models().next().filter(|_| requested.is_none());
    first.map_or_else(|| select_model(providers, requested), |first| Ok(first.clone()))
}

impl Session {
    fn print_greeting(&self) {
        output::note(format!(
            "chatting with {}; /help for help, Ctrl-D to quit",
            self.model.id()
        ));
        for attachment in &self.attachments {
            output::note(format!(
                "attached to the first prompt: {}",
                attachment.description()
            ));
        }
    }

    async fn read_prompts(mut self) -> Result<(), ExitCode> {
        let models = self.providers.models();
        let mut editor = Editor::new(models.map(|model| model.id().to_owned()).collect());
        loop {
            let (returned, input) = editor.read().await?;
            editor = returned;
            let flow = match input {
                EditorInput::Text(text) => self.handle_text(text).await?,
                EditorInput::Empty => ControlFlow::Continue(()),
                EditorInput::Interrupted => {
                    output::hint("press Ctrl-D or type /quit to quit");
                    ControlFlow::Continue(())
                }
                EditorInput::End => ControlFlow::Break(()),
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    async fn handle_text(&mut self, text: String) -> Result<ControlFlow<()>, ExitCode> {
        match SlashCommand::parse(&text) {
            None => {
                let attachments = std::mem::take(&mut self.attachments);
                self.conversation
                    .push_prompt(attachment::user_message(text.trim(), &attachments));
                self.request_answer().await?;
            }
            Some(Ok(command)) => return self.execute(command).await,
            Some(Err(problem)) => problem.print(),
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn execute(&mut self, command: SlashCommand<'_>) -> Result<ControlFlow<()>, ExitCode> {
        match command {
            SlashCommand::Help => output::line(slash_command::help(Screen::stderr())),
            SlashCommand::Quit => return Ok(ControlFlow::Break(())),
            SlashCommand::Usage => output::line(self.usage.summary(self.model.context_window())),
            SlashCommand::Model(None) => self.print_models(),
            SlashCommand::Model(Some(id)) => match self.providers.model(id) {
                Ok(model) => {
                    output::line(format!("switched to {}", model.id()));
                    self.model = model;
                }
                Err(error) => problem::print(&error),
            },
            SlashCommand::System(None) => {
                output::line(
                    self.conversation
                        .system()
                        .unwrap_or("no system prompt is set; /system TEXT sets one"),
                );
            }
            SlashCommand::System(Some(text)) => {
                let system = Some(text).filter(|text| *text != "-");
                output::line(match system {
                    Some(_) => "system prompt set; it applies from the next prompt on",
                    None => "system prompt removed",
                });
                self.conversation.set_system(system.map(str::to_owned));
            }
            SlashCommand::File(path) => self.attach(PathBuf::from(path)).await,
            SlashCommand::Save(path) => self.save(Path::new(path)),
            SlashCommand::Clear => {
                self.conversation.clear();
                output::line("conversation cleared; the system prompt is kept");
            }
            SlashCommand::Retry => match self.conversation.has_prompt() {
                true => self.request_answer().await?,
                false => output::line("there is no prompt to retry"),
            },
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Sends the conversation, and prints the answer to its last prompt. If the call fails, prints the error
    /// and returns `Ok`, so that the chat continues.
    ///
    /// # Errors
    ///
    /// Returns the exit code, which ends the chat, if writing to stdout fails.
    async fn request_answer(&mut self) -> Result<(), ExitCode> {
        let request = self.conversation.request();
        let mut answer = String::new();
        let _echo_guard = EchoGuard::new();
        let mut printer = AnswerPrinter::start(self.model.id());
        let result = tokio::select! {
            result = answer_stream::print(&self.model, &request, &mut printer, &mut answer) => Some(result),
            _ = tokio::signal::ctrl_c() => None,
        };
        printer.finish()?;
        let is_empty = answer.trim().is_empty();
        if !is_empty {
            self.conversation.set_answer(answer);
        }
        let is_incomplete = !matches!(result, Some(Ok(_)));
        match result {
            Some(Ok(answer)) => self.record(&answer, is_empty),
            Some(Err(AnswerError::Output(code))) => return Err(code),
            Some(Err(AnswerError::Call(error))) => {
                problem::print(&error);
                output::error_detail("hint:", after_partial_answer(is_empty));
            }
            None => output::line(format!("stopped; {}", after_partial_answer(is_empty))),
        }
        if is_incomplete && !is_empty {
            self.usage.add_incomplete();
        }
        // A failed save is printed and does not end the chat.
        let _ = self.state_file.save(&self.providers);
        Ok(())
    }

    fn record(&mut self, answer: &PrintedAnswer, is_empty: bool) {
        self.usage.add(&answer.report);
        output::note(answer_stream::statistics(&answer.report));
        if let Some(warning) = answer_end::cut(is_empty, answer.finish_reason.as_ref()) {
            output::warning(warning);
        }
        if is_empty {
            output::line("the answer is empty; /retry sends the prompt again");
        }
    }

    fn print_models(&self) {
        let painter = output::painter();
        if self.providers.accepts_any_model() {
            output::line(format!(
                "current model: {}; /model NAME accepts any name",
                self.model.id()
            ));
        }
        for model in self.providers.models() {
            let (mark, style) = match model.id() == self.model.id() {
                true => ("*", Style::Strong),
                false => (" ", Style::Plain),
            };
            output::line(format!("{mark} {}", painter.paint(style, model.id())));
        }
    }

    async fn attach(&mut self, path: PathBuf) {
        match run_blocking(move || Attachment::load(&path)).await {
            Ok(attachment) => {
                output::line(format!(
                    "attached to the next prompt: {}",
                    attachment.description()
                ));
                self.attachments.push(attachment);
            }
            Err(problem) => problem.print(),
        }
    }

    fn save(&self, path: &Path) {
        let shown = path.display();
        match self.conversation.save(path, self.model.id()) {
            Ok(()) => output::line(format!("saved to {shown}")),
            Err(error) => Problem::new(format!("cannot write {shown}: {error}"))
                .with_hint("pass another file name, for example /save chat.md or /save chat.json")
                .print(),
        }
    }
}

/// Returns a message for the user after an answer that ended early: whether the answer is kept, and how to
/// retry.
fn after_partial_answer(is_empty: bool) -> &'static str {
    match is_empty {
        true => "/retry sends the prompt again",
        false => "the partial answer is kept; /retry sends the prompt again",
    }
}
