//! Asks a model of the provider in OPENAI_BASE_URL and OPENAI_API_KEY.

use std::time::Duration;

use llmpool::chat::{ChatRequest, Message};
use llmpool::{CallOptions, LlmInterface, Providers};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), llmpool::Error> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let mut request = ChatRequest::new([
        Message::system("Answer in one sentence."),
        Message::user("Why is the sky blue?"),
    ]);
    request.temperature = Some(0.0);
    request.max_completion_tokens = Some(200);
    let options = CallOptions {
        timeout: Some(Duration::from_secs(30)),
        ..CallOptions::default()
    };
    let answer = model.chat_with(&request, &options).await?;
    println!("{}", answer.text());
    Ok(())
}
