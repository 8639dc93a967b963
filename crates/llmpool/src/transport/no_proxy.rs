//! The hosts of the environment variable `NO_PROXY`, which are reached without a proxy.
//!
//! There is no standard for this variable. The forms of curl, Go and Python are all understood, because one
//! variable configures programs of all kinds.

use std::net::IpAddr;

/// The entries of `NO_PROXY`, separated by commas or white space.
#[derive(Debug, Default)]
pub(super) struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    hosts: Hosts,
    /// The only port to which the entry applies, or `None` for all ports.
    port: Option<u16>,
}

#[derive(Debug)]
enum Hosts {
    /// `*`: all hosts.
    Any,
    /// `host`, `.host` or `*.host`: this host and its subdomains. In lower case.
    Domain(String),
    /// An IP address, or a network such as `10.0.0.0/8`: all addresses that have the first `bits` bits in
    /// common with `address`.
    Network { address: IpAddr, bits: u32 },
}

impl NoProxy {
    /// Parses the value of the variable. Ignores entries of any other form.
    pub(super) fn parse(value: &str) -> Self {
        let entries = value.split(|c: char| c == ',' || c.is_whitespace());
        Self {
            entries: entries.filter_map(Entry::parse).collect(),
        }
    }

    /// Returns whether a host is reached without a proxy. `host` is a name, an IPv4 address, or an IPv6 address
    /// in brackets.
    pub(super) fn contains(&self, host: &str, port: u16) -> bool {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.');
        let address = host.parse().ok();
        let applies = |entry: &Entry| entry.port.is_none_or(|only| only == port);
        self.entries
            .iter()
            .any(|entry| applies(entry) && entry.hosts.contain(host, address))
    }
}

impl Entry {
    fn parse(entry: &str) -> Option<Self> {
        if let Some(hosts) = Hosts::parse(entry) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = entry.rsplit_once(':')?;
        Some(Self {
            hosts: Hosts::parse(host)?,
            port: Some(port.parse().ok()?),
        })
    }
}

impl Hosts {
    fn parse(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Any);
        }
        if let Some((address, bits)) = host.split_once('/') {
            let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
            return (bits <= width(address)).then_some(Self::Network { address, bits });
        }
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            let bits = width(address);
            return Some(Self::Network { address, bits });
        }
        let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
        let is_name = !name.is_empty() && !name.contains([':', '[', ']', '*']);
        is_name.then(|| Self::Domain(name.to_ascii_lowercase()))
    }

    fn contain(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Any, _) => true,
            (Self::Network { address, bits }, Some(host)) => {
                common_bits(*address, host).is_some_and(|common| common >= *bits)
            }
            (Self::Domain(domain), None) => {
                let host = host.to_ascii_lowercase();
                let rest = host.strip_suffix(domain);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network { .. }, None) | (Self::Domain(_), Some(_)) => false,
        }
    }
}

/// Returns the number of bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the number of leading bits that two addresses have in common. `None` if one is an IPv4 address and
/// the other an IPv6 address.
fn common_bits(a: IpAddr, b: IpAddr) -> Option<u32> {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
        (IpAddr::V6(a), IpAddr::V6(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_entries_are_understood() {
        for (value, host, port, expected) in [
            ("*", "api.x.com", 443, true),
            ("0.0.0.0/0", "10.1.2.3", 443, true),
            ("0.0.0.0/0", "[2001:db8::1]", 443, false),
            ("::/0", "10.1.2.3", 443, false),
            ("*", "127.0.0.1", 80, true),
            ("*", "[::1]", 80, true),
            ("x.com", "x.com", 443, true),
            ("x.com", "api.x.com", 443, true),
            ("x.com", "ax.com", 443, false),
            ("x.com", "x.com.evil", 443, false),
            (".x.com", "x.com", 443, true),
            (".x.com", "api.x.com", 443, true),
            (".x.com", "ax.com", 443, false),
            ("*.x.com", "api.x.com", 443, true),
            ("*.x.com", "ax.com", 443, false),
            ("X.com.", "Api.x.COM", 443, true),
            ("x.com", "x.com.", 443, true),
            ("localhost:8080", "localhost", 8080, true),
            ("localhost:8080", "localhost", 80, false),
            (".x.com:443", "api.x.com", 443, true),
            ("*:8080", "api.x.com", 8080, true),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1:80", "127.0.0.1", 80, true),
            ("127.0.0.1:80", "127.0.0.1", 81, false),
            ("1", "127.0.0.1", 80, false),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("10.0.0.0/8", "[::1]", 80, false),
            ("0.0.0.0/0", "11.0.0.1", 80, true),
            ("10.0.0.0/33", "10.0.0.0", 80, false),
            ("::1", "[::1]", 80, true),
            ("[::1]", "[::1]", 80, true),
            ("[::1]:80", "[::1]", 80, true),
            ("[::1]:80", "[::1]", 81, false),
            ("fd00::/8", "[fd12::3]", 80, true),
            ("fd00::/8", "[fe80::1]", 80, false),
            ("a.com, b.com", "b.com", 80, true),
            ("a.com b.com", "b.com", 80, true),
            ("a.com\tb.com", "c.com", 80, false),
            (",,", "a.com", 80, false),
            (".", "a.com", 80, false),
            ("a.com:port", "a.com", 80, false),
        ] {
            let found = NoProxy::parse(value).contains(host, port);
            assert_eq!(found, expected, "{value:?} {host} {port}");
        }
    }
}
