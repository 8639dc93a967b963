//! The proxies that environment variables configure.
//!
//! `HTTPS_PROXY` applies to `https://` URLs, `HTTP_PROXY` to `http://` URLs, `ALL_PROXY` to both if the other is
//! not set, and `NO_PROXY` names the exceptions. Each variable can be in lower case. An empty variable is not
//! set.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use llmpool_core::failure::{Failure, FailureKind};

use super::connect::ConnectError;
use super::no_proxy::NoProxy;
use super::party::Address;

/// The proxies for each scheme, and the hosts that are reached without them.
#[derive(Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: NoProxy,
}

/// A proxy, and the environment variable that configures it. Displayed as `proxy host:port (VARIABLE)`, without
/// credentials.
#[derive(Clone)]
pub(super) struct Proxy {
    variable: &'static str,
    /// `None` if the value of the variable is not the URL of a proxy.
    intercept: Option<Intercept>,
}

impl Proxies {
    pub(super) fn from_env() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `get` returns. In a CGI program there are no proxies, because a client can set
    /// `HTTP_PROXY` with a header.
    fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        if get("REQUEST_METHOD").is_some() {
            return Self::default();
        }
        let value = |name: &'static str| {
            let value = get(name).filter(|value| !value.trim().is_empty())?;
            Some((name, value))
        };
        let first = |upper, lower| value(upper).or_else(|| value(lower));
        let proxy = |found: Option<(&'static str, String)>| {
            found
                .or_else(|| first("ALL_PROXY", "all_proxy"))
                .map(|(variable, value)| Proxy::parse(variable, &value))
        };
        Self {
            http: proxy(first("HTTP_PROXY", "http_proxy")),
            https: proxy(first("HTTPS_PROXY", "https_proxy")),
            exceptions: first("NO_PROXY", "no_proxy")
                .map(|(_, value)| NoProxy::parse(&value))
                .unwrap_or_default(),
        }
    }

    /// Returns the proxy for connections to `origin`, or `None` for direct connections.
    pub(super) fn for_origin(&self, origin: &Uri) -> Option<&Proxy> {
        let is_https = origin.scheme_str() == Some("https");
        let proxy = if is_https { &self.https } else { &self.http };
        let address = Address::of(origin);
        proxy
            .as_ref()
            .filter(|_| !self.exceptions.contains(&address.host, address.port))
    }
}

impl Proxy {
    pub(super) fn parse(variable: &'static str, value: &str) -> Self {
        // The matcher has no parser of its own for one URL.
        let matcher = Matcher::builder().all(value.trim()).build();
        let intercept = matcher
            .intercept(&Uri::from_static("http://any/"))
            .filter(|proxy| proxy.uri().scheme_str() == Some("http"));
        Self { variable, intercept }
    }

    /// Returns the URL of the proxy. Fails if the variable names no proxy that can be used: TLS and SOCKS
    /// proxies are not supported.
    pub(super) fn uri(&self) -> Result<&Uri, ConnectError> {
        let variable = self.variable;
        let invalid = || {
            Failure::new(FailureKind::Connect)
                .with_detail(format!("{variable} is not the URL of an http:// proxy"))
                .with_help(format!(
                    "set {variable} to http://HOST:PORT, or add the host of the provider to NO_PROXY"
                ))
        };
        let intercept = self.intercept.as_ref().ok_or_else(invalid)?;
        Ok(intercept.uri())
    }

    /// Returns the value of the header `Proxy-Authorization`, if the URL contains credentials.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.as_ref().and_then(Intercept::basic_auth)
    }

    /// Returns what to do about a proxy that cannot be reached or refuses a connection.
    pub(super) fn help(&self) -> String {
        format!(
            "correct {}, or add the host of the provider to NO_PROXY",
            self.variable
        )
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.intercept {
            Some(proxy) => write!(f, "proxy {} ({})", Address::of(proxy.uri()), self.variable),
            None => write!(f, "proxy ({})", self.variable),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Returns the proxy for `origin` as it is displayed, its credentials, and its error.
    fn chosen(variables: &[(&str, &str)], origin: &str) -> Option<(String, bool, Option<String>)> {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxies = Proxies::read(get);
        let proxy = proxies.for_origin(&origin.parse().unwrap())?;
        let error = proxy.uri().err().map(|error| error.to_string());
        Some((proxy.to_string(), proxy.authorization().is_some(), error))
    }

    #[test]
    fn variables_choose_the_proxy() {
        let both = [("HTTP_PROXY", "http://h:1"), ("https_proxy", "s:2")];
        let all = [("ALL_PROXY", "http://u:SECRET@a"), ("HTTP_PROXY", "")];
        let lower = [("HTTP_PROXY", ""), ("http_proxy", "http://l:3/")];
        for (variables, origin, expected) in [
            (&both[..], "http://x/", "proxy h:1 (HTTP_PROXY)"),
            (&both, "https://x/", "proxy s:2 (https_proxy)"),
            (&all, "http://x/", "proxy a:80 (ALL_PROXY)"),
            (&all, "https://x/", "proxy a:80 (ALL_PROXY)"),
            (&lower, "http://x/", "proxy l:3 (http_proxy)"),
        ] {
            let (name, has_credentials, error) = chosen(variables, origin).unwrap();
            assert_eq!((name.as_str(), error), (expected, None));
            assert_eq!(has_credentials, expected.contains("ALL"));
        }
        assert_eq!(chosen(&lower, "https://x/"), None);
    }

    #[test]
    fn exceptions_and_cgi_programs_have_no_proxy() {
        let proxy = ("ALL_PROXY", "http://a:1");
        for (exception, origin) in [
            (("NO_PROXY", "x"), "https://x/"),
            (("no_proxy", "x:443"), "https://x/"),
            (("NO_PROXY", "x:80"), "http://x/"),
            (("REQUEST_METHOD", "GET"), "https://x/"),
        ] {
            assert_eq!(chosen(&[proxy, exception], origin), None, "{exception:?}");
            assert!(chosen(&[proxy], origin).is_some());
        }
    }

    #[test]
    fn unusable_proxies_are_errors_that_name_the_variable() {
        for value in [
            "http://u:SECRET@",
            "socks5://u:SECRET@h:1",
            "https://h:1",
            "no url SECRET",
        ] {
            let (name, _, error) = chosen(&[("HTTPS_PROXY", value)], "https://x/").unwrap();
            assert_eq!(name, "proxy (HTTPS_PROXY)");
            assert_eq!(error.unwrap(), "HTTPS_PROXY is not the URL of an http:// proxy");
        }
    }
}
