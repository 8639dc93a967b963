//! Sends one request. The provider file is the first argument, by default `provider.json`.

use llmpool::chat::ChatRequest;
use llmpool::{LlmInterface, OpenAiCompatible};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), llmpool::Error> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "provider.json".to_owned());
    let model = OpenAiCompatible::load_from_json_file(path)?.model("openai/gpt-4o-mini")?;
    let answer = model.chat(&ChatRequest::user("Hello")).await?;
    println!("{}", answer.text());
    if let Some(tokens) = answer.usage().and_then(|usage| usage.total_tokens()) {
        println!("{tokens} tokens");
    }
    Ok(())
}
