//! Publishing: a message counts as published when the broker has confirmed it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::{Link, Live, within};
use super::topology::{self, EVENTS};
use crate::job::Topic;
use crate::queue::{QueueError, QueueName};

/// Messages that are on their way at a time, each on a channel of its own. A confirmation says nothing of the message but
/// its number; with one message a channel, a message that comes back cannot be taken for another.
const CHANNELS: usize = 16;
/// In the broker's words: written to disk.
const PERSISTENT: u8 = 2;

/// Publishes over a connection of its own.
#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    turns: Semaphore,
    /// Channels on which nothing is on its way.
    idle: Mutex<Vec<Line>>,
}

#[derive(Debug)]
struct Line {
    live: Arc<Live>,
    channel: Channel,
    /// Whether the exchange of events was declared on it.
    events: bool,
}

impl Publisher {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            turns: Semaphore::new(CHANNELS),
            idle: Mutex::default(),
        }
    }

    /// Puts a message into a queue.
    pub(super) async fn publish(&self, queue: QueueName, body: &Bytes) -> Result<(), QueueError> {
        self.on_a_line(async |line| {
            topology::declare(&line.live, queue).await?;
            let name = queue.to_string();
            let options = BasicPublishOptions {
                mandatory: true,
                ..Default::default()
            };
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let sent = line
                .channel
                .basic_publish("".into(), name.into(), options, body, properties);
            match sent.await.map_err(lost)?.await.map_err(lost)? {
                Confirmation::Ack(None) => Ok(()),
                Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                    topology::forget(&line.live, queue).await;
                    Err(QueueError::Refused(format!("{queue}: {}", returned.reply_text)))
                }
                // It may take it next time: a queue that is just being moved, for one.
                Confirmation::Nack(None) => Err(QueueError::Unavailable(format!("{queue} did not take a message"))),
                Confirmation::NotRequested => Err(QueueError::Unavailable(format!("{queue} confirms nothing"))),
            }
        })
        .await
    }

    /// Tells everybody who listens to a topic. The confirmation says that the event is with all of them, so who listens
    /// afterwards does not hear it.
    pub(super) async fn emit(&self, topic: Topic, event: &Bytes) -> Result<(), QueueError> {
        self.on_a_line(async |line| {
            if !line.events {
                topology::declare_events(&line.live, &line.channel).await?;
                line.events = true;
            }
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let sent =
                line.channel
                    .basic_publish(EVENTS.into(), <&str>::from(topic).into(), options, event, properties);
            sent.await.map_err(lost)?.await.map_err(lost)?;
            Ok(())
        })
        .await
    }

    /// Does something on a channel that nobody else uses meanwhile, within the time for a confirmation. A call that is given
    /// up, or to which no answer comes, takes its channel along.
    async fn on_a_line(
        &self,
        publish: impl AsyncFnOnce(&mut Line) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let limit = self.link.config.timeouts.confirm;
        let mut used = None;
        let publishing = async {
            let _turn = self.turns.acquire().await;
            let mut line = self.line().await?;
            used = Some(Arc::clone(&line.live));
            let published = publish(&mut line).await;
            if line.channel.status().connected() && line.live.is_up() {
                self.idle().push(line);
            }
            published
        };
        let Ok(published) = timeout(limit, publishing).await else {
            let why = match used {
                Some(live) if live.is_blocked() => "the broker is short of memory or disk and takes nothing",
                Some(live) => {
                    live.cut();
                    "no confirmation came"
                }
                None => "no connection",
            };
            return Err(QueueError::Unavailable(format!("{why} within {limit:?}")));
        };
        published
    }

    /// A channel of the present connection.
    async fn line(&self) -> Result<Line, QueueError> {
        let live = self.link.live().await?;
        let idle = {
            let mut idle = self.idle();
            idle.retain(|line| Arc::ptr_eq(&line.live, &live) && line.channel.status().connected());
            idle.pop()
        };
        if let Some(line) = idle {
            return Ok(line);
        }
        let channel = live.channel().await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        within(live.call, "asking for confirmations", confirming).await?;
        let events = false;
        Ok(Line { live, channel, events })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn lost(error: lapin::Error) -> QueueError {
    QueueError::Unavailable(format!("publishing: {error}"))
}
