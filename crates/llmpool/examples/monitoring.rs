//! Shows what a call did: its attempts, keys, times and tokens, and what it left of the limits.

use llmpool::chat::Usage;
use llmpool::function::FunctionError;
use llmpool::{FailureKind, LlmInterface, OpenAiCompatible, llm_function};

/// Name the capital of the country. Write only the name.
#[llm_function(temperature = 0.0)]
async fn capital(llm: &dyn LlmInterface, country: &str) -> Result<String, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let path = std::env::args().nth(1).unwrap_or("provider.json".into());
    let model = OpenAiCompatible::load_from_json_file(path)?.model("openai/gpt-4o-mini")?;
    let reply = capital(&model, "France").report().await?;
    for attempt in reply.attempts() {
        let outcome = attempt.failure.map_or("answer", FailureKind::as_str);
        println!("{outcome} after {:.1?} with {}", attempt.duration, attempt.key);
    }
    let tokens = reply.usage.as_ref().and_then(Usage::total_tokens);
    let sources: Vec<_> = reply.calls.iter().map(|call| call.usage_source).collect();
    println!("{tokens:?} tokens, according to {sources:?}");
    for key in model.key_status() {
        println!("{}: {}, {} in flight", key.label, key.state, key.in_flight);
    }
    println!("{:?}", model.rate_limit_status());
    Ok(())
}
