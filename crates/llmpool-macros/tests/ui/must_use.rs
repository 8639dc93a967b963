#![deny(unused_must_use)]

use llmpool::function::{ChatAnswer, FunctionError};
use llmpool::{LlmInterface, chat::Message, llm_chat, llm_function};

/// Sort.
#[llm_function]
async fn sort(llm: &dyn LlmInterface, mail: &str) -> Result<String, FunctionError>;

/// You help.
#[llm_chat]
async fn help(
    llm: &dyn LlmInterface,
    history: &[Message],
    message: &str,
) -> Result<ChatAnswer, FunctionError>;

fn unused(llm: &dyn LlmInterface) {
    sort(llm, "mail");
    help(llm, &[], "hello");
}

fn main() {}
