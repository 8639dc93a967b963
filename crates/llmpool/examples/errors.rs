//! Prints when to come back if the provider cannot answer now.

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{CallOptions, LlmInterface, Providers};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), llmpool::Error> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let options = CallOptions {
        timeout: Some(Duration::from_secs(5)),
        ..CallOptions::default()
    };
    match model.chat_with(&ChatRequest::user("Hello"), &options).await {
        Ok(answer) => println!("{}", answer.text()),
        Err(error) if error.is_temporary() => {
            println!("{error}");
            let wait = error.retry_in().unwrap_or(Duration::from_secs(60));
            println!("come back in {} s", wait.as_secs_f64().ceil());
        }
        // The request, the key or the configuration must change first.
        Err(error) => return Err(error),
    }
    Ok(())
}
