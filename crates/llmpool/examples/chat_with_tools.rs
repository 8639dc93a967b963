//! Lets the model of a chat call tools, several at the same time, and prints the conversation.

use llmpool::chat::Message;
use llmpool::function::{ChatAnswer, FunctionError};
use llmpool::{LlmInterface, Providers, llm_chat, tool};

/// Returns the weather in a city.
#[tool(timeout = 10)]
async fn weather(
    /// The name of the city in English.
    city: &str,
) -> String {
    format!("20 °C in {city}")
}

/// You help with trips. Ask for the weather before you advise.
#[llm_chat(tools = [weather], rounds = 4)]
async fn guide(llm: &dyn LlmInterface, history: &[Message], text: &str) -> Result<ChatAnswer, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let answer = guide(&model, &[], "Paris or Rome?").await?;
    for message in &answer.history {
        println!("{:?}: {}", message.role, message.text());
    }
    Ok(())
}
