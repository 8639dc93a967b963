//! Base URLs: joined with paths, shown without what may be secret, and as they were most likely meant.

use http::Uri;

use crate::error::{Error, ErrorKind};

/// Ends that belong to an endpoint and not to a base.
const ENDPOINTS: [&str; 5] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/models",
];

/// Joins a base URL and a path exactly once; prefix and query of the base are kept.
pub(crate) fn endpoint(base_url: &str, path: &str) -> Result<Uri, Error> {
    let wrong = |problem: &str| Error::new(ErrorKind::Config, format!("base URL: {problem}"));
    let base: Uri = base_url
        .parse()
        .map_err(|_| wrong("it cannot be read as a URL"))?;
    if !matches!(base.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it has to begin with http:// or https://"));
    }
    let Some(authority) = base
        .authority()
        .filter(|authority| !authority.as_str().contains('@'))
    else {
        return Err(wrong("it has to name a host, and no user"));
    };
    let port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
    let is_ipv6 = authority.as_str().ends_with(']');
    if port.is_some_and(|port| !is_ipv6 && !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(wrong("its port has to be a number from 1 to 65535"));
    }
    if base_url.contains('#') {
        return Err(wrong(
            "it has a fragment, which is never sent; remove everything from # on",
        ));
    }
    let prefix = base.path().trim_end_matches('/');
    let query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
    Uri::builder()
        .scheme(base.scheme_str().unwrap_or("https"))
        .authority(authority.as_str())
        .path_and_query(format!("{prefix}/{path}{query}"))
        .build()
        .map_err(|_| wrong("it cannot be joined with a path"))
}

/// A URL as it may be printed: of a query only the names, and the version of Azure's interface.
pub(crate) fn shown(url: &str) -> String {
    let Some((place, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let member = |member: &str| match member.split_once('=') {
        Some(("api-version", _)) => member.to_owned(),
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    };
    let members: Vec<_> = query.split('&').map(member).collect();
    format!("{place}?{}", members.join("&"))
}

/// The base URL that was most likely meant where this one leads to nothing: without an endpoint at its end, with its version once, or with
/// the version that most have.
pub(crate) fn likely_meant(base_url: &str) -> Option<String> {
    let place = base_url.split('?').next().unwrap_or_default();
    let place = place.trim_end_matches('/');
    if let Some(base) = ENDPOINTS.iter().find_map(|end| place.strip_suffix(end)) {
        return Some(base.to_owned());
    }
    if let Some(base) = place.strip_suffix("/v1").filter(|base| base.ends_with("/v1")) {
        return Some(base.to_owned());
    }
    let is_version = |segment: &str| {
        let number = segment.strip_prefix('v');
        number.is_some_and(|rest| rest.starts_with(|sign: char| sign.is_ascii_digit()))
    };
    let uri: Uri = place.parse().ok()?;
    let has_version = uri.path().split('/').any(is_version);
    (!has_version).then(|| format!("{place}/v1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_joined_exactly_once() {
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
            assert_eq!(endpoint(bad, "x").unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn what_a_query_may_hold_is_not_shown() {
        for (url, told) in [
            ("http://h/v1", "http://h/v1"),
            (
                "http://h/v1?api-version=2024-10-21&code=canary",
                "http://h/v1?api-version=2024-10-21&code=…",
            ),
            ("http://h/v1?canary", "http://h/v1?…"),
        ] {
            assert_eq!(shown(url), told);
        }
    }

    #[test]
    fn what_was_most_likely_meant() {
        for (base, meant) in [
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
            assert_eq!(likely_meant(base).as_deref(), meant, "{base}");
        }
    }
}
