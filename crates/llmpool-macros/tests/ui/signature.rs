#![allow(unused_imports)]

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::{LlmInterface, llm_function};

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    summary: String,
}

/// Not async, with a body, without the model.
#[llm_function]
fn no_model() -> Result<Ticket, FunctionError> {
    todo!()
}

/// The model by value.
#[llm_function]
async fn by_value(llm: impl LlmInterface, mail: &str) -> Result<Ticket, FunctionError>;

/// A pattern in place of a name.
#[llm_function]
async fn pattern(llm: &dyn LlmInterface, (a, b): (u8, u8)) -> Result<Ticket, FunctionError>;

/// No value.
#[llm_function]
async fn nothing(llm: &dyn LlmInterface);

/// A generic value.
#[llm_function]
async fn generic<T>(llm: &dyn LlmInterface) -> Result<T, FunctionError>;

struct Desk;

impl Desk {
    /// A method.
    #[llm_function]
    async fn method(&self, llm: &dyn LlmInterface) -> Result<Ticket, FunctionError>;
}

fn main() {}
