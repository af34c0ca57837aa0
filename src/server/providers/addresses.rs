//! Which hosts an environment's author may have the server call.
//!
//! The author chooses the URL, and the server stands where the author does not: next to services of its own machine
//! and to the metadata service of its cloud. Addresses are judged when they are used, so that no name can change its
//! meaning in between.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::esc::pattern::Pattern;

/// Metadata services that have no link-local address: Alibaba's, Azure's for its agents, and AWS' by IPv6.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Who may be called.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Hosts {
    /// Names and addresses that the operator has listed. Only these, when there are any, and these wherever they are.
    listed: Vec<Pattern>,
}

impl Hosts {
    pub(in crate::server) fn new(listed: Vec<Pattern>) -> Self {
        Self { listed }
    }

    /// Whether a URL may be called at all; its name is resolved, and judged again, later.
    pub(super) fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        if !self.listed.is_empty() {
            return self.lists(host);
        }
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => is_foreign(address),
            Err(_) => true,
        }
    }

    fn lists(&self, host: &str) -> bool {
        self.listed.iter().any(|pattern| pattern.matches(host))
    }
}

/// Whether an address is neither a machine's own under every sky nor of what every machine has beside it. The addresses
/// that this machine has in its networks are not known here.
fn is_foreign(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let near = match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_multicast()
                || address.octets().first() == Some(&0)
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                // What was compatible with IPv4 once, and what is translated to it.
                || matches!(address.segments(), [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, ..])
        }
    };
    !near && !METADATA.contains(&address)
}

impl Resolve for Hosts {
    fn resolve(&self, name: Name) -> Resolving {
        let anywhere = self.lists(name.as_str());
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> =
                found.filter(|address| anywhere || is_foreign(address.ip())).collect();
            if usable.is_empty() {
                return Err(io::Error::other("the host has no address that may be called").into());
            }
            let addresses: Addrs = Box::new(usable.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::{Hosts, is_foreign};
    use crate::esc::pattern::Pattern;

    #[test]
    fn this_machine_and_what_is_beside_it_are_not_called() {
        for (address, expected) in [
            ("127.0.0.1", false),
            ("127.8.9.10", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("169.254.169.254", false),
            ("100.100.100.200", false),
            ("168.63.129.16", false),
            ("168.63.129.17", true),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("10.1.2.3", true),
            ("192.168.0.1", true),
            ("93.184.216.34", true),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("fd00:ec2::254", false),
            ("fd00::1", true),
            ("2001:db8::1", true),
        ] {
            assert_eq!(is_foreign(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_is_listed_is_called_and_nothing_else() {
        let allowed = |listed: &[&str], url: &str| {
            let hosts = Hosts::new(listed.iter().map(|text| Pattern::new(*text)).collect());
            hosts.allow(&Url::parse(url).unwrap())
        };
        for (listed, url, expected) in [
            (&[] as &[&str], "https://adapter.test/x", true),
            (&[], "https://127.0.0.1", false),
            (&[], "https://2130706433/", false),
            (&[], "https://0x7f.1/", false),
            (&[], "https://[::1]:8443/", false),
            (&[], "https://[::ffff:7f00:1]/", false),
            (&["*.adapters.test"], "https://a.adapters.test", true),
            (&["*.adapters.test"], "https://adapters.test.evil", false),
            (&["*.adapters.test"], "https://127.0.0.1", false),
            (&["localhost", "10.0.0.1"], "https://localhost:1/", true),
            (&["localhost", "10.0.0.1"], "https://10.0.0.1/", true),
        ] {
            assert_eq!(allowed(listed, url), expected, "{listed:?} {url}");
        }
    }
}
