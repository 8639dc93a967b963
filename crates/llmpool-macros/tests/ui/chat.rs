#![allow(unused_imports)]

use llmpool::chat::Message;
use llmpool::function::{ChatAnswer, FunctionError};
use llmpool::{LlmInterface, llm_chat, tool, tools};

/// You help.
#[llm_chat]
async fn no_history(llm: &dyn LlmInterface, message: &str) -> Result<ChatAnswer, FunctionError>;

/// You help.
#[llm_chat(check = sane)]
async fn checked(
    llm: &dyn LlmInterface,
    history: &[Message],
    message: &str,
) -> Result<ChatAnswer, FunctionError>;

/// You help.
#[llm_chat]
async fn typed(
    llm: &dyn LlmInterface,
    history: &[Message],
    message: &str,
) -> Result<String, FunctionError>;

/// You help.
#[llm_chat]
async fn wrong_error(
    llm: &dyn LlmInterface,
    history: &[Message],
    message: &str,
) -> Result<ChatAnswer, std::fmt::Error>;

fn main() {}
