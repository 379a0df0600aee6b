//! Work queues and events, behind one trait: in this process, or on a broker.
//!
//! One conformance suite runs on every implementation.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "testing")]
pub mod conformance;
mod memory;
mod starts;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::job::{ClassName, Lane, Topic};

#[cfg(feature = "amqp")]
pub use amqp::{AmqpConfig, AmqpQueue, AmqpTimeouts, AmqpUrl, AmqpUrlError, BrokerMetrics};
pub use memory::MemoryQueue;
pub use starts::{StartLog, StartLogError};

/// The queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueName {
    /// What schedulers read: reports, hints, dead letters. Of several consumers one is active.
    Control,
    /// Batches and pictures for the engines of a class.
    Work(Lane, ClassName),
    /// Plan and assemble: what needs no engine.
    Media,
    /// The sound of streams. It has a queue of its own: a long film's takes minutes, in which no plan and no result may wait,
    /// and workers of a build that does not know it do not get it.
    Sound,
    /// Webhooks to send.
    Hooks,
}

impl QueueName {
    /// How often a message of this queue is delivered at most before it is a dead letter; nothing for as often as need
    /// be.
    pub fn delivery_limit(self) -> Option<u32> {
        match self {
            Self::Control => None,
            Self::Work(..) | Self::Media | Self::Sound | Self::Hooks => Some(DELIVERY_LIMIT),
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("clearfleet.control"),
            Self::Work(lane, class) => write!(f, "clearfleet.work.{lane}.{class}"),
            Self::Media => f.write_str("clearfleet.work.media"),
            Self::Sound => f.write_str("clearfleet.work.sound"),
            Self::Hooks => f.write_str("clearfleet.work.hooks"),
        }
    }
}

/// Deliveries of a message before it is a dead letter.
pub const DELIVERY_LIMIT: u32 = 5;

/// Events that a queue keeps for a listener that is slow; it loses what is older.
pub const EVENTS_KEPT: usize = 4096;

/// A queue that cannot be reached, or that does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The connection or the queue's process is gone; trying again may help.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// The message was not taken: it is not in the queue.
    #[error("the queue refused a message: {0}")]
    Refused(String),
    /// The queue exists with other properties than this build needs.
    #[error("the queue {queue} is not as it must be: {found}")]
    Mismatch {
        /// Which queue.
        queue: String,
        /// What was found.
        found: String,
    },
}

/// A broker of tasks and events.
///
/// What callers may rely on:
///
/// * **At least once.** A message whose [`publish`](Self::publish) returned `Ok` is delivered until somebody acknowledges
///   it, also after a restart of the broker; with `memory`, as long as the process lives. It may be delivered more
///   than once, also to two consumers at once, when a consumer is taken for dead. After an error it may be in the queue or
///   not.
/// * **Order.** Messages of one queue come in the order of publishing, except those that come again.
/// * **One at a time.** A consumer has one unsettled delivery at most: it gets the next when it has settled this one.
/// * **Dead letters.** What was delivered [`DELIVERY_LIMIT`] times and not acknowledged goes to [`QueueName::Control`] as a
///   delivery whose [`Delivery::dead_from`] says where it came from; the control queue itself never gives up.
/// * **Single active consumer.** Of the consumers of [`QueueName::Control`] one gets all messages; when it goes away, another
///   takes over, and what was not acknowledged comes again.
/// * **Events** reach whoever listens to their topic at that moment; nothing else. A listener that is too slow loses the
///   oldest. While builds are about that know no topics, what these tell reaches everybody who listens.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    /// Puts a message into a queue; when this returns, the queue has it.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], [`QueueError::Refused`], [`QueueError::Mismatch`].
    async fn publish(&self, queue: QueueName, body: Bytes) -> Result<(), QueueError>;

    /// Starts taking messages from a queue.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], [`QueueError::Mismatch`].
    async fn consume(&self, queue: QueueName) -> Result<Box<dyn Consumer>, QueueError>;

    /// Tells everybody who listens to a topic.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    async fn emit(&self, topic: Topic, event: Bytes) -> Result<(), QueueError>;

    /// Listens to events of these topics from now on; they come in the order in which they were told.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    async fn listen(&self, topics: &[Topic]) -> Result<Box<dyn Listener>, QueueError>;
}

/// Takes messages from one queue. Dropped, it gives back what it has not settled.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for the next message. Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] when the connection is gone: consume anew. What was not settled comes again.
    async fn next(&mut self) -> Result<Delivery, QueueError>;
}

/// A message, to be settled once. Dropped unsettled, it is given back and comes again, to whomever, at once.
#[derive(Debug)]
pub struct Delivery {
    /// What was published.
    pub body: Bytes,
    /// How often it was delivered before, as far as the broker counts.
    pub deliveries_before: u32,
    /// The queue whose delivery limit it passed, for a dead letter.
    pub dead_from: Option<String>,
    pub(crate) settle: Option<Box<dyn Settle>>,
}

/// How a delivery is acknowledged.
#[async_trait]
pub(crate) trait Settle: Send + Sync + fmt::Debug {
    /// Takes it out of the queue for good.
    async fn acknowledge(self: Box<Self>) -> Result<(), QueueError>;
}

impl Delivery {
    /// Takes it out of the queue for good.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`]: then it may come again.
    pub async fn acknowledge(mut self) -> Result<(), QueueError> {
        match self.settle.take() {
            Some(settle) => settle.acknowledge().await,
            None => Ok(()),
        }
    }
}

/// Hears events.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next event. Cancel safe.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] when the connection is gone: listen anew. Events between are lost.
    async fn next(&mut self) -> Result<Bytes, QueueError>;
}
