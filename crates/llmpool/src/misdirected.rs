//! Responses that show that a request went to the wrong place: redirects, refusals of a proxy, complaints
//! about a request without TLS, and other protocols.

use http::{HeaderMap, Uri, header};
use llmpool_core::failure::{Failure, FailureKind};

use crate::transport::{Party, credentials_refused};

/// Maximum length of a path in the detail of a failure, in bytes. A longer path is not shown. It is not cut,
/// because the half of a key would not be masked.
const MAX_PATH: usize = 200;
/// Maximum length of a host name, in bytes.
const MAX_HOST: usize = 253;
/// Texts with which servers answer a request without TLS on a port for TLS, in lower case: nginx, Go, Apache and
/// its relatives.
const EXPECTS_TLS: [&[u8]; 3] = [
    b"plain http request was sent to https port",
    b"http request to an https server",
    b"speaking plain http to an ssl-enabled server port",
];

/// Returns `failure`, the failure of a response with an error status, with the kind and the detail of a wrong
/// place if the response shows one.
pub(crate) fn explain(
    failure: Failure,
    headers: &HeaderMap,
    body: &[u8],
    party: impl Fn() -> Party,
) -> Failure {
    match failure.status {
        Some(300..=399) => Failure {
            kind: FailureKind::WrongEndpoint,
            ..failure
        }
        .with_detail(redirect(headers, &party()))
        .with_help("set base_url to that URL without the endpoint, if it belongs to the provider"),
        Some(400) => match party() {
            party if !party.is_https && complains_about_http(body) => Failure {
                status: failure.status,
                ..expects_tls(&party)
            },
            _ => failure,
        },
        Some(407) => match party() {
            // The text of the answer comes from the proxy, and not from the provider.
            Party {
                proxy: Some(proxy),
                is_https: false,
                ..
            } => Failure {
                status: failure.status,
                ..credentials_refused(proxy)
            },
            _ => failure,
        },
        _ => failure,
    }
}

/// Returns the failure of a request without TLS to a host that expects TLS.
pub(crate) fn expects_tls(party: &Party) -> Failure {
    Failure::new(FailureKind::WrongEndpoint)
        .with_detail(format!("{} expects TLS", party.host))
        .with_help("use https:// in base_url")
}

/// Returns the failure of a request that was answered in another protocol. `begun` contains the first bytes of the
/// answer.
pub(crate) fn not_http(party: &Party, begun: &[u8]) -> Failure {
    let detail = match (begun, printable_line(begun)) {
        // The length and the type of the frames that a server sends first: SETTINGS, or GOAWAY.
        ([0, 0, _, 4 | 7, ..], _) | ([b'H', b'T', b'T', b'P', b'/', b'2', ..], _) => {
            format!("the answer of {party} is HTTP/2, and not HTTP/1.1")
        }
        (_, Some(text)) => format!("the answer of {party} is not HTTP, but begins with `{text}`"),
        (_, None) => format!("the answer of {party} is not HTTP"),
    };
    Failure::new(FailureKind::WrongEndpoint)
        .with_detail(detail)
        .with_help("check the host and the port in base_url")
}

/// Returns the first line of `bytes`. `None` if it is empty or contains anything but printable ASCII.
fn printable_line(bytes: &[u8]) -> Option<&str> {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let is_printable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    std::str::from_utf8(line)
        .ok()
        .filter(|line| is_printable && !line.is_empty())
}

fn complains_about_http(body: &[u8]) -> bool {
    let body = body.to_ascii_lowercase();
    EXPECTS_TLS
        .iter()
        .any(|text| body.windows(text.len()).any(|part| part == *text))
}

/// Describes a redirect, without the query and the credentials of the location, which may be secret.
fn redirect(headers: &HeaderMap, party: &Party) -> String {
    let location = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let parse = |location: &str| match location.trim() {
        // Another host with the same scheme.
        host if host.starts_with("//") => {
            let scheme = if party.is_https { "https" } else { "http" };
            format!("{scheme}:{host}").parse().ok()
        }
        url => url.parse().ok(),
    };
    let uri = location.and_then(parse);
    let uri = uri.filter(|uri: &Uri| uri.host().unwrap_or_default().len() <= MAX_HOST);
    let Some(uri) = uri else {
        return match location {
            Some(_) => "redirected to a location that is not a URL".to_owned(),
            None => "redirected without a location".to_owned(),
        };
    };
    let path = if uri.path().len() > MAX_PATH {
        "/…"
    } else {
        uri.path()
    };
    match (uri.scheme_str(), uri.host()) {
        (Some(scheme), Some(host)) => {
            let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("redirected to {scheme}://{host}{port}{path}")
        }
        _ => format!("redirected to {path} on the same host, {}", party.host),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn redirects_are_described_without_secrets() {
        let party = || Party {
            host: "h:443".to_owned(),
            proxy: None,
            is_https: true,
        };
        let long = format!("https://h/{}", "x".repeat(400));
        let endless = format!("https://{}/", "x".repeat(400));
        for (location, expected) in [
            (Some("https://h/v2/x?key=SECRET"), "redirected to https://h/v2/x"),
            (
                Some("https://me:SECRET@h:8443/v2#SECRET"),
                "redirected to https://h:8443/v2",
            ),
            (
                Some("/login?next=SECRET"),
                "redirected to /login on the same host, h:443",
            ),
            (
                Some("not a url SECRET"),
                "redirected to a location that is not a URL",
            ),
            (Some("//other/v2?key=SECRET"), "redirected to https://other/v2"),
            (
                Some(endless.as_str()),
                "redirected to a location that is not a URL",
            ),
            (Some(""), "redirected to a location that is not a URL"),
            (Some(long.as_str()), "redirected to https://h/…"),
            (None, "redirected without a location"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(location) = location.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(header::LOCATION, location);
            }
            let failure = Failure {
                status: Some(307),
                ..Failure::new(FailureKind::WrongEndpoint)
            };
            let explained = explain(failure, &headers, b"", party);
            assert_eq!(explained.detail(), Some(expected));
        }
    }
}
