//! Talks about several messages: each turn is printed as it arrives, and returns the history for the next one.

use llmpool::chat::Message;
use llmpool::function::{ChatAnswer, ChatEvent, FunctionError};
use llmpool::{LlmInterface, Providers, llm_chat};

/// You are a librarian. Answer in one sentence.
#[llm_chat]
async fn advise(llm: &dyn LlmInterface, history: &[Message], text: &str)
-> Result<ChatAnswer, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    let mut history = Vec::new();
    for text in ["Who wrote Emma?", "What else did she write?"] {
        let mut events = advise(&model, &history, text).stream();
        while let Some(event) = events.next().await {
            match event? {
                ChatEvent::Chunk(chunk) => print!("{}", chunk.text()),
                ChatEvent::End(answer) => history = answer.history,
                _ => {}
            }
        }
        println!(" ({} messages)", history.len());
    }
    Ok(())
}
