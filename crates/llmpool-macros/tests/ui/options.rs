#![allow(unused_imports)]

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::{LlmInterface, llm_function};

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    summary: String,
}

/// Sort.
#[llm_function(repair = 2)]
async fn misspelt(llm: &dyn LlmInterface) -> Result<Ticket, FunctionError>;

/// Sort.
#[llm_function(repairs = "2", temperature = hot, repairs = 3)]
async fn wrong_values(llm: &dyn LlmInterface) -> Result<Ticket, FunctionError>;

fn main() {}
