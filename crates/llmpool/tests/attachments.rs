//! Images, audio and files as arguments of functions.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool::chat::{Content, Message, Part};
use llmpool::function::{Audio, File, FunctionError, Image};
use llmpool::testing::ScriptedModel;
use llmpool::{LlmInterface, llm_function};
use serde::Serialize;

type Result<T, E = FunctionError> = std::result::Result<T, E>;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

#[derive(Serialize)]
struct Exhibit {
    title: &'static str,
    photo: Image,
    more: Vec<Image>,
    sound: Option<Audio>,
}

/// Describe.
#[llm_function]
async fn describe(llm: &dyn LlmInterface, image: &Image) -> Result<String>;

/// Compare.
#[llm_function]
async fn compare(llm: &dyn LlmInterface, images: &[Image], question: &str) -> Result<String>;

/// Describe {exhibit}.
#[llm_function]
async fn present(llm: &dyn LlmInterface, exhibit: &Exhibit, notes: &File) -> Result<String>;

fn user_parts(messages: &[Message]) -> Vec<Part> {
    match &messages[1].content {
        Some(Content::Parts(parts)) => parts.clone(),
        other => panic!("{other:?}"),
    }
}

fn png() -> Image {
    Image::from_bytes(PNG).unwrap()
}

#[test]
fn image_is_a_part_beside_its_text() {
    let model = ScriptedModel::new([]);
    let prompt = describe(&model, &Image::from_url("https://example.com/cat.png"))
        .prompt()
        .unwrap();
    let expected = [
        Part::text("[image 1]"),
        Part::image("https://example.com/cat.png"),
    ];
    assert_eq!(user_parts(prompt.messages()), expected);
}

#[test]
fn attachments_are_numbered_by_kind_in_the_order_of_the_arguments() {
    let model = ScriptedModel::new([]);
    let prompt = compare(
        &model,
        &[png(), Image::from_url("https://example.com/b")],
        "Which?",
    )
    .prompt()
    .unwrap();
    let parts = user_parts(prompt.messages());
    assert_eq!(
        parts[0],
        Part::text(r#"{"images":["[image 1]","[image 2]"],"question":"Which?"}"#)
    );
    assert_eq!(parts[1], Part::image("data:image/png;base64,iVBORw0KGgo="));
    assert_eq!(parts[2], Part::image("https://example.com/b"));

    let exhibit = Exhibit {
        title: "Cat",
        photo: png(),
        more: vec![png()],
        sound: Some(Audio::from_bytes(b"ID3x").unwrap()),
    };
    let notes = File::from_bytes("notes.txt", "text/plain", b"hi");
    let prompt = present(&model, &exhibit, &notes).prompt().unwrap();
    assert_eq!(
        prompt.messages()[0].text(),
        r#"Describe {"title":"Cat","photo":"[image 1]","more":["[image 2]"],"sound":"[audio 1]"}."#
    );
    let parts = user_parts(prompt.messages());
    assert_eq!(parts[0], Part::text("[file 1]"));
    assert_eq!(parts[3], Part::audio("SUQzeA==", "mp3"));
    assert_eq!(parts[4], Part::file("notes.txt", "data:text/plain;base64,aGk="));
    assert_eq!(parts.len(), 5);
    assert_eq!(
        prompt.to_string().lines().skip(3).collect::<Vec<_>>(),
        [
            "[file 1]",
            "(image: data:image/png, 12 bytes of base64)",
            "(image: data:image/png, 12 bytes of base64)",
            "(audio: 8 bytes of base64, mp3)",
            "(file: notes.txt)",
        ]
    );
}

#[test]
fn attachment_outside_of_a_prompt_is_an_error() {
    let error = serde_json::to_string(&png()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("can only be an argument of a function"),
        "{error}"
    );
    assert_eq!(format!("{:?}", png()), "Image");
}

#[test]
fn files_are_read_with_their_type_and_bounded() {
    let folder = std::env::temp_dir();
    let path = |name: &str| folder.join(format!("llmpool-attachment-{}-{name}", std::process::id()));
    let (image, text, huge) = (path("cat.png"), path("notes.txt"), path("huge.pdf"));
    std::fs::write(&image, PNG).unwrap();
    std::fs::write(&text, "hi").unwrap();
    std::fs::File::create(&huge)
        .unwrap()
        .set_len((20 << 20) + 1)
        .unwrap();
    assert_eq!(Image::from_path(&image).unwrap(), png());
    let refused = Image::from_path(&text).unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!("{}: the bytes are no PNG", text.display())),
        "{refused}"
    );
    let name = text.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        File::from_path(&text).unwrap(),
        File::from_bytes(name, "text/plain", b"hi")
    );
    let refused = File::from_path(&huge).unwrap_err().to_string();
    assert!(refused.contains("larger than 20 MiB"), "{refused}");
    let missing = Audio::from_path(path("none.wav")).unwrap_err().to_string();
    assert!(missing.contains("none.wav"), "{missing}");
    for path in [image, text, huge] {
        std::fs::remove_file(path).unwrap();
    }
}
