//! `llmpool chat`: sends one prompt and prints the answer. In a terminal and without a prompt, starts an
//! interactive chat instead.

mod answer_end;
mod answer_printer;
mod answer_stream;
mod attachment;
pub(super) mod interactive;

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use llmpool::chat::{ChatRequest, FinishReason, Message};
use llmpool::{ChatResponse, LlmInterface, OpenAiCompatible};
use serde::Serialize;

use self::answer_printer::AnswerPrinter;
use self::answer_stream::AnswerError;
use crate::blocking::run_blocking;
use crate::cli::ChatArgs;
use crate::context::state_file::StateFile;
use crate::context::{ProviderSource, select_model};
use crate::problem::{self, Problem};
use crate::{exit, output};

/// Maximum length of the prompt on stdin, in bytes. Longer input is an error.
const MAX_STDIN_BYTES: u64 = 32 << 20;

pub(crate) async fn run(mut args: ChatArgs) -> Result<(), ExitCode> {
    let attachments = attachment::load_all(std::mem::take(&mut args.files)).await?;
    let prompt = read_prompt(&args.prompt, !attachments.is_empty()).await?;
    let request = request(&args, attachment::user_message(&prompt, &attachments));
    let source = ProviderSource::load(&args.config)?;
    let (_simulator, providers) = source.providers_or_simulator(args.model()).await?;
    let model = select_model(&providers, args.model())?;
    if args.dry_run {
        return print_json(&ChatRequest {
            model: Some(model.model_name().to_owned()),
            ..request
        });
    }
    let state = StateFile::load(&args.state, &providers)?;
    state
        .save_during(&providers, print_answer(&model, &args, &request))
        .await?
}

/// Returns the prompt: the arguments joined by spaces, followed by the contents of stdin. If stdin is a
/// terminal, it is read only if `-` is an argument, or if there are neither arguments nor attachments.
async fn read_prompt(arguments: &[String], has_attachments: bool) -> Result<String, ExitCode> {
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| *argument != "-")
        .collect();
    let mut parts = vec![words.join(" ")];
    let is_terminal = io::stdin().is_terminal();
    let has_prompt = !words.is_empty() || has_attachments;
    if is_terminal && !has_prompt {
        output::note("type the prompt; Ctrl-D on an empty line ends it");
    }
    if !is_terminal || !has_prompt || words.len() < arguments.len() {
        let stdin = run_blocking(read_stdin).await;
        parts.push(stdin.map_err(|problem| problem.exit(exit::USAGE))?);
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() && !has_attachments {
        let problem = Problem::new("no prompt was given")
            .with_hint("pass a prompt as an argument or on stdin, or run llmpool chat in a terminal");
        return Err(problem.exit(exit::USAGE));
    }
    Ok(parts.join("\n\n"))
}

/// Reads stdin to its end and removes trailing whitespace. Fails if the input is too long or is not UTF-8.
fn read_stdin() -> Result<String, Problem> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(MAX_STDIN_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::new(format!("cannot read stdin: {error}")))?;
    if bytes.len() as u64 > MAX_STDIN_BYTES {
        let limit = MAX_STDIN_BYTES >> 20;
        let message = format!("stdin is longer than {limit} MiB, more than any provider accepts");
        return Err(Problem::new(message).with_hint("shorten the input"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Problem::new("stdin is not UTF-8 text")
            .with_hint("convert the input to UTF-8, or attach an image or a PDF with -f FILE")
    })?;
    Ok(text.trim_end().to_owned())
}

fn request(args: &ChatArgs, prompt: Message) -> ChatRequest {
    let system = args.system.as_deref().map(Message::system);
    ChatRequest::new(system.into_iter().chain([prompt]).collect::<Vec<_>>())
}

async fn print_answer(
    model: &OpenAiCompatible,
    args: &ChatArgs,
    request: &ChatRequest,
) -> Result<(), ExitCode> {
    let report = if args.no_stream || args.json {
        let response = match args.no_stream {
            true => model.chat(request).await,
            false => stream_to_end(model, request).await,
        };
        let response = response.map_err(problem::exit_with)?;
        print_response(&response, args.json)?;
        response.report
    } else {
        let (mut printer, mut text) = (AnswerPrinter::start(model.id()), String::new());
        let result = answer_stream::print(model, request, &mut printer, &mut text).await;
        // Ends the current line before an error is printed.
        printer.finish()?;
        let answer = result.map_err(AnswerError::exit)?;
        warn_of_end(&text, answer.finish_reason.as_ref());
        answer.report
    };
    output::note(answer_stream::summary(&report));
    Ok(())
}

async fn stream_to_end(
    model: &OpenAiCompatible,
    request: &ChatRequest,
) -> Result<ChatResponse, llmpool::Error> {
    let stream = model.chat_stream(request).await?;
    stream.into_response().await
}

fn print_response(response: &ChatResponse, json: bool) -> Result<(), ExitCode> {
    if json {
        return print_json(&response.completion);
    }
    let mut printer = AnswerPrinter::start(&response.report.target);
    let text = response.text();
    let refusal = response
        .completion
        .first()
        .map(|choice| choice.message.refusal_text());
    let printed = match refusal {
        Some(refusal) if text.is_empty() => refusal.into_owned(),
        _ => text,
    };
    printer.print_text(printed.trim_end())?;
    printer.finish()?;
    let first = response.completion.first();
    warn_of_end(&printed, first.and_then(|choice| choice.finish_reason.as_ref()));
    Ok(())
}

fn warn_of_end(text: &str, reason: Option<&FinishReason>) {
    if let Some(warning) = answer_end::warning(text, reason) {
        output::warning(warning);
    }
}

fn print_json(value: &impl Serialize) -> Result<(), ExitCode> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => output::print(&format!("{text}\n")),
        Err(error) => Err(problem::failed(format!(
            "cannot encode the output as JSON: {error}"
        ))),
    }
}
