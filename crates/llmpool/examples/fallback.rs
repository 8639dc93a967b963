//! Asks another model if the first one failed, depending on the cause. The library has retried already.

use llmpool::function::FunctionError;
use llmpool::{ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, llm_function};

/// Summarize the text in one short sentence.
#[llm_function(temperature = 0.0)]
async fn summarize(llm: &dyn LlmInterface, text: &str) -> Result<String, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let path = std::env::args().nth(1).unwrap_or("provider.json".into());
    let models = OpenAiCompatible::load_from_json_file(path)?;
    let text = "A queue serves calls in the order of their arrival.";
    let summary = match summarize(&models.model("openai/gpt-4o-mini")?, text).await {
        Err(FunctionError::Call { error, .. })
            if error.is_temporary() || error.kind() == ErrorKind::Attempt(FailureKind::ContextLength) =>
        {
            println!("{error}");
            summarize(&models.model("openai/gpt-4o")?, text).await?
        }
        outcome => outcome?,
    };
    println!("{summary}");
    Ok(())
}
