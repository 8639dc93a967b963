//! `llmpool chat`: one question, one answer. Many of them are a batch, and with nothing asked it is a talk.

mod answer;
mod attachment;
mod page;
pub(super) mod talk;

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use llmpool::chat::{ChatRequest, Message};
use llmpool::{ChatResponse, LlmInterface, OpenAiCompatible, Providers};
use llmpool_simulator::Simulator;
use serde::Serialize;

use self::answer::Broken;
use self::attachment::{Attachment, Unusable};
use self::page::Page;
use super::state::Remembered;
use super::{batch, code, print};
use crate::cli::Chat;
use crate::settings::{self, Found};
use crate::{exit, say};

/// The most that is read from stdin, in bytes.
const LONGEST_INPUT: u64 = 32 << 20;

pub(crate) async fn run(chat: Chat) -> ExitCode {
    code(ask(chat).await)
}

async fn ask(mut chat: Chat) -> Result<(), ExitCode> {
    if let Some(source) = chat.batch.jsonl.take() {
        return batch::run(&chat, source).await;
    }
    let attachments = attachments(std::mem::take(&mut chat.files)).await?;
    let prompt = prompt(&chat.prompt, !attachments.is_empty()).await?;
    let request = request(&chat, attachment::message(&prompt, &attachments));
    let (_simulator, providers) = providers(&chat, Warn::No).await?;
    let model = choose(&providers, chat.model())?;
    if chat.dry_run {
        return print_json(&ChatRequest {
            model: Some(model.model_name().to_owned()),
            ..request
        });
    }
    let kept = Remembered::load(&chat.state, &providers)?;
    kept.during(&providers, answer(&model, &chat, &request)).await?
}

/// Whether this is a talk: somebody is there who types and reads, and has not said what to ask.
pub(crate) fn is_talk(chat: &Chat) -> bool {
    let asks_once =
        !chat.prompt.is_empty() || chat.batch.jsonl.is_some() || chat.json || chat.no_stream || chat.dry_run;
    !asks_once && io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Reads files away from the thread that listens for Ctrl-C.
async fn attachments(files: Vec<PathBuf>) -> Result<Vec<Attachment>, ExitCode> {
    let read = move || {
        files
            .iter()
            .map(|file| Attachment::read(file))
            .collect::<Result<_, _>>()
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.unwrap_or_else(|_| Err(Unusable::default()));
    read.map_err(|Unusable { problem, hint }| exit::hinting(exit::USAGE, &problem, hint))
}

/// Whether what deserves a look in the provider file is told: once before many calls, and not with every question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warn {
    Yes,
    No,
}

/// The providers, and with nothing configured the simulator that stands for them.
pub(super) async fn providers(chat: &Chat, warn: Warn) -> Result<(Option<Simulator>, Providers), ExitCode> {
    let found = settings::find(&chat.source)?;
    let found = if warn == Warn::Yes { found.warn() } else { found };
    match found {
        Found::File { providers, .. } | Found::Environment(providers) => Ok((None, providers)),
        Found::Nothing if chat.model().is_some() => Err(settings::nothing()),
        Found::Nothing => {
            say::note("nothing is configured, so the built-in simulator answers");
            say::hint(
                "for a real model set OPENAI_API_KEY and say -m MODEL, or let llmpool config init write a provider.json",
            );
            let (simulator, providers) = settings::simulated()
                .await
                .map_err(|error| exit::failed(&error))?;
            Ok((Some(simulator), providers))
        }
    }
}

/// The arguments joined by blanks, then what comes on stdin; of a terminal that is asked for only where there is nothing else.
async fn prompt(arguments: &[String], has_files: bool) -> Result<String, ExitCode> {
    let typed: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| *argument != "-")
        .collect();
    let mut parts = vec![typed.join(" ")];
    let is_typed = io::stdin().is_terminal();
    let is_asked = !typed.is_empty() || has_files;
    if is_typed && !is_asked {
        say::note("type the prompt; Ctrl-D at the beginning of a line ends it");
    }
    if !is_typed || !is_asked || typed.len() < arguments.len() {
        // On a thread of its own, so that Ctrl-C is heard while it waits.
        let piped = tokio::task::spawn_blocking(piped).await.map_err(io::Error::other);
        match piped.flatten() {
            Ok(piped) => parts.push(piped.trim_end().to_owned()),
            Err(error) => {
                return Err(exit::with(exit::USAGE, &format!("stdin cannot be used: {error}")));
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() && !has_files {
        return Err(exit::hinting(
            exit::USAGE,
            "there is no prompt",
            "give one as an argument or on stdin, or run llmpool chat in a terminal",
        ));
    }
    Ok(parts.join("\n\n"))
}

fn piped() -> io::Result<String> {
    let mut text = Vec::new();
    io::stdin().take(LONGEST_INPUT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_INPUT {
        let limit = LONGEST_INPUT >> 20;
        return Err(io::Error::other(format!(
            "it is longer than {limit} MiB, more than any provider takes; send less of it"
        )));
    }
    String::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

fn request(chat: &Chat, question: Message) -> ChatRequest {
    let system = chat.system.as_deref().map(Message::system);
    ChatRequest::new(system.into_iter().chain([question]).collect::<Vec<_>>())
}

/// The model that was named, or the only one there is.
pub(super) fn choose(providers: &Providers, named: Option<&str>) -> Result<OpenAiCompatible, ExitCode> {
    if let Some(named) = named {
        return providers.model(named).map_err(|error| exit::of(&error));
    }
    let models: Vec<_> = providers.models().collect();
    match models.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(exit::hinting(
            exit::USAGE,
            "no model is named",
            "say which with -m, as in -m gpt-4o-mini",
        )),
        several => {
            let ids: Vec<_> = several.iter().map(|model| model.id()).collect();
            Err(exit::hinting(
                exit::USAGE,
                &format!("no model is named, and there are {}", ids.len()),
                &format!("say which with -m: {}", ids.join(", ")),
            ))
        }
    }
}

async fn answer(model: &OpenAiCompatible, chat: &Chat, request: &ChatRequest) -> Result<(), ExitCode> {
    let report = if chat.no_stream || chat.json {
        let response = match chat.no_stream {
            true => answer::whole(model, request).await,
            false => assembled(model, request).await,
        };
        let response = response.map_err(|error| exit::of(&error))?;
        show(&response, chat.json)?;
        response.report
    } else {
        let mut page = Page::begin(model.id());
        let done = answer::stream(model, request, &mut page, &mut String::new()).await;
        // A line that was begun is ended before anything is said of how it ended.
        page.end()?;
        done.map_err(Broken::told)?
    };
    say::note(answer::summary(&report));
    Ok(())
}

async fn assembled(model: &OpenAiCompatible, request: &ChatRequest) -> Result<ChatResponse, llmpool::Error> {
    let stream = model.chat_stream(request).await?;
    stream.assemble().await
}

fn show(response: &ChatResponse, json: bool) -> Result<(), ExitCode> {
    if !json {
        let mut page = Page::begin(&response.report.target);
        page.text(response.text().trim_end())?;
        return page.end();
    }
    print_json(&response.completion)
}

fn print_json(value: &impl Serialize) -> Result<(), ExitCode> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => Err(exit::failed(&format!("it cannot be written as JSON: {error}"))),
    }
}
