#![allow(unused_imports)]

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::{LlmInterface, llm_function};

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    summary: String,
}

struct NoSchema;
struct NoJson;

/// Sort.
#[llm_function]
async fn no_schema(llm: &dyn LlmInterface, mail: &str) -> Result<NoSchema, FunctionError>;

/// Sort.
#[llm_function]
async fn no_json(llm: &dyn LlmInterface, mail: NoJson) -> Result<Ticket, FunctionError>;

/// Sort.
#[llm_function]
async fn wrong_error(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket, std::fmt::Error>;

/// Sort.
#[llm_function]
async fn no_result(llm: &dyn LlmInterface, mail: &str) -> Ticket;

/// Sort.
#[llm_function(check = check_no_schema, examples = samples)]
async fn no_schema_with_options(
    llm: &dyn LlmInterface,
    mail: &str,
) -> Result<Vec<NoSchema>, FunctionError>;

fn check_no_schema(_: &Vec<NoSchema>) -> Result<(), String> {
    Ok(())
}

fn samples() -> [(&'static str, u8); 1] {
    [("mail", 1)]
}

fn check(_: &String) -> Result<(), String> {
    Ok(())
}

/// Sort.
#[llm_function(check = check)]
async fn wrong_check(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket, FunctionError>;

fn main() {}
