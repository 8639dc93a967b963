//! Makes a function that a model answers a tool: the plan of a large task asks for plans of its parts.

use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, schemars};
use llmpool::tool::CallableTool;
use llmpool::{LlmInterface, Providers, llm_function};

/// Plan the task in at most three sentences.
#[llm_function]
async fn plan(llm: &dyn LlmInterface, task: &str) -> Result<String, FunctionError>;

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Part {
    task: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let planner = model.clone();
    let tool = CallableTool::new("plan", "Plans a part of the task.", move |part: Part| {
        let planner = planner.clone();
        async move { plan(&planner, &part.task).await }
    });
    println!("{}", plan(&model, "Move to Delft.").tool(tool).await?);
    Ok(())
}
