//! The promises of the queues, kept by each implementation.

#![allow(clippy::unwrap_used, reason = "all of it is test code, helpers too")]

#[allow(dead_code, reason = "the tests of a fleet use the rest")]
mod node;
#[allow(dead_code, reason = "the tests of a fleet use the rest")]
mod proxy;
mod rabbitmq;

use std::sync::Arc;

use async_trait::async_trait;
use clearfleet_common::queue::conformance::{TestBroker, messages_a_second};
use clearfleet_common::queue::{MemoryQueue, Queue};

/// The queue within the process.
struct InMemory(MemoryQueue);

#[async_trait]
impl TestBroker for InMemory {
    async fn connect(&self) -> Arc<dyn Queue> {
        Arc::new(self.0.clone())
    }

    async fn disconnect_all(&self) {
        self.0.disconnect_all();
    }
}

mod memory {
    use super::*;

    async fn fresh() -> Option<InMemory> {
        Some(InMemory(MemoryQueue::new()))
    }

    clearfleet_common::queue_suite!(fresh, cases: 256);

    #[tokio::test]
    async fn speed() {
        let rate = messages_a_second(&InMemory(MemoryQueue::new()), 100_000).await;
        println!("memory: {rate:.0} messages a second, published, delivered and acknowledged");
    }
}

mod on_rabbitmq {
    use super::node::Vhost;
    use super::*;

    clearfleet_common::queue_suite!(Vhost::fresh, cases: 24);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn speed() {
        let Some(broker) = Vhost::fresh().await else { return };
        let rate = messages_a_second(&broker, 3000).await;
        println!("RabbitMQ: {rate:.0} messages a second, published, delivered and acknowledged");
    }
}
