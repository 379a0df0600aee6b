//! What every [`Queue`] must keep of its promises, as tests: one function each, run by [`queue_suite!`](crate::queue_suite).
//!
//! A test gets a fresh broker of its own and panics where a promise is broken. All waits are bounded.

#![allow(clippy::missing_panics_doc, reason = "a test says by a panic what is wrong")]

mod control;
mod events;
mod loss;
mod settling;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Consumer, Delivery, Listener, Queue, QueueError, QueueName};
use crate::job::{ClassName, Lane, Topic};

pub use control::{
    control_has_one_active_consumer, control_is_handed_over_with_what_is_unsettled, control_never_gives_up,
    dead_letters_say_where_they_come_from,
};
pub use events::{
    a_slow_listener_loses_the_oldest, events_of_other_topics_are_not_heard, events_reach_whoever_listens,
    waiting_for_events_can_be_given_up,
};
pub use loss::{nothing_is_lost_and_nothing_comes_twice, waiting_can_be_given_up};
pub use settling::{
    a_broken_connection_loses_nothing, a_consumer_has_one_delivery, a_delivery_dropped_comes_again_first,
    a_message_waits_for_a_consumer, an_acknowledged_message_is_gone, consumers_take_turns, messages_come_in_order,
    queues_are_apart, what_a_dead_consumer_held_comes_again,
};

/// A broker that a test has for itself, with nothing in it.
#[async_trait]
pub trait TestBroker: Send + Sync {
    /// Connects to it, as a process would.
    async fn connect(&self) -> Arc<dyn Queue>;

    /// Breaks all connections there are; new ones can be made at once or a little later.
    async fn disconnect_all(&self);
}

/// How long something that must happen may take.
const SOON: Duration = Duration::from_secs(20);

/// How long one waits for what must not happen.
const NOT_NOW: Duration = Duration::from_millis(150);

const WORK: QueueName = QueueName::Media;

/// A queue of the interactive lane.
fn interactive() -> QueueName {
    QueueName::Work(Lane::Interactive, ClassName::default())
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let since = Instant::now();
    let done = tokio::time::timeout(SOON, future).await.ok();
    // A timeout looks once more at what it waits for when time is up: what comes then was never woken.
    done.filter(|_| since.elapsed() < SOON)
        .unwrap_or_else(|| panic!("{what} took longer than {SOON:?}"))
}

/// Runs beside the test: what runs within it is looked at whenever anything else wakes the test.
fn beside<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}

/// What a task beside the test came to.
async fn outcome<T>(what: &str, task: tokio::task::JoinHandle<T>) -> T {
    let outcome = soon(what, task).await;
    outcome.unwrap_or_else(|e| panic!("{what}: {e}"))
}

async fn publish(queue: &dyn Queue, name: QueueName, body: impl Into<Bytes>) {
    let published = soon("publishing", queue.publish(name, body.into())).await;
    published.unwrap_or_else(|e| panic!("publishing failed: {e}"));
}

/// Publishes the numbers below `count`, each as its decimal digits.
async fn publish_numbers(queue: &dyn Queue, name: QueueName, count: usize) {
    for n in 0..count {
        publish(queue, name, n.to_string()).await;
    }
}

async fn consume(queue: &dyn Queue, name: QueueName) -> Box<dyn Consumer> {
    let consumer = soon("consuming", queue.consume(name)).await;
    consumer.unwrap_or_else(|e| panic!("consuming failed: {e}"))
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let delivery = soon("a delivery", consumer.next()).await;
    delivery.unwrap_or_else(|e| panic!("no delivery: {e}"))
}

async fn acknowledge(delivery: Delivery) {
    let settled = soon("acknowledging", delivery.acknowledge()).await;
    settled.unwrap_or_else(|e| panic!("acknowledging failed: {e}"));
}

/// Takes and acknowledges `count` messages; returns their bodies.
async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = next(consumer).await;
        bodies.push(text(&delivery.body));
        acknowledge(delivery).await;
    }
    bodies
}

/// Makes sure that nothing is delivered.
async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    if let Ok(delivery) = tokio::time::timeout(NOT_NOW, consumer.next()).await {
        panic!("there is a delivery where none must be: {delivery:?}");
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// The numbers of a range as their decimal digits.
fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Runs every test of the suite; `$fresh` is an async function or closure that returns a fresh
/// [`TestBroker`](crate::queue::conformance::TestBroker), or nothing where there is none to test, and has said so. `$cases`
/// is how many random histories are played.
#[macro_export]
macro_rules! queue_suite {
    ($fresh:expr, cases: $cases:expr) => {
        $crate::queue_suite! { @tests $fresh,
            messages_come_in_order
            a_message_waits_for_a_consumer
            a_consumer_has_one_delivery
            consumers_take_turns
            a_delivery_dropped_comes_again_first
            what_a_dead_consumer_held_comes_again
            an_acknowledged_message_is_gone
            a_broken_connection_loses_nothing
            queues_are_apart
            dead_letters_say_where_they_come_from
            control_never_gives_up
            control_has_one_active_consumer
            control_is_handed_over_with_what_is_unsettled
            waiting_can_be_given_up
            events_reach_whoever_listens
            events_of_other_topics_are_not_heard
            a_slow_listener_loses_the_oldest
            waiting_for_events_can_be_given_up
        }

        #[test]
        fn nothing_is_lost_and_nothing_comes_twice() {
            $crate::queue::conformance::nothing_is_lost_and_nothing_comes_twice($fresh, $cases);
        }
    };
    (@tests $fresh:expr, $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(broker) = $fresh().await {
                    $crate::queue::conformance::$name(&broker).await;
                }
            }
        )*
    };
}
