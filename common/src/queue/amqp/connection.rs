//! A connection, and the way to always have one.
//!
//! The client library can recover a connection by itself. That is not used: it keeps channels, and with them deliveries whose
//! tags mean something else on the new connection. Here what belonged to a lost connection ends with it, and the next call
//! makes a new one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::config::AmqpConfig;
use super::consume::Departures;
use super::status::{Board, Presence};
use super::version::Version;
use super::watchdog;
use super::wire::{self, Kit, Tap};
use crate::queue::{QueueError, QueueName};

/// Pauses between attempts to connect: the first, and the longest. Short, since a call waits for its turn.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What a connection is for. RabbitMQ stops reading from who publishes when it runs out of memory or disk: what is to be
/// acknowledged must not wait behind that.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Publish,
    Consume,
}

impl Role {
    fn suffix(self) -> &'static str {
        match self {
            Self::Publish => "publishes",
            Self::Consume => "consumes",
        }
    }
}

/// Connects when it is needed, and anew when the connection is lost.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: AmqpConfig,
    role: Role,
    board: Arc<Board>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Arc<Live>>,
    failed: Option<Failure>,
}

/// The last attempt to connect, if it failed.
#[derive(Debug)]
struct Failure {
    at: Instant,
    why: String,
    pause: Duration,
}

impl Link {
    pub(super) fn new(config: AmqpConfig, role: Role, board: Arc<Board>) -> Self {
        let state = Mutex::default();
        Self {
            config,
            role,
            board,
            state,
        }
    }

    /// The connection; a new one if there is none. One caller tries at a time, not before the pause after the last failure
    /// is over, and whoever waited meanwhile shares what came of it.
    pub(super) async fn live(&self) -> Result<Arc<Live>, QueueError> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(live) = state.live.as_ref().filter(|live| live.is_up()) {
            return Ok(Arc::clone(live));
        }
        state.live = None;
        let mut pause = PAUSES.0;
        if let Some(failed) = &state.failed {
            if failed.at > asked {
                return Err(QueueError::Unavailable(failed.why.clone()));
            }
            // All processes of a fleet lose a broker at the same moment; they shall not come back at the same moment.
            sleep_until(failed.at + failed.pause.mul_f64(1.0 - jitter() / 2.0)).await;
            pause = (2 * failed.pause).min(PAUSES.1);
        }
        let presence = Presence::new(Arc::clone(&self.board), self.role);
        match Live::connect(&self.config, self.role, presence).await {
            Ok(live) => {
                state.failed = None;
                Ok(Arc::clone(state.live.insert(live)))
            }
            Err(error) => {
                let (at, why) = (Instant::now(), reason(&error));
                state.failed = Some(Failure { at, why, pause });
                Err(error)
            }
        }
    }
}

fn reason(error: &QueueError) -> String {
    match error {
        QueueError::Unavailable(why) => why.clone(),
        other => other.to_string(),
    }
}

/// A number in `[0, 1)`, another one each time.
fn jitter() -> f64 {
    let random = uuid::Uuid::new_v4().as_u64_pair().0 >> 11;
    random as f64 / (1u64 << 53) as f64
}

/// One connection from its beginning to its end.
#[derive(Debug)]
pub(super) struct Live {
    connection: Connection,
    tap: Arc<Tap>,
    cut: AtomicBool,
    pub(super) version: Version,
    pub(super) call: Duration,
    /// What was declared on it.
    pub(super) declared: Mutex<HashSet<QueueName>>,
    /// Who consumed on it and is about to give back.
    pub(super) departures: Arc<Departures>,
}

impl Live {
    async fn connect(config: &AmqpConfig, role: Role, presence: Presence) -> Result<Arc<Self>, QueueError> {
        let timeouts = config.timeouts;
        let tap = Arc::new(Tap::new(presence));
        let properties =
            ConnectionProperties::default().with_connection_name(format!("{} ({})", config.name, role.suffix()).into());
        let wired = Arc::clone(&tap);
        let connecting = Connection::connector(
            config.url.uri(timeouts.heartbeat),
            Kit::runtime(),
            async move |uri, _| Ok(wire::connect(&uri, &wired).await?),
            properties,
        );
        let connected = timeout(timeouts.connect, connecting).await;
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            failed => {
                tap.cut();
                let why = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("no answer within {:?}", timeouts.connect),
                };
                return Err(QueueError::Unavailable(format!("{}: {why}", config.url)));
            }
        };
        let version = tap.greeting().version().unwrap_or_else(|| {
            tracing::warn!(broker = %config.url, "the broker does not say its version: it is taken for the oldest");
            Version::OLDEST
        });
        let live = Arc::new(Self {
            connection,
            tap,
            cut: AtomicBool::new(false),
            version,
            call: timeouts.call,
            declared: Mutex::default(),
            departures: Arc::default(),
        });
        if matches!(role, Role::Consume) {
            watchdog::watch(&live, timeouts.watchdog).await?;
        }
        live.tap.presence.begins();
        tracing::info!(broker = %config.url, %version, role = role.suffix(), "connected to the broker");
        Ok(live)
    }

    pub(super) fn is_up(&self) -> bool {
        !self.cut.load(Ordering::Relaxed) && self.connection.status().connected()
    }

    /// Whether the broker has stopped reading, for want of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Ends it, without a word to the broker.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.tap.cut();
    }

    /// Opens a channel; dropped, it closes.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        within(self.call, "opening a channel", self.connection.create_channel()).await
    }
}

/// Waits for an answer of the broker, and not longer than it may take.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, QueueError> {
    match timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(QueueError::Unavailable(format!("{what}: {error}"))),
        Err(_) => Err(QueueError::Unavailable(format!("{what} took longer than {limit:?}"))),
    }
}
