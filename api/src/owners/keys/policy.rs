//! When keys are required.

use std::net::{IpAddr, SocketAddr};

/// What an operator says of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyPolicy {
    /// Nothing: keys are required where others than this machine can connect.
    #[default]
    Auto,
    /// `--require-keys`: also on loopback, as behind a proxy that listens elsewhere.
    Always,
    /// `--no-auth`: nowhere. Whoever can connect may do everything.
    Never,
}

impl KeyPolicy {
    /// Whether callers of a server that listens on these addresses must show a key.
    pub fn requires_keys(self, listens: &[SocketAddr]) -> bool {
        match self {
            Self::Auto => !listens.iter().all(|address| is_loopback(address.ip())),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whether only this machine reaches the address. An IPv4 address in IPv6 notation is the IPv4 address.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_required_where_others_can_connect() {
        use KeyPolicy as P;
        for (listens, policy, required) in [
            (&["127.0.0.1:8080"][..], P::Auto, false),
            (&["127.8.8.8:1"], P::Auto, false),
            (&["[::1]:8080"], P::Auto, false),
            (&["[::ffff:127.0.0.1]:8080"], P::Auto, false),
            (&["0.0.0.0:8080"], P::Auto, true),
            (&["[::]:8080"], P::Auto, true),
            (&["[::ffff:0.0.0.0]:8080"], P::Auto, true),
            (&["192.168.1.2:8080"], P::Auto, true),
            (&["[fe80::1]:8080"], P::Auto, true),
            (&["127.0.0.1:8080", "[::1]:8080"], P::Auto, false),
            (&["127.0.0.1:8080", "10.0.0.1:8080"], P::Auto, true),
            (&["127.0.0.1:8080"], P::Always, true),
            (&["0.0.0.0:8080"], P::Always, true),
            (&["127.0.0.1:8080"], P::Never, false),
            (&["0.0.0.0:8080"], P::Never, false),
        ] {
            let addresses: Vec<SocketAddr> = listens.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(policy.requires_keys(&addresses), required, "{listens:?} {policy:?}");
        }
    }
}
