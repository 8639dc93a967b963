//! Asks two models that share one pool of keys, and prints the report of each call.

use std::env;
use std::error::Error;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, LlmInterface, OpenAiCompatible};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let base_url = env::var("OPENAI_BASE_URL").unwrap_or_else(|_| "https://api.openai.com/v1".to_owned());
    let pool = ApiKeyPool::new("openai", env::var("OPENAI_API_KEY")?.split(','))?;
    let small = OpenAiCompatible::new(&pool, "gpt-4o-mini", &base_url)?;
    let large = OpenAiCompatible::new(&pool, "gpt-4o", &base_url)?;
    let request = ChatRequest::user("Hello");
    let (small, large) = tokio::try_join!(small.chat(&request), large.chat(&request))?;
    for answer in [small, large] {
        for attempt in &answer.report.attempts {
            println!("{} with {}", answer.report.target, attempt.key);
        }
        if let Some(tokens) = answer.usage().and_then(|usage| usage.total_tokens()) {
            println!("  {tokens} tokens");
        }
    }
    Ok(())
}
