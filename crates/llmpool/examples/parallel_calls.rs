//! Calls a function for many inputs at the same time. The limits of the keys pace the calls.

use std::error::Error;

use llmpool::function::FunctionError;
use llmpool::{LlmInterface, Providers, llm_function};

/// Return how many stars this review gives, from 1 to 5.
#[llm_function]
async fn stars(llm: &dyn LlmInterface, review: &str) -> Result<u8, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let reviews = ["Great film.", "I fell asleep.", "Not bad at all."];
    let calls = reviews.map(|review| {
        let model = model.clone();
        tokio::spawn(async move { stars(&model, review).await })
    });
    for (review, call) in reviews.into_iter().zip(calls) {
        match call.await? {
            Ok(stars) => println!("{review} {stars}"),
            Err(error) => println!("{review} {error}"),
        }
    }
    Ok(())
}
