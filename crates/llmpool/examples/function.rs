//! Sorts a support mail with a function that the model answers.

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::{LlmInterface, OpenAiCompatible, llm_function};
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    /// What the customer wants, in one sentence.
    summary: String,
    is_urgent: bool,
}

/// Sort this support mail. Urgent means money or safety.
#[llm_function]
async fn triage(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("provider.json".into());
    let model = OpenAiCompatible::load_from_json_file(path)?.model("openai/gpt-4o-mini")?;
    let ticket = triage(&model, "Where is my refund of 40 euros?").await?;
    println!("{} (urgent: {})", ticket.summary, ticket.is_urgent);
    Ok(())
}
