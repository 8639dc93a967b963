//! Distinguishes local servers from remote servers by their base URL.

use std::net::IpAddr;

/// Returns whether the host in the base URL is this machine or an IP address in a private network.
pub(super) fn is_local(base_url: &str) -> bool {
    let host = host(base_url);
    host == "localhost" || host.parse().is_ok_and(|ip| is_private(&ip))
}

/// Returns the host in the base URL, without the port and without the brackets around an IPv6 address.
pub(super) fn host(base_url: &str) -> &str {
    let authority = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
