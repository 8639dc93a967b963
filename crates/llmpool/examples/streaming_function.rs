//! Prints the items of a list as they arrive, and then the size of the list and the tokens.

use llmpool::chat::Usage;
use llmpool::function::{FunctionError, StreamedPart};
use llmpool::{LlmInterface, Providers, llm_function};

/// Name three rivers of the country.
#[llm_function]
async fn rivers(llm: &dyn LlmInterface, country: &str) -> Result<Vec<String>, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let mut parts = rivers(&model, "France").stream();
    while let Some(part) = parts.next().await {
        match part? {
            StreamedPart::Field(field) => println!("{}: {}", field.path(), field.json()),
            StreamedPart::Value(reply) => {
                let tokens = reply.usage.as_ref().and_then(Usage::total_tokens);
                println!("{} rivers, {tokens:?} tokens", reply.value.len());
            }
            _ => {}
        }
    }
    Ok(())
}
