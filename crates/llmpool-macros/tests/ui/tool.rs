#![allow(unused_imports)]

use llmpool::chat::Message;
use llmpool::function::{ChatAnswer, FunctionError};
use llmpool::{LlmInterface, llm_chat, tool, tools};

#[tool]
fn undocumented(city: String) -> String {
    city
}

/// Returns the weather.
#[tool(timeouts = 5)]
async fn misspelt(
    /// The city.
    city: String,
) -> String {
    city
}

/// Takes any type.
#[tool]
async fn generic<T>(
    /// The value.
    value: T,
) -> String {
    String::new()
}

struct Store;

#[tools]
impl Store {
    async fn unmarked(&self) -> u8 {
        1
    }
}

struct Shelf;

#[tools]
impl Shelf {
    /// Changes the shelf.
    #[tool]
    async fn change(&mut self) -> u8 {
        1
    }
}

#[tools]
struct NotAnImpl;

fn main() {}
