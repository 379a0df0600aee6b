//! The promises of the queues, kept by each implementation.

#![allow(clippy::unwrap_used, reason = "all of it is test code, helpers too")]

#[allow(dead_code, reason = "the tests of a fleet use the rest")]
mod node;
#[allow(dead_code, reason = "the tests of a fleet use the rest")]
mod proxy;
mod rabbitmq;

use std::sync::Arc;

use async_trait::async_trait;
use clearfleet_common::queue::conformance::TestBroker;
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
}

mod on_rabbitmq {
    use super::node::Vhost;

    clearfleet_common::queue_suite!(Vhost::fresh, cases: 24);
}
