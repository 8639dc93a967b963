//! Shows images to a model: as an argument of a function, and as the result of a tool.

use llmpool::function::{FunctionError, Image};
use llmpool::{LlmInterface, Providers, llm_function, tool};

/// Returns a photo of a place, with a caption.
#[tool]
async fn photo(
    /// The name of the place.
    place: &str,
) -> (String, Image) {
    let photo = Image::from_url("https://example.com/photo.jpg");
    (format!("{place} in May"), photo)
}

/// Compare the drawing with a photo of the place.
#[llm_function(tools = [photo])]
async fn compare(llm: &dyn LlmInterface, place: &str, drawing: &Image) -> Result<String, FunctionError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), FunctionError> {
    let model = Providers::from_env()?.model("gpt-4o-mini")?;
    // `Image::from_path("drawing.png")?` sends a file.
    let drawing = Image::from_url("https://example.com/drawing.png");
    println!("{}", compare(&model, "Delft", &drawing).await?);
    Ok(())
}
