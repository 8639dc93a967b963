//! Shares the load among three keys of 60 requests per minute each. OPENAI_API_KEY contains them, separated by commas.

use std::env;
use std::error::Error;

use llmpool::chat::ChatRequest;
use llmpool::{KeyEntry, Limits, LlmInterface, ModelEntry, Providers};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let base_url = env::var("OPENAI_BASE_URL").unwrap_or_else(|_| "https://api.openai.com/v1".to_owned());
    let keys = env::var("OPENAI_API_KEY")?;
    let limits = Limits {
        rpm: Some(60),
        ..Limits::default()
    };
    let keys = keys.split(',').map(|key| KeyEntry::from(key).with_limits(limits));
    let model = ModelEntry::new("gpt-4o-mini", base_url, keys);
    let providers = Providers::builder().model("openai", model).build()?;
    let model = providers.model("openai/gpt-4o-mini")?;
    for question in ["What is a bucket?", "What is a window?", "What is a queue?"] {
        println!("{}", model.chat(&ChatRequest::user(question)).await?.text());
    }
    for key in model.key_status() {
        println!("{}: {}", key.label, key.state);
    }
    Ok(())
}
