//! The promises of the queues, kept by each implementation.

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

async fn in_memory() -> InMemory {
    InMemory(MemoryQueue::new())
}

mod memory {
    use super::*;

    clearfleet_common::queue_suite!(in_memory, cases: 256);

    #[tokio::test]
    async fn speed() {
        let rate = messages_a_second(&in_memory().await, 100_000).await;
        println!("memory: {rate:.0} messages a second, published, delivered and acknowledged");
    }
}
