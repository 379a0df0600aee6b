//! Which addresses webhooks may be sent to, checked after names are resolved.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The longest address in bytes.
const LONGEST: usize = 2048;

/// Where a webhook is sent: `http` or `https`, without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookUrl(Url);

/// An address that no webhook is sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookUrlError {
    /// It is no address.
    #[error("a webhook's address is an absolute http or https address of at most {LONGEST} bytes")]
    Invalid,
    /// It would be stored and shown with them.
    #[error("a webhook's address has no user and no password")]
    Credentials,
    /// It names a machine of this network.
    #[error(transparent)]
    Private(#[from] PrivateAddress),
}

/// An address of this machine or network, or one that no server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an address of the public internet; --allow-private-webhooks allows it")]
pub struct PrivateAddress(pub IpAddr);

/// Whether addresses inside this network are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The public internet only.
    Public,
    /// Everything: `--allow-private-webhooks`.
    Everywhere,
}

impl Reach {
    /// Refuses an address that is out of reach.
    ///
    /// # Errors
    /// [`PrivateAddress`].
    pub fn check(self, address: IpAddr) -> Result<(), PrivateAddress> {
        match self {
            Self::Everywhere => Ok(()),
            Self::Public if is_public(address) => Ok(()),
            Self::Public => Err(PrivateAddress(address)),
        }
    }
}

impl HookUrl {
    /// The address in `text`. A name is resolved only when the webhook is sent, and checked then; an IP address is checked
    /// now.
    ///
    /// # Errors
    /// [`HookUrlError`].
    pub fn parse(text: &str, reach: Reach) -> Result<Self, HookUrlError> {
        let url = (text.len() <= LONGEST).then(|| Url::from_str(text).ok()).flatten();
        let url = url
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(HookUrlError::Invalid)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HookUrlError::Credentials);
        }
        let host = url.host_str().ok_or(HookUrlError::Invalid)?;
        // The parser has brought every notation of an IP address into the usual one.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = literal {
            reach.check(address)?;
        }
        Ok(Self(url))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether servers of the public internet have such addresses (IANA's registries of special addresses).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // This network; the shared addresses of carriers; protocol assignments; benchmarks; reserved, and broadcast.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    // NAT64 leads to the IPv4 address in it.
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [high, low] = [g.to_be_bytes(), h.to_be_bytes()];
        return is_public_v4(Ipv4Addr::new(high[0], high[1], low[0], low[1]));
    }
    // Of what is given out as global: protocol assignments (Teredo among them), documentation, and 6to4.
    let special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    (0x2000..0x4000).contains(&a) && !special
}

/// Resolves names.
#[async_trait]
pub(super) trait Lookup: Send + Sync + fmt::Debug {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// As this machine resolves them.
#[derive(Debug)]
pub(super) struct System;

#[async_trait]
impl Lookup for System {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Gives a connection only addresses within reach: what is checked is what is connected to, whatever the name stands for
/// a moment later.
#[derive(Clone, Debug)]
pub(super) struct CheckedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) reach: Reach,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { lookup, reach } = self.clone();
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match reach.check(address) {
                    // The port is that of the webhook's address.
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(private) => refused = Some(private),
                }
            }
            match refused.filter(|_| allowed.is_empty()) {
                Some(private) => Err(private.into()),
                None => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.5",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn every_notation_of_an_address_is_that_address() {
        let parsed = |text| HookUrl::parse(text, Reach::Public);
        for private in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1:8080/hook",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "http://[::ffff:a00:1]/",
            "http://１２７.0.0.1/",
        ] {
            assert!(matches!(parsed(private), Err(HookUrlError::Private(_))), "{private}");
            assert!(HookUrl::parse(private, Reach::Everywhere).is_ok(), "{private}");
        }
        for invalid in [
            "",
            "hook",
            "/hook",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://",
        ] {
            assert_eq!(parsed(invalid), Err(HookUrlError::Invalid), "{invalid}");
        }
        let long = format!("http://a/{}", "b".repeat(2048));
        assert_eq!(HookUrl::parse(&long, Reach::Public), Err(HookUrlError::Invalid));
        assert_eq!(parsed("https://me:secret@example.com/"), Err(HookUrlError::Credentials));
        assert!(parsed("https://example.com:8443/hooks?of=clearfleet").is_ok());
        assert!(parsed("http://8.8.8.8/").is_ok());
    }
}
