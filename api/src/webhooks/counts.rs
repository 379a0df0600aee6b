//! What is counted of webhooks.

use prometheus::{IntCounter, IntGauge, Registry};

/// The metrics of webhooks.
#[derive(Clone, Debug)]
pub struct HookCounts {
    /// Webhooks that their receiver took.
    pub delivered: IntCounter,
    /// Attempts that failed.
    pub failed: IntCounter,
    /// Webhooks that were given up after the last attempt.
    pub given_up: IntCounter,
    /// Webhooks that wait for another attempt, as this process knows them.
    pub waiting: IntGauge,
}

impl HookCounts {
    /// Counts from 0, in this registry.
    ///
    /// # Errors
    /// If the registry has metrics of these names.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("clearfleet_webhooks_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let waiting = IntGauge::new("clearfleet_webhooks_waiting", "Webhooks that wait for another attempt.")?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            delivered: counter("delivered", "Webhooks that their receiver took.")?,
            failed: counter("failed_attempts", "Attempts to send a webhook that failed.")?,
            given_up: counter("given_up", "Webhooks that were given up after the last attempt.")?,
            waiting,
        })
    }
}
