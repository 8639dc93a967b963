//! Translation of generated images between the `images` field of a chat message, which is an extension by
//! OpenRouter, and the image generation items of a response.

use serde_json::{Value, json};

use crate::chat::Json;
use crate::responses::HostedItem;

/// Name of the field of a chat message that contains generated images.
pub(super) const IMAGES: &str = "images";

const BASE64: &str = ";base64,";

/// Translates the `images` of a chat message to image generation items without ids. Leaves out malformed
/// images.
///
/// Each image has the form `{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}`.
pub(super) fn images_to_items(images: &Json) -> Vec<HostedItem> {
    let images: Vec<Value> = serde_json::from_str(images.get()).unwrap_or_default();
    let items = images.iter().filter_map(|image| {
        let url = image["image_url"]["url"].as_str()?;
        // The result is the encoded image, or its URL if the image is not embedded.
        let result = url.split_once(BASE64).map_or(url, |(_, data)| data);
        let mut item = HostedItem {
            status: Some("completed".to_owned()),
            ..HostedItem::default()
        };
        item.extra.insert("result", Json::of(result).ok()?);
        Some(item)
    });
    items.collect()
}

/// Translates an image generation item to an element of a chat message's `images`. Returns `None` if the item
/// does not contain an image yet.
pub(super) fn item_to_image(item: &HostedItem) -> Option<Json> {
    let result: String = serde_json::from_str(item.extra.get("result")?.get()).ok()?;
    let url = if result.starts_with("http") || result.starts_with("data:") {
        result
    } else {
        format!("data:image/png{BASE64}{result}")
    };
    Json::of(&json!({"type": "image_url", "image_url": {"url": url}})).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_image_does_not_drop_the_others() {
        let images = json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "image_url", "image_url": 7},
            "image",
            {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
        ]);
        let items = images_to_items(&Json::of(&images).unwrap());
        let results: Vec<Value> = items
            .iter()
            .map(|item| item.extra.get("result").unwrap().value())
            .collect();
        assert_eq!(results, [json!("AA=="), json!("https://h/i.png")]);
    }
}
