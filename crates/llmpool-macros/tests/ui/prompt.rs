#![allow(unused_imports)]

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::{LlmInterface, llm_function};

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    summary: String,
}

#[llm_function]
async fn no_prompt(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket, FunctionError>;

/// Sort the mail of {custommer}, in {language}.
#[llm_function]
async fn unknown_placeholder(
    llm: &dyn LlmInterface,
    customer: &str,
) -> Result<Ticket, FunctionError>;

/// Sort.
#[llm_function]
async fn documented_parameter(
    llm: &dyn LlmInterface,
    /// The mail.
    mail: &str,
) -> Result<Ticket, FunctionError>;

fn main() {}
