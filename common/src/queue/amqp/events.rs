//! Events: each listener has a queue that ends with it, and a ring in this process out of which a slow one loses the oldest.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::connection::{Live, within};
use super::topology::{self, ANY_TOPIC, EVENTS};
use crate::job::Topic;
use crate::queue::{EVENTS_KEPT, Listener, QueueError};

/// Starts to listen: what is told of these topics from now on is heard, and what builds tell that know no topics.
pub(super) async fn listen(live: Arc<Live>, topics: &[Topic]) -> Result<AmqpListener, QueueError> {
    let channel = live.channel().await?;
    topology::declare_events(&live, &channel).await?;
    let options = QueueDeclareOptions::exclusive().auto_delete();
    let declaring = channel.queue_declare("".into(), options, arguments());
    let queue = within(live.call, "declaring a listener's queue", declaring).await?;
    let name = queue.name().clone();
    for topic in topics.iter().map(<&str>::from).chain([ANY_TOPIC]) {
        let binding = channel.queue_bind(
            name.clone(),
            EVENTS.into(),
            topic.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        within(live.call, "binding a listener's queue", binding).await?;
    }
    let options = BasicConsumeOptions {
        no_ack: true,
        exclusive: true,
        ..Default::default()
    };
    let consuming = channel.basic_consume(name, "".into(), options, FieldTable::default());
    let stream = within(live.call, "listening", consuming).await?;
    let events = broadcast::Sender::new(EVENTS_KEPT);
    let listener = AmqpListener(events.subscribe());
    tokio::spawn(forward(live, channel, stream, events));
    Ok(listener)
}

/// Where a connection is slow the queue fills, and loses the oldest too.
fn arguments() -> FieldTable {
    let mut table = FieldTable::default();
    let kept = i64::try_from(EVENTS_KEPT).unwrap_or(i64::MAX);
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(kept));
    table.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    table
}

/// Fills the ring until nobody listens or nothing comes any more.
async fn forward(live: Arc<Live>, channel: Channel, mut stream: Consumer, events: broadcast::Sender<Bytes>) {
    loop {
        tokio::select! {
            () = events.closed() => break,
            event = stream.next() => match event {
                Some(Ok(event)) => {
                    // An error says that nobody listens, which ends this.
                    let _ = events.send(event.data.into());
                }
                // The listener learns of it when it has heard what is in the ring.
                _ => break,
            },
        }
    }
    drop(events);
    // The queue ends with its channel.
    let _ = within(live.call, "closing a channel", channel.close(200, "OK".into())).await;
}

pub(super) struct AmqpListener(broadcast::Receiver<Bytes>);

#[async_trait]
impl Listener for AmqpListener {
    async fn next(&mut self) -> Result<Bytes, QueueError> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Ok(event),
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a listener is too slow: it lost the oldest events");
                }
                Err(RecvError::Closed) => {
                    return Err(QueueError::Unavailable(
                        "the connection on which events came is gone".to_owned(),
                    ));
                }
            }
        }
    }
}
