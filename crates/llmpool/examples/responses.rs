//! Asks a question over the Responses API, and a follow-up to the stored response.

use llmpool::Providers;
use llmpool::responses::ResponsesRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), llmpool::Error> {
    let model = Providers::from_env()?.responses_model("gpt-4o-mini")?;
    let first = model
        .create_response(&ResponsesRequest::user("Name a city in Italy."))
        .await?;
    println!("{}", first.text());

    // The provider knows the first response, and the call uses the key that created it.
    let follow_up = ResponsesRequest {
        previous_response_id: first.response.id,
        ..ResponsesRequest::user("And one in Spain?")
    };
    let mut events = model.create_response_stream(&follow_up).await?;
    while let Some(event) = events.next().await {
        print!("{}", event?.delta_text().unwrap_or_default());
    }
    println!();
    Ok(())
}
