//! Prints an answer as it arrives.

use std::error::Error;
use std::io::{Write, stdout};

use llmpool::chat::ChatRequest;
use llmpool::{LlmInterface, Providers};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let mut stream = model
        .chat_stream(&ChatRequest::user("Write a haiku about queues."))
        .await?;
    while let Some(text) = stream.next_text().await {
        print!("{}", text?);
        stdout().flush()?;
    }
    let report = stream.report();
    println!(
        "\nfirst text after {:.1?}, end after {:.1?}",
        report.first_content.unwrap_or_default(),
        report.elapsed
    );
    Ok(())
}
