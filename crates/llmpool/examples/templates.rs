//! Uses one function in several roles: the placeholders in its doc comment are parameters.

use llmpool::function::FunctionError;
use llmpool::{LlmInterface, Providers, llm_function};

/// You are a {role}. Rewrite the text for {readers}.
#[llm_function]
async fn rewrite(
    llm: &dyn LlmInterface,
    role: &str,
    readers: &str,
    text: &str,
) -> Result<String, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let text = "A queue serves calls in order.";
    print!("{}", rewrite(&model, "teacher", "children", text).prompt()?);
    println!("{}", rewrite(&model, "teacher", "children", text).await?);
    println!("{}", rewrite(&model, "lawyer", "a judge", text).await?);
    Ok(())
}
