use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lapin::uri::AMQPUri;
use serde::{Deserialize, Serialize};

/// Which broker, as whom, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmqpConfig {
    /// The broker.
    pub url: AmqpUrl,
    /// What its lists of connections call this process, such as `clearfleet worker gpu-7`.
    pub name: String,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: AmqpTimeouts,
}

/// How long the broker may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmqpTimeouts {
    /// To connect, TLS and authentication included.
    pub connect: Duration,
    /// To answer a call: to declare a queue, to open a channel, to start a consumer.
    pub call: Duration,
    /// To confirm a message, from the call to [`publish`](crate::queue::Queue::publish) on, connecting included.
    pub confirm: Duration,
    /// Between two heartbeats, in whole seconds. A side that hears nothing for twice as long closes the connection.
    pub heartbeat: Duration,
    /// A connection on which the process or the broker makes no progress for this long is closed, so that others get
    /// what it holds.
    pub watchdog: Duration,
}

impl Default for AmqpTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(10),
            confirm: Duration::from_secs(15),
            heartbeat: Duration::from_secs(10),
            watchdog: Duration::from_secs(10),
        }
    }
}

/// Address of a broker, `amqp://user:password@host:5672/vhost` or `amqps://…`; special characters are percent-encoded, the
/// default vhost `/` is `%2F` or no path at all. Its password is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AmqpUrl {
    text: String,
    parsed: AMQPUri,
}

/// Not an address of a broker. The address itself is not repeated: it holds a password.
#[derive(Debug, thiserror::Error)]
#[error("not an address of the form amqp://user:password@host:port/vhost: {0}")]
pub struct AmqpUrlError(String);

impl AmqpUrl {
    pub(super) fn uri(&self, heartbeat: Duration) -> AMQPUri {
        let mut uri = self.parsed.clone();
        // Without one of its own, the client takes the server's 60 s.
        uri.query.heartbeat = Some(u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX).max(1));
        uri
    }
}

impl FromStr for AmqpUrl {
    type Err = AmqpUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parsed: AMQPUri = text.parse().map_err(AmqpUrlError)?;
        // `amqp://host/` means the vhost with an empty name, which nobody has; who writes it means the default one.
        if parsed.vhost.is_empty() {
            parsed.vhost = "/".to_owned();
        }
        let text = text.to_owned();
        Ok(Self { text, parsed })
    }
}

impl TryFrom<String> for AmqpUrl {
    type Error = AmqpUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AmqpUrl> for String {
    fn from(url: AmqpUrl) -> Self {
        url.text
    }
}

impl fmt::Display for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.parsed;
        let (user, host, port) = (&authority.userinfo.username, &authority.host, authority.port);
        write!(f, "{scheme}://{user}:***@{host}:{port}/{}", vhost.replace('/', "%2F"))
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let url: AmqpUrl = "amqp://fleet:hid%2Fden@rabbit:5673/jobs?heartbeat=60".parse().unwrap();
        assert_eq!(format!("{url}"), "amqp://fleet:***@rabbit:5673/jobs");
        let config = AmqpConfig {
            url: url.clone(),
            name: "test".to_owned(),
            timeouts: AmqpTimeouts::default(),
        };
        assert!(!format!("{config:?}").contains("hid"), "{config:?}");
        let uri = url.uri(Duration::from_secs(10));
        assert_eq!(uri.authority.userinfo.password, "hid/den");
        assert_eq!(uri.query.heartbeat, Some(10));
        let error = "http://user:hidden@rabbit".parse::<AmqpUrl>().unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn the_default_vhost_has_three_spellings() {
        for text in ["amqp://rabbit", "amqp://rabbit/", "amqps://rabbit/%2F"] {
            let url: AmqpUrl = text.parse().unwrap();
            assert_eq!(url.parsed.vhost, "/", "of {text}");
        }
    }
}
