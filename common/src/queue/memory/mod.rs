//! The queue of one process: the promises of the broker's, without a broker. What it holds ends with the process; all of
//! it can be made again from storage.

mod broker;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use broker::{Broker, ConsumerId, Taken};

use crate::job::Topic;

use super::{Consumer, Delivery, EVENTS_KEPT, Listener, Queue, QueueError, QueueName, Settle};

/// Work queues and events within one process. Clones share what is in them.
///
/// Its [`Queue`] side keeps what the trait promises. The rest is what happens to a broker, for tests:
/// [`disconnect_all`](Self::disconnect_all), [`go_down`](Self::go_down), [`wipe`](Self::wipe).
#[derive(Clone, Debug)]
pub struct MemoryQueue(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    broker: Broker,
    events: broadcast::Sender<(Topic, Bytes)>,
    /// Why nobody reaches it.
    down: Option<&'static str>,
}

impl Shared {
    fn disconnect_all(&mut self) {
        self.broker.disconnect_all();
        // Listeners of the old channel hear what it still holds, then that it is closed.
        self.events = broadcast::Sender::new(EVENTS_KEPT);
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// One with nothing in it.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Shared {
            broker: Broker::default(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            down: None,
        })))
    }

    /// Breaks all connections: every consumer and listener gets [`QueueError::Unavailable`], and what was delivered and
    /// not settled comes again. Who connects anew finds everything else as it was.
    pub fn disconnect_all(&self) {
        self.change(Shared::disconnect_all);
    }

    /// Breaks all connections and refuses new ones until [`come_up`](Self::come_up). What is in the queues stays.
    pub fn go_down(&self) {
        self.change(|shared| {
            shared.disconnect_all();
            shared.down = Some("the broker is down");
        });
    }

    /// Ends what [`go_down`](Self::go_down) began.
    pub fn come_up(&self) {
        self.change(|shared| shared.down = None);
    }

    /// Breaks all connections and deletes every message, unsettled ones too: a broker whose disk was lost.
    /// Whoever connects anew finds the queues as they are afterwards.
    pub fn wipe(&self) {
        self.change(|shared| {
            shared.disconnect_all();
            shared.broker.wipe();
        });
    }

    /// Number of messages in a queue, those that are delivered and not settled included.
    pub fn messages(&self, queue: QueueName) -> usize {
        self.change(|shared| shared.broker.messages(queue))
    }

    /// Changes the state, then wakes whom that concerns: a waker may run code that comes back here.
    fn change<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        let (result, awake): (T, Vec<Waker>) = {
            let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let result = change(&mut shared);
            (result, shared.broker.awake())
        };
        awake.into_iter().for_each(Waker::wake);
        result
    }

    /// As [`change`](Self::change), if the broker can be reached.
    fn call<T>(&self, call: impl FnOnce(&mut Shared) -> T) -> Result<T, QueueError> {
        self.change(|shared| match shared.down {
            Some(why) => Err(QueueError::Unavailable(why.to_owned())),
            None => Ok(call(shared)),
        })
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, queue: QueueName, body: Bytes) -> Result<(), QueueError> {
        self.call(|shared| shared.broker.publish(queue, body))
    }

    async fn consume(&self, queue: QueueName) -> Result<Box<dyn Consumer>, QueueError> {
        let id = self.call(|shared| shared.broker.join(queue))?;
        Ok(Box::new(MemoryConsumer {
            memory: self.clone(),
            queue,
            id,
        }))
    }

    async fn emit(&self, topic: Topic, event: Bytes) -> Result<(), QueueError> {
        // An error says that nobody listens, and then there is nobody to tell.
        self.call(|shared| shared.events.send((topic, event)).map_or(0, |listeners| listeners))?;
        Ok(())
    }

    async fn listen(&self, topics: &[Topic]) -> Result<Box<dyn Listener>, QueueError> {
        let events = self.call(|shared| shared.events.subscribe())?;
        Ok(Box::new(MemoryListener {
            events,
            topics: topics.to_vec(),
        }))
    }
}

fn disconnected() -> QueueError {
    QueueError::Unavailable("the connection to the queue in this process was closed".to_owned())
}

struct MemoryConsumer {
    memory: MemoryQueue,
    queue: QueueName,
    id: ConsumerId,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Delivery, QueueError> {
        // Until it takes a message under the lock, and returns it at once, there is nothing that could be lost.
        let _place = Place(self);
        let (queue, id) = (self.queue, self.id);
        let taken = poll_fn(|cx| {
            self.memory
                .change(|shared| shared.broker.poll_take(queue, id, cx.waker()))
        });
        let Taken { ticket, message } = taken.await.ok_or_else(disconnected)?;
        let settle = MemorySettle {
            memory: self.memory.clone(),
            queue,
            id,
            ticket,
        };
        Ok(Delivery {
            body: message.body,
            deliveries_before: message.deliveries,
            dead_from: message.dead_from,
            settle: Some(Box::new(settle)),
        })
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let (queue, id) = (self.queue, self.id);
        self.memory.change(|shared| shared.broker.leave(queue, id));
    }
}

/// A place among those who wait for a queue's next message, given up when nobody waits any more.
struct Place<'a>(&'a MemoryConsumer);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let MemoryConsumer { memory, queue, id } = self.0;
        memory.change(|shared| shared.broker.stop_waiting(*queue, *id));
    }
}

#[derive(Debug)]
struct MemorySettle {
    memory: MemoryQueue,
    queue: QueueName,
    id: ConsumerId,
    ticket: u64,
}

#[async_trait]
impl Settle for MemorySettle {
    async fn acknowledge(self: Box<Self>) -> Result<(), QueueError> {
        let settled = self
            .memory
            .change(|shared| shared.broker.settle(self.queue, self.id, self.ticket));
        if settled { Ok(()) } else { Err(disconnected()) }
    }
}

impl Drop for MemorySettle {
    fn drop(&mut self) {
        // Finds nothing to give back where it was acknowledged, or given back before with its consumer.
        self.memory
            .change(|shared| shared.broker.give_back(self.queue, self.id, self.ticket));
    }
}

struct MemoryListener {
    events: broadcast::Receiver<(Topic, Bytes)>,
    topics: Vec<Topic>,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn next(&mut self) -> Result<Bytes, QueueError> {
        loop {
            match self.events.recv().await {
                Ok((topic, event)) if self.topics.contains(&topic) => return Ok(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a listener is too slow: it lost the oldest events");
                }
                Err(broadcast::error::RecvError::Closed) => return Err(disconnected()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{pin_mut, poll};

    use super::*;

    const WORK: QueueName = QueueName::Media;

    async fn with_messages(count: usize) -> MemoryQueue {
        let queue = MemoryQueue::new();
        for n in 0..count {
            queue.publish(WORK, n.to_string().into()).await.unwrap();
        }
        queue
    }

    /// A turn that is given up goes to who comes next, even if a message was on its way already.
    #[tokio::test]
    async fn a_turn_given_up_is_not_lost() {
        let queue = MemoryQueue::new();
        let (mut one, mut other) = (queue.consume(WORK).await.unwrap(), queue.consume(WORK).await.unwrap());
        let waiting = tokio::spawn(async move {
            let delivery = other.next().await;
            delivery.unwrap().body
        });
        {
            let next = one.next();
            pin_mut!(next);
            assert!(poll!(&mut next).is_pending());
            tokio::task::yield_now().await;
            queue.publish(WORK, "now".into()).await.unwrap();
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished(), "it was the first one's turn");
        }
        let within = tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await;
        assert_eq!(within.expect("the other is woken").unwrap(), "now");
    }

    #[tokio::test]
    async fn a_wiped_queue_holds_nothing_and_takes_new_messages() {
        let queue = with_messages(3).await;
        let mut consumer = queue.consume(WORK).await.unwrap();
        let held = consumer.next().await.unwrap();
        assert_eq!(queue.messages(WORK), 3);
        queue.wipe();
        assert_eq!(queue.messages(WORK), 0);
        assert!(matches!(consumer.next().await, Err(QueueError::Unavailable(_))));
        queue.publish(WORK, "new".into()).await.unwrap();
        let mut consumer = queue.consume(WORK).await.unwrap();
        let new = consumer.next().await.unwrap();
        // Of the old one, neither an end nor a return means anything any more.
        drop(held);
        assert_eq!((new.body.clone(), new.deliveries_before), ("new".into(), 0));
        new.acknowledge().await.unwrap();
        assert_eq!(queue.messages(WORK), 0);
    }

    /// Connects and publishes anew in the moment in which it is woken: nobody is quicker.
    struct Quick {
        queue: MemoryQueue,
        is_done: std::sync::atomic::AtomicBool,
        consumer: Mutex<Option<ConsumerId>>,
    }

    impl std::task::Wake for Quick {
        fn wake(self: Arc<Self>) {
            if !self.is_done.swap(true, std::sync::atomic::Ordering::SeqCst) {
                let connected = self.queue.call(|shared| {
                    shared.broker.publish(WORK, "new".into());
                    shared.broker.join(WORK)
                });
                *self.consumer.lock().unwrap() = connected.ok();
            }
        }
    }

    impl Quick {
        /// Waits for a message of a queue.
        async fn waiting(queue: &MemoryQueue) -> Arc<Self> {
            let quick = Arc::new(Self {
                queue: queue.clone(),
                is_done: false.into(),
                consumer: Mutex::default(),
            });
            let id = queue.call(|shared| shared.broker.join(WORK)).unwrap();
            let waker = Waker::from(Arc::clone(&quick));
            let polled = queue.change(|shared| shared.broker.poll_take(WORK, id, &waker));
            assert!(polled.is_pending());
            quick
        }
    }

    #[tokio::test]
    async fn who_connects_while_a_queue_is_wiped_is_not_wiped_with_it() {
        let queue = MemoryQueue::new();
        let quick = Quick::waiting(&queue).await;
        queue.wipe();
        assert_eq!(queue.messages(WORK), 1, "what was published afterwards is there");
        let id = quick.consumer.lock().unwrap().expect("it is up");
        let taken = queue.change(|shared| shared.broker.poll_take(WORK, id, Waker::noop()));
        let std::task::Poll::Ready(Some(taken)) = taken else {
            panic!("the consumer that connected is gone: {taken:?}");
        };
        assert_eq!(taken.message.body, "new");
        // The same of a broker that goes down: nobody connects while it does.
        let queue = MemoryQueue::new();
        let quick = Quick::waiting(&queue).await;
        queue.go_down();
        assert_eq!((*quick.consumer.lock().unwrap(), queue.messages(WORK)), (None, 0));
    }

    #[tokio::test]
    async fn a_broker_that_is_down_refuses_everything_and_keeps_its_messages() {
        let queue = with_messages(1).await;
        let mut listener = queue.listen(&[Topic::Records]).await.unwrap();
        let mut consumer = queue.consume(WORK).await.unwrap();
        let held = consumer.next().await.unwrap();
        queue.go_down();
        let refused = [
            queue.publish(WORK, "lost".into()).await.is_err(),
            queue.emit(Topic::Records, "lost".into()).await.is_err(),
            queue.consume(WORK).await.is_err(),
            queue.listen(&[Topic::Records]).await.is_err(),
            consumer.next().await.is_err(),
            listener.next().await.is_err(),
            held.acknowledge().await.is_err(),
        ];
        assert_eq!(refused, [true; 7]);
        queue.come_up();
        assert_eq!(queue.messages(WORK), 1);
        let again = queue.consume(WORK).await.unwrap().next().await.unwrap();
        assert_eq!((again.body.clone(), again.deliveries_before), ("0".into(), 1));
    }
}
