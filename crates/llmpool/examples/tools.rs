//! Lets the model call a function, and sends the result back.

use std::error::Error;

use llmpool::chat::{ChatRequest, Message, Tool, ToolChoice};
use llmpool::{LlmInterface, Providers};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let mut request = ChatRequest::user("What is the weather in Paris?");
    let weather = Tool::function("get_weather", "Returns the weather in a city.", parameters);
    request.tools = vec![weather];
    request.tool_choice = Some(ToolChoice::function("get_weather"));
    let answer = model.chat(&request).await?;
    request.messages.extend(answer.message().cloned());
    for call in answer.tool_calls() {
        let arguments: Value = serde_json::from_str(call.arguments())?;
        println!("{} in {}", call.name(), arguments["city"]);
        request.messages.push(Message::tool_result(call, "sunny, 22 °C"));
    }
    request.tool_choice = None;
    println!("{}", model.chat(&request).await?.text());
    Ok(())
}
