//! `llmpool chat`: one question, one answer; many of them are a batch.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use llmpool::chat::{ChatRequest, Message};
use llmpool::{
    CallOptions, CallReport, ChatResponse, LlmInterface, OpenAiCompatible, Providers, UsageSource,
};
use llmpool_simulator::Simulator;

use super::{batch, code, print};
use crate::cli::Chat;
use crate::exit;
use crate::settings::{self, Found};

/// The most that is read from stdin, in bytes.
const LONGEST_INPUT: u64 = 32 << 20;

pub(crate) async fn run(chat: Chat) -> ExitCode {
    code(ask(chat).await)
}

async fn ask(mut chat: Chat) -> Result<(), ExitCode> {
    if let Some(source) = chat.batch.jsonl.take() {
        return batch::run(&chat, source).await;
    }
    let prompt = prompt(&chat.prompt).await?;
    let request = request(&chat, prompt);
    let (_simulator, providers) = providers(&chat).await?;
    answer(&choose(&providers, chat.model())?, &chat, &request).await
}

/// The providers, and with nothing configured the simulator that stands for them.
pub(super) async fn providers(chat: &Chat) -> Result<(Option<Simulator>, Providers), ExitCode> {
    match settings::find(&chat.source).map_err(|error| exit::of(&error))? {
        Found::Providers(providers) => Ok((None, providers)),
        Found::Nothing if chat.model().is_some() => Err(exit::with(
            exit::CONFIG,
            "no provider is configured; set OPENAI_API_KEY, or write a provider.json",
        )),
        Found::Nothing => {
            exit::note("nothing is configured, so the built-in simulator answers");
            exit::note(
                "hint: for a real model set OPENAI_API_KEY and say -m MODEL, or write a provider.json",
            );
            let (simulator, providers) = settings::simulated()
                .await
                .map_err(|error| exit::failed(&error))?;
            Ok((Some(simulator), providers))
        }
    }
}

/// The arguments joined by blanks, then what comes on stdin.
async fn prompt(arguments: &[String]) -> Result<String, ExitCode> {
    let typed: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| *argument != "-")
        .collect();
    let mut parts = vec![typed.join(" ")];
    if !io::stdin().is_terminal() || typed.len() < arguments.len() {
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
    if parts.is_empty() {
        return Err(exit::with(
            exit::USAGE,
            "there is no prompt; give one as an argument or on stdin",
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

fn request(chat: &Chat, prompt: String) -> ChatRequest {
    let system = chat.system.as_deref().map(Message::system);
    ChatRequest::new(
        system
            .into_iter()
            .chain([Message::user(prompt)])
            .collect::<Vec<_>>(),
    )
}

/// The model that was named, or the only one there is.
pub(super) fn choose(providers: &Providers, named: Option<&str>) -> Result<OpenAiCompatible, ExitCode> {
    if let Some(named) = named {
        return providers.model(named).map_err(|error| exit::of(&error));
    }
    let models: Vec<_> = providers.models().collect();
    match models.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(exit::with(
            exit::USAGE,
            "say which model with -m, as in -m gpt-4o-mini",
        )),
        several => {
            let ids: Vec<_> = several.iter().map(|model| model.id()).collect();
            Err(exit::with(
                exit::USAGE,
                &format!("say which model with -m: {}", ids.join(", ")),
            ))
        }
    }
}

async fn answer(model: &OpenAiCompatible, chat: &Chat, request: &ChatRequest) -> Result<(), ExitCode> {
    let options = CallOptions::default();
    let report = if chat.no_stream {
        let response = model
            .chat(request, &options)
            .await
            .map_err(|error| exit::of(&error))?;
        show(&response, chat.json)?;
        response.report
    } else if chat.json {
        let stream = model
            .chat_stream(request, &options)
            .await
            .map_err(|error| exit::of(&error))?;
        let response = stream.assemble().await.map_err(|error| exit::of(&error))?;
        show(&response, true)?;
        response.report
    } else {
        stream(model, request, &options).await?
    };
    exit::note(&summary(&report));
    Ok(())
}

fn show(response: &ChatResponse, json: bool) -> Result<(), ExitCode> {
    if !json {
        return print(&format!("{}\n", response.text().trim_end()));
    }
    match serde_json::to_string_pretty(&response.completion) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => Err(exit::failed(&format!(
            "the answer cannot be written as JSON: {error}"
        ))),
    }
}

async fn stream(
    model: &OpenAiCompatible,
    request: &ChatRequest,
    options: &CallOptions,
) -> Result<CallReport, ExitCode> {
    let mut stream = model
        .chat_stream(request, options)
        .await
        .map_err(|error| exit::of(&error))?;
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => print(chunk.text().unwrap_or_default())?,
            Err(error) => {
                print("\n")?;
                return Err(exit::of(&error));
            }
        }
    }
    print("\n")?;
    Ok(stream.report())
}

/// One line about what the call took and used.
fn summary(report: &CallReport) -> String {
    let usage = report.usage.as_ref();
    let count = |tokens: Option<u64>| tokens.map_or("?".to_owned(), |tokens| tokens.to_string());
    let prompt = count(usage.and_then(llmpool::chat::Usage::prompt_tokens));
    let completion = count(usage.and_then(llmpool::chat::Usage::completion_tokens));
    let first = report
        .first_content
        .map(|first| format!(", first content {:.2}s", first.as_secs_f64()));
    let attempts = match report.attempts.len() {
        1 => String::new(),
        several => format!(", {several} attempts"),
    };
    let about = match report.usage_source {
        UsageSource::Estimated => "about ",
        UsageSource::Provider | UsageSource::Unknown => "",
    };
    format!(
        "{}: {about}{prompt} prompt + {completion} completion tokens{}, total {:.2}s{attempts}",
        report.target,
        first.unwrap_or_default(),
        report.elapsed.as_secs_f64(),
    )
}
