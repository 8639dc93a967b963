//! Prints what the calls of a program do to its keys, and what they cost.

use std::sync::Arc;

use llmpool::chat::ChatRequest;
use llmpool::observer::{CallEnded, KeyStateChanged, Observer};
use llmpool::{LlmInterface, Providers};

struct Printer;

impl Observer for Printer {
    fn key_state_changed(&self, event: &KeyStateChanged<'_>) {
        println!("{}: {} -> {}", event.key, event.before, event.after);
    }

    fn call_ended(&self, event: &CallEnded<'_>) {
        println!("{:?} in {:.1?}", event.outcome, event.report.elapsed);
        println!("usage from the {}", event.report.usage_source.as_str());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), llmpool::Error> {
    let providers = Providers::from_env()?.with_observer(Arc::new(Printer));
    let model = providers.model("gpt-4o-mini")?;
    model.chat(&ChatRequest::user("Hello")).await?;
    println!("next key: {:?}", model.least_loaded_key_label());
    Ok(())
}
