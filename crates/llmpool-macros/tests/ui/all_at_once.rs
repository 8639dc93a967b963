#![allow(unused_imports)]

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::{LlmInterface, llm_function};

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    summary: String,
}

#[llm_function(repair = 2, temperature = "warm")]
fn everything(mail: String, (a, b): (u8, u8)) {
    println!("{mail}");
}

fn main() {}
