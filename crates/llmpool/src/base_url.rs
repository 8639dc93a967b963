//! Checks base URLs, appends endpoint paths, hides secrets in URLs for display, and suggests corrections.

use std::fmt;

use http::Uri;

/// Endpoint paths that users append to the base URL by mistake. The library itself appends the endpoint path.
const ENDPOINTS: [&str; 5] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/models",
];

/// Why a base URL is invalid: the text that follows `invalid base URL: ` in the error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrlError(&'static str);

impl fmt::Display for BaseUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid base URL: {}", self.0)
    }
}

impl std::error::Error for BaseUrlError {}

/// Appends `path` to a base URL, with exactly one slash in between. Keeps the path and the query of the base
/// URL: for example, `http://h/v1?a=b` and `models` give `http://h/v1/models?a=b`. Fails if the base URL is
/// not an `http` or `https` URL, or if it contains a user name or a fragment.
pub(crate) fn endpoint(base_url: &str, path: &str) -> Result<Uri, BaseUrlError> {
    let base: Uri = base_url.parse().map_err(|_| BaseUrlError("not a URL"))?;
    let scheme = base.scheme_str().unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        return Err(BaseUrlError("it must begin with http:// or https://"));
    }
    let authority = base.authority().map(|authority| authority.as_str());
    let Some(authority) = authority.filter(|authority| !authority.contains('@')) else {
        return Err(BaseUrlError("it must contain a host, and no user name"));
    };
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let is_ipv6 = authority.ends_with(']');
    if port.is_some_and(|port| !is_ipv6 && !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(BaseUrlError("the port must be a number from 1 to 65535"));
    }
    if base_url.contains('#') {
        return Err(BaseUrlError("remove the fragment, which begins with #"));
    }
    let prefix = base.path().trim_end_matches('/');
    let query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(format!("{prefix}/{path}{query}"))
        .build()
        .map_err(|_| BaseUrlError("no path can be appended to it"))
}

/// Returns a URL for display. The value of every query parameter except `api-version` is replaced by `…`,
/// because the value may contain a key.
pub(crate) fn redacted(url: &str) -> String {
    let Some((url, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some(("api-version", _)) => parameter.to_owned(),
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    };
    let parameters: Vec<_> = query.split('&').map(parameter).collect();
    format!("{url}?{}", parameters.join("&"))
}

/// Suggests a replacement for a base URL at which no model list was found. Removes an endpoint path or a
/// repeated `/v1` from the end, or appends `/v1` if the path contains no version. Returns `None` if the URL
/// needs none of these corrections.
pub(crate) fn suggested(base_url: &str) -> Option<String> {
    let url = base_url.split('?').next().unwrap_or_default();
    let url = url.trim_end_matches('/');
    if let Some(base) = ENDPOINTS.iter().find_map(|end| url.strip_suffix(end)) {
        return Some(base.to_owned());
    }
    if let Some(base) = url.strip_suffix("/v1").filter(|base| base.ends_with("/v1")) {
        return Some(base.to_owned());
    }
    let is_version = |segment: &str| {
        let number = segment.strip_prefix('v');
        number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let uri: Uri = url.parse().ok()?;
    let has_version = uri.path().split('/').any(is_version);
    (!has_version).then(|| format!("{url}/v1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn endpoint_joins_with_one_slash_and_rejects_invalid_urls() {
        for (base, joined) in [
            (
                "https://api.openai.com/v1",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.openai.com/v1/",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.deepseek.com",
                "https://api.deepseek.com/chat/completions",
            ),
            ("http://[::1]/v1", "http://[::1]/v1/chat/completions"),
            ("http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"),
            ("http://h:1/a/b/v3//", "http://h:1/a/b/v3/chat/completions"),
            (
                "https://x/d?api-version=1",
                "https://x/d/chat/completions?api-version=1",
            ),
        ] {
            assert_eq!(endpoint(base, "chat/completions").unwrap().to_string(), joined);
        }
        for bad in [
            "",
            "api.openai.com/v1",
            "ftp://x/v1",
            "http://user:pw@x/v1",
            "http://x:99999/v1",
            "http://x:0/v1",
            "http://x:/v1",
            "http://x/v1#y",
            "not a url",
        ] {
            let error = Error::from(endpoint(bad, "x").unwrap_err());
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn redacted_url_hides_query_values() {
        for (url, expected) in [
            ("http://h/v1", "http://h/v1"),
            (
                "http://h/v1?api-version=2024-10-21&code=canary",
                "http://h/v1?api-version=2024-10-21&code=…",
            ),
            ("http://h/v1?canary", "http://h/v1?…"),
        ] {
            assert_eq!(redacted(url), expected);
        }
    }

    #[test]
    fn suggested_url_removes_endpoints_and_adds_the_version() {
        for (base, expected) in [
            ("https://api.openai.com", Some("https://api.openai.com/v1")),
            ("https://h/openai/", Some("https://h/openai/v1")),
            ("https://h/v1/chat/completions", Some("https://h/v1")),
            ("https://h/v1/models/", Some("https://h/v1")),
            ("https://h/v1/v1", Some("https://h/v1")),
            ("https://h/?key=canary", Some("https://h/v1")),
            ("https://h/v1beta/openai", None),
            ("https://h/api/v3", None),
            ("https://h/v1", None),
        ] {
            assert_eq!(suggested(base).as_deref(), expected, "{base}");
        }
    }
}
