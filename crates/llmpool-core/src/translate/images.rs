//! Images that a model made: in a chat in `images`, as OpenRouter sends them, in a response an item that generated one.

use serde_json::json;

use crate::chat::Json;
use crate::responses::HostedItem;

const BASE64: &str = ";base64,";

/// `[{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}]` as items; their ids are yet to come.
pub(super) fn calls_of(images: &Json) -> Vec<HostedItem> {
    #[derive(serde::Deserialize)]
    struct Image {
        image_url: Url,
    }
    #[derive(serde::Deserialize)]
    struct Url {
        url: String,
    }
    let images: Vec<Image> = serde_json::from_str(images.get()).unwrap_or_default();
    let urls = images.into_iter().map(|image| image.image_url.url);
    urls.filter_map(|url| {
        // The item holds the image itself, or where it is in place of it.
        let data = url.split_once(BASE64).map_or(url.as_str(), |(_, data)| data);
        let mut item = HostedItem {
            status: Some("completed".to_owned()),
            ..HostedItem::default()
        };
        item.extra.insert("result", Json::of(data).ok()?);
        Some(item)
    })
    .collect()
}

/// An item that generated an image as one of the `images` of a message; `None` where there is no image yet.
pub(super) fn image_of(item: &HostedItem) -> Option<Json> {
    let data: String = serde_json::from_str(item.extra.get("result")?.get()).ok()?;
    let url = if data.starts_with("http") || data.starts_with("data:") {
        data
    } else {
        format!("data:image/png{BASE64}{data}")
    };
    Json::of(&json!({"type": "image_url", "image_url": {"url": url}})).ok()
}
