//! Gets an answer as a value of a Rust type.

use std::error::Error;

use llmpool::chat::ChatRequest;
use llmpool::structured::{JsonSchema, json_schema, schemars};
use llmpool::{LlmInterface, Providers};

/// A dish on the menu.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Dish {
    name: String,
    /// The price in euros.
    price: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let mut request = ChatRequest::user("Invent a dish for lunch.");
    request.response_format = Some(json_schema::<Dish>()?);
    let dish: Dish = model.chat(&request).await?.parse()?;
    println!("{} for {:.2} euros", dish.name, dish.price);
    Ok(())
}
