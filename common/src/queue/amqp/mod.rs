//! The queue on RabbitMQ, 3.10 to 4.x. [`AmqpQueue`] keeps what [`Queue`] promises with quorum queues.
//!
//! * `config`: which broker, how long it may take. `wire`, `version`: the stream under the client library, and what the
//!   server says of itself on it.
//! * `connection`: one connection to publish, one to consume; new ones when they are lost. `watchdog`: an end for those that
//!   hang. `status`: what is told of them.
//! * `topology`: queues and exchange. `publish`, `consume`, `events`: what is done with them.
//!
//! Every wait for the broker has a deadline. An acknowledgement is not confirmed by the broker: where the connection breaks in
//! that moment, an acknowledged message comes again, as at-least-once allows.

mod config;
mod connection;
mod consume;
mod events;
mod publish;
mod status;
mod topology;
mod version;
mod watchdog;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use connection::{Link, Role};
use publish::Publisher;
use status::Board;

use crate::job::Topic;

use super::{Consumer, Listener, Queue, QueueError, QueueName};

pub use config::{AmqpConfig, AmqpTimeouts, AmqpUrl, AmqpUrlError};
pub use status::BrokerMetrics;

/// Work queues and events on RabbitMQ.
///
/// Made without a connection; the first call connects, and so does each after the connection was lost, after a pause of up to
/// 2 s where the attempt before failed. A call on a lost connection answers [`QueueError::Unavailable`] and is to be made
/// again. Consumers and listeners live as long as they are wanted, also when this is dropped.
#[derive(Debug)]
pub struct AmqpQueue {
    publisher: Publisher,
    link: Link,
    board: Arc<Board>,
}

impl AmqpQueue {
    /// On the broker that is configured.
    pub fn new(config: AmqpConfig) -> Self {
        let board = Arc::<Board>::default();
        Self {
            publisher: Publisher::new(Link::new(config.clone(), Role::Publish, Arc::clone(&board))),
            link: Link::new(config, Role::Consume, Arc::clone(&board)),
            board,
        }
    }

    /// How its connections are, for Prometheus, kept up to date.
    pub fn metrics(&self) -> Arc<BrokerMetrics> {
        self.board.metrics()
    }
}

#[async_trait]
impl Queue for AmqpQueue {
    async fn publish(&self, queue: QueueName, body: Bytes) -> Result<(), QueueError> {
        self.publisher.publish(queue, &body).await
    }

    async fn consume(&self, queue: QueueName) -> Result<Box<dyn Consumer>, QueueError> {
        let live = self.link.live().await?;
        Ok(Box::new(consume::consume(live, queue).await?))
    }

    async fn emit(&self, topic: Topic, event: Bytes) -> Result<(), QueueError> {
        self.publisher.emit(topic, &event).await
    }

    async fn listen(&self, topics: &[Topic]) -> Result<Box<dyn Listener>, QueueError> {
        let live = self.link.live().await?;
        Ok(Box::new(events::listen(live, topics).await?))
    }
}
