//! Consuming: one task a consumer, which has a channel for itself and alone speaks on it.
//!
//! What is delivered is settled by the task that received it, on the channel that it came on; nobody else knows a delivery's
//! tag. When the channel ends, the task ends, and what was not settled comes again.
//!
//! A subscription is taken out when a message is wanted and ended with the delivery, unless the next is wanted already:
//! with a prefetch of one alone, the broker would put the next message into the hands of who is not ready for it, where
//! nobody else could take it and a crash would count against it. Only on the control queue it stays, since there it is a
//! place in line.
//!
//! A consumer that is dropped gives back what it holds in so many words, and who consumes next on the same connection waits
//! for that: the broker tells a queue of a closed channel some time after it has confirmed the end. On the control queue the
//! channel is closed instead, which gives back and passes the turn on in one step; a cancelled consumer passes its turn on
//! with a message still in its hands, and the successor would get the one after it first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::connection::{Live, within};
use super::topology;
use crate::queue::{Consumer, Delivery, QueueError, QueueName, Settle};

/// How long a subscription outlives a wait that was given up: who waits in a loop gives up and comes back all the time. A
/// message that comes meanwhile is kept for the next wait.
const LINGER: Duration = Duration::from_millis(250);

/// Starts to consume.
pub(super) async fn consume(live: Arc<Live>, queue: QueueName) -> Result<AmqpConsumer, QueueError> {
    topology::declare(&live, queue).await?;
    live.departures.over(queue, live.call).await;
    let channel = live.channel().await?;
    let one = channel.basic_qos(1, BasicQosOptions::default());
    within(live.call, "limiting deliveries", one).await?;
    let (results, arrived) = mpsc::channel(2);
    let (wish, wanted) = watch::channel(false);
    let gone = Arc::new(AtomicBool::new(false));
    let (running, left) = watch::channel(());
    let departures = Arc::clone(&live.departures);
    let mut task = Task {
        live,
        channel,
        queue,
        results,
        wanted,
        gone: Arc::clone(&gone),
        subscription: None,
        held: None,
        _running: running,
    };
    if task.stays() {
        task.subscribe().await?;
    }
    tokio::spawn(task.run());
    Ok(AmqpConsumer {
        arrived,
        wish,
        gone,
        queue,
        left,
        departures,
    })
}

/// The consumer's end of the task.
pub(super) struct AmqpConsumer {
    arrived: mpsc::Receiver<Result<Delivery, QueueError>>,
    /// Whether somebody waits.
    wish: watch::Sender<bool>,
    gone: Arc<AtomicBool>,
    queue: QueueName,
    /// Closed when the task has given back everything.
    left: watch::Receiver<()>,
    departures: Arc<Departures>,
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self) -> Result<Delivery, QueueError> {
        let _wish = Wish::make(&self.wish);
        // It takes something only in the moment in which it returns it.
        let arrived = self.arrived.recv().await;
        arrived.unwrap_or_else(|| Err(QueueError::Unavailable("the consumer has ended".to_owned())))
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        // The task sees that nobody receives; this is for who acknowledges before it does.
        self.gone.store(true, Ordering::SeqCst);
        self.departures.begin(self.queue, self.left.clone());
    }
}

/// Consumers of a connection that are gone and may not have given back yet what they held.
#[derive(Debug, Default)]
pub(super) struct Departures(Mutex<Vec<(QueueName, watch::Receiver<()>)>>);

impl Departures {
    fn begin(&self, queue: QueueName, left: watch::Receiver<()>) {
        let mut leaving = self.lock();
        leaving.retain(|(_, left)| is_open(left));
        if is_open(&left) {
            leaving.push((queue, left));
        }
    }

    /// Waits for those of a queue, so that what they held comes before what was published later.
    async fn over(&self, queue: QueueName, limit: Duration) {
        let leaving: Vec<_> = {
            let of_queue = |(name, left): &(QueueName, watch::Receiver<()>)| (*name == queue).then(|| left.clone());
            self.lock().iter().filter_map(of_queue).collect()
        };
        let all = async {
            for mut left in leaving {
                // Nothing is ever sent: this is the end.
                let _ = left.changed().await;
            }
        };
        // Where it takes too long, what they held comes a little later.
        let _ = timeout(limit, all).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(QueueName, watch::Receiver<()>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_open(left: &watch::Receiver<()>) -> bool {
    left.has_changed().is_ok()
}

/// Somebody waits, until this is dropped.
struct Wish<'a>(&'a watch::Sender<bool>);

impl<'a> Wish<'a> {
    fn make(wish: &'a watch::Sender<bool>) -> Self {
        wish.send_replace(true);
        Self(wish)
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// How a delivery ends; dropped without a word, it is given back.
type Verdict = oneshot::Sender<Result<(), QueueError>>;

#[derive(Debug)]
struct AmqpSettle {
    task: oneshot::Sender<Verdict>,
    gone: Arc<AtomicBool>,
}

#[async_trait]
impl Settle for AmqpSettle {
    async fn acknowledge(self: Box<Self>) -> Result<(), QueueError> {
        let ended = || QueueError::Unavailable("the connection on which it was delivered is gone".to_owned());
        if self.gone.load(Ordering::SeqCst) {
            return Err(ended());
        }
        let (answer, answered) = oneshot::channel();
        self.task.send(answer).map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

enum Next {
    Turn,
    /// The consumer is gone.
    Gone,
}

enum Received {
    Delivery(Box<lapin::message::Delivery>),
    /// It is not wanted any more.
    Nothing,
    /// The consumer is gone.
    Gone,
}

/// What runs for a consumer.
struct Task {
    live: Arc<Live>,
    channel: Channel,
    queue: QueueName,
    results: mpsc::Sender<Result<Delivery, QueueError>>,
    wanted: watch::Receiver<bool>,
    gone: Arc<AtomicBool>,
    /// Never dropped unsaid while the channel is open: the library then cancels it some time later, and does so even when
    /// the channel was closed meanwhile, for which the broker ends the connection.
    subscription: Option<lapin::Consumer>,
    /// What was delivered and is not settled.
    held: Option<lapin::Acker>,
    /// Dropped when everything is given back.
    _running: watch::Sender<()>,
}

impl Task {
    async fn run(mut self) {
        let error = loop {
            match self.turn().await {
                Ok(Next::Turn) => {}
                Ok(Next::Gone) => break None,
                Err(error) => break Some(error),
            }
        };
        let mut error = error;
        if error.is_none() && !self.stays() {
            error = self.give_back().await.err();
        }
        // Whatever is still unsettled comes again when the channel is closed; nothing waits for the answer.
        let closing = self.channel.close(200, "OK".into());
        let closed = within(self.live.call, "closing a channel", closing);
        if let Some(error) = error {
            // A queue that was deleted is made again by who consumes next.
            topology::forget(&self.live, self.queue).await;
            let _ = self.results.try_send(Err(error));
        }
        drop(self.results);
        let _ = closed.await;
    }

    /// Waits for a wish, for a message, and for what becomes of it.
    async fn turn(&mut self) -> Result<Next, QueueError> {
        if self.subscription.is_none() {
            if !self.wish().await {
                return Ok(Next::Gone);
            }
            self.subscribe().await?;
        }
        let delivery = match self.receive().await? {
            Received::Delivery(delivery) => delivery,
            Received::Nothing => return Ok(Next::Turn),
            Received::Gone => return Ok(Next::Gone),
        };
        self.held = Some(delivery.acker.clone());
        let (task, verdict) = oneshot::channel();
        let gone = Arc::clone(&self.gone);
        let settle = Box::new(AmqpSettle { task, gone });
        if self.results.try_send(Ok(handed_over(*delivery, settle))).is_err() {
            return Ok(Next::Gone);
        }
        let verdict = tokio::select! {
            biased;
            () = self.results.closed() => return Ok(Next::Gone),
            verdict = verdict => verdict.ok(),
            // With one delivery unsettled no other can come: this is the end of the connection, or of the channel.
            more = upcoming(&mut self.subscription) => return Err(match more {
                Some(Ok(_)) => QueueError::Unavailable("the broker delivered more than it was asked for".to_owned()),
                Some(Err(error)) => lost(error),
                None => cancelled(),
            }),
        };
        // What is given back may have been its last delivery. For such a one RabbitMQ 3.10 credits the subscription twice,
        // and would deliver two at a time from then on.
        let outlived = verdict.is_some() && *self.wanted.borrow();
        if !self.stays() && !outlived {
            self.unsubscribe(true).await?;
        }
        self.settle(verdict).await?;
        Ok(Next::Turn)
    }

    /// Waits for a message as long as one is wanted.
    async fn receive(&mut self) -> Result<Received, QueueError> {
        let stays = self.stays();
        let delivery = tokio::select! {
            biased;
            () = self.results.closed() => return Ok(Received::Gone),
            delivery = upcoming(&mut self.subscription) => Some(delivery.ok_or_else(cancelled)?),
            () = no_wish(&mut self.wanted), if !stays => None,
        };
        let delivery = match delivery {
            Some(delivery) => Some(delivery),
            None => self.unsubscribe(false).await?,
        };
        match delivery {
            Some(delivery) => Ok(Received::Delivery(Box::new(delivery.map_err(lost)?))),
            None => Ok(Received::Nothing),
        }
    }

    /// Settles what is held.
    async fn settle(&mut self, verdict: Option<Verdict>) -> Result<(), QueueError> {
        let Some(acker) = self.held.take() else { return Ok(()) };
        let call = self.live.call;
        let Some(answer) = verdict else {
            // Not `nack`, which RabbitMQ 4.3 does not count as a delivery.
            let options = BasicRejectOptions { requeue: true };
            return usable(within(call, "giving back", acker.reject(options)).await?);
        };
        let done = within(call, "acknowledging", acker.ack(BasicAckOptions::default())).await;
        let done = done.and_then(usable);
        let told = match &done {
            Ok(()) => Ok(()),
            Err(e) => Err(QueueError::Unavailable(e.to_string())),
        };
        // Who acknowledges may have stopped waiting.
        let _ = answer.send(told);
        done
    }

    /// Gives back everything, and waits until the queue has it.
    async fn give_back(&mut self) -> Result<(), QueueError> {
        if let Some(Ok(unseen)) = self.unsubscribe(false).await? {
            // It was on its way; then nothing was held.
            self.held = Some(unseen.acker.clone());
        }
        self.settle(None).await?;
        // The answer to this comes when the broker has dealt with all that was said before.
        let asked = self.channel.basic_qos(1, BasicQosOptions::default());
        within(self.live.call, "giving back", asked).await
    }

    /// Whether the subscription outlives a delivery.
    fn stays(&self) -> bool {
        self.queue == QueueName::Control
    }

    /// Waits until a message is wanted. False if the consumer is gone.
    async fn wish(&mut self) -> bool {
        let wanted = &mut self.wanted;
        tokio::select! {
            biased;
            () = self.results.closed() => false,
            wish = wanted.wait_for(|wanted| *wanted) => wish.is_ok(),
        }
    }

    async fn subscribe(&mut self) -> Result<(), QueueError> {
        let name = self.queue.to_string();
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        // A tag of the broker's: the last subscription may still hold something under its own.
        let subscribing = self.channel.basic_consume(name.into(), "".into(), options, arguments);
        self.subscription = Some(within(self.live.call, "consuming", subscribing).await?);
        Ok(())
    }

    /// Ends a subscription, if there is one, and returns what was on its way; without waiting, nothing can be on its way, and
    /// what is sent next is still done after it.
    async fn unsubscribe(
        &mut self,
        nowait: bool,
    ) -> Result<Option<lapin::Result<lapin::message::Delivery>>, QueueError> {
        let Some(tag) = self.subscription.as_ref().map(lapin::Consumer::tag) else {
            return Ok(None);
        };
        let cancelling = self.channel.basic_cancel(tag, BasicCancelOptions { nowait });
        within(self.live.call, "ending a subscription", cancelling).await?;
        let Some(mut stream) = self.subscription.take().filter(|_| !nowait) else {
            return Ok(None);
        };
        // What was on its way comes before the end.
        Ok(stream.next().await)
    }
}

/// What comes on a subscription.
async fn upcoming(subscription: &mut Option<lapin::Consumer>) -> Option<lapin::Result<lapin::message::Delivery>> {
    match subscription {
        Some(stream) => stream.next().await,
        None => None,
    }
}

/// Until nobody has waited for a while.
async fn no_wish(wanted: &mut watch::Receiver<bool>) {
    loop {
        if wanted.wait_for(|wanted| !wanted).await.is_err() {
            // The consumer is gone, which is noticed elsewhere.
            return std::future::pending().await;
        }
        tokio::select! {
            () = sleep(LINGER) => return,
            _ = wanted.wait_for(|wanted| *wanted) => {}
        }
    }
}

fn cancelled() -> QueueError {
    QueueError::Unavailable("the broker ended the consumer".to_owned())
}

fn handed_over(delivery: lapin::message::Delivery, settle: Box<dyn Settle>) -> Delivery {
    Delivery {
        deliveries_before: deliveries_before(&delivery.properties),
        dead_from: dead_from(&delivery.properties),
        body: delivery.data.into(),
        settle: Some(settle),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn lost(error: lapin::Error) -> QueueError {
    QueueError::Unavailable(format!("consuming: {error}"))
}

/// The library says whether a delivery could still be settled: on a channel that is gone it cannot.
fn usable(usable: bool) -> Result<(), QueueError> {
    if usable {
        Ok(())
    } else {
        Err(QueueError::Unavailable(
            "the channel on which it was delivered is gone".to_owned(),
        ))
    }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

/// Quorum queues count the deliveries that came to nothing; the first comes without a count.
fn deliveries_before(properties: &BasicProperties) -> u32 {
    let count = match header(properties, "x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => i64::from(*count),
        Some(AMQPValue::LongUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortUInt(count)) => i64::from(*count),
        _ => 0,
    };
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

/// Where a dead letter died first; from the history of its deaths, newest first, where that is not said by itself.
fn dead_from(properties: &BasicProperties) -> Option<String> {
    let text = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    };
    let first = header(properties, "x-first-death-queue").and_then(text);
    first.or_else(|| match header(properties, "x-death")? {
        AMQPValue::FieldArray(deaths) => match deaths.as_slice().last()? {
            AMQPValue::FieldTable(death) => death.inner().get("queue").and_then(text),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(headers: &[(&str, AMQPValue)]) -> BasicProperties {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), value.clone());
        }
        BasicProperties::default().with_headers(table)
    }

    #[test]
    fn counts_and_origins_are_read_from_the_headers() {
        let none = BasicProperties::default();
        assert_eq!((deliveries_before(&none), dead_from(&none)), (0, None));
        let counted = properties(&[("x-delivery-count", AMQPValue::LongLongInt(3))]);
        assert_eq!((deliveries_before(&counted), dead_from(&counted)), (3, None));

        let death = |queue: &str| {
            let mut death = FieldTable::default();
            death.insert("queue".into(), AMQPValue::LongString(queue.into()));
            AMQPValue::FieldTable(death)
        };
        let deaths = AMQPValue::FieldArray(vec![death("later"), death("first")].into());
        let dead = properties(&[("x-death", deaths.clone())]);
        assert_eq!(dead_from(&dead).as_deref(), Some("first"));
        let named = ("x-first-death-queue", AMQPValue::LongString("named".into()));
        assert_eq!(
            dead_from(&properties(&[("x-death", deaths), named])).as_deref(),
            Some("named")
        );
    }
}
