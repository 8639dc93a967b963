//! Lets two models of one provider file work together: the small one sorts a mail, the large one answers it.

use llmpool::function::FunctionError;
use llmpool::{LlmInterface, OpenAiCompatible, llm_function};

/// Return whether this mail is urgent. Urgent means money or safety.
#[llm_function(temperature = 0.0)]
async fn is_urgent(llm: &dyn LlmInterface, mail: &str) -> Result<bool, FunctionError>;

/// Answer this mail in one short sentence. Urgent mails are answered on the same day.
#[llm_function(temperature = 0.0)]
async fn answer(llm: &dyn LlmInterface, is_urgent: bool, mail: &str) -> Result<String, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let path = std::env::args().nth(1).unwrap_or("provider.json".into());
    let models = OpenAiCompatible::load_from_json_file(path)?;
    let (small, large) = (
        models.model("openai/gpt-4o-mini")?,
        models.model("openai/gpt-4o")?,
    );
    let mail = "My invoice is 40 euros too high.";
    let is_urgent = is_urgent(&small, mail).await?;
    println!("urgent: {is_urgent}");
    println!("{}", answer(&large, is_urgent, mail).await?);
    Ok(())
}
