//! The control queue: being the one that is active, and what comes in then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearfleet_common::job::{ControlMessage, FORMAT_VERSION, Task};
use clearfleet_common::queue::{Consumer, Delivery, Queue, QueueError, QueueName};
use clearfleet_common::schedule::Input;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Turned;

/// A loop that has not turned for this long schedules nothing: another process shall.
const HUNG: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a process that does not schedule asks whether it is its turn.
const WAKE_EVERY: Duration = Duration::from_secs(5);
/// Pauses between attempts to reach a queue that is gone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Takes what the control queue brings.
pub(super) struct Control {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) turned: Arc<Turned>,
}

/// Why a consumer was given up.
enum Ended {
    /// The process ends.
    Stop,
    /// The queue is gone.
    Gone(QueueError),
    /// The loop hangs; the control queue goes to somebody else until it turns again.
    Hung,
}

impl Control {
    /// Consumes until `stop`. The first delivery says that this process is the active one; when the consumer is gone, it
    /// is not any more.
    pub(super) async fn consume(self, stop: CancellationToken) {
        let mut pause = PAUSES.0;
        while !stop.is_cancelled() {
            let ended = match self.queue.consume(QueueName::Control).await {
                Ok(consumer) => {
                    pause = PAUSES.0;
                    self.follow(consumer, &stop).await
                }
                Err(e) => Ended::Gone(e),
            };
            match ended {
                Ended::Stop => return,
                Ended::Gone(e) => {
                    tracing::warn!(
                        error = &e as &dyn std::error::Error,
                        "the control queue cannot be consumed"
                    );
                    stop.run_until_cancelled(sleep(pause)).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Ended::Hung => {
                    tracing::error!(
                        seconds = HUNG.as_secs(),
                        "the scheduler hangs; another one may take over"
                    );
                    let turns_again = async {
                        while self.turned.ago() > LOOK_EVERY {
                            sleep(LOOK_EVERY).await;
                        }
                    };
                    stop.run_until_cancelled(turns_again).await;
                }
            }
        }
    }

    async fn follow(&self, mut consumer: Box<dyn Consumer>, stop: &CancellationToken) -> Ended {
        let mut active = false;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wake_due = Instant::now();
        let ended = loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => break Ended::Stop,
                delivery = consumer.next() => delivery,
                _ = look.tick() => {
                    if active && self.turned.ago() > HUNG {
                        break Ended::Hung;
                    }
                    if !active && Instant::now() >= wake_due {
                        // Brokers do not say who of several consumers is the active one: a message does.
                        if let Err(e) = self.queue.publish(QueueName::Control, wake()).await {
                            break Ended::Gone(e);
                        }
                        wake_due = Instant::now() + WAKE_EVERY;
                    }
                    continue;
                }
            };
            let delivery = match delivery {
                Ok(delivery) => delivery,
                Err(e) => break Ended::Gone(e),
            };
            if !active {
                tracing::info!("this process schedules now");
                self.give(Input::Activated, stop).await;
                active = true;
            }
            if let Err(e) = self.take(delivery, stop).await {
                break Ended::Gone(e);
            }
        };
        drop(consumer);
        if active {
            self.give(Input::Deactivated, stop).await;
        }
        ended
    }

    /// Hands a delivery to the loop and acknowledges it. What is lost with this process from then on is found again by
    /// whoever schedules next, in records and markers.
    async fn take(&self, delivery: Delivery, stop: &CancellationToken) -> Result<(), QueueError> {
        match read(&delivery) {
            Ok(input) => {
                let hung = tokio::time::timeout(HUNG, self.give(input, stop)).await.is_err();
                if hung {
                    // Not acknowledged, it comes again, to whoever schedules then.
                    return Ok(());
                }
            }
            Err(reason) => {
                let origin = delivery.dead_from.as_deref();
                tracing::error!(
                    reason,
                    origin,
                    "a message of the control queue cannot be read and is dropped"
                );
            }
        }
        delivery.acknowledge().await
    }

    async fn give(&self, input: Input, stop: &CancellationToken) {
        // Where nobody takes it, the process ends.
        let _ = stop.run_until_cancelled(self.inputs.send(input)).await;
    }
}

fn wake() -> Bytes {
    serde_json::to_vec(&ControlMessage::Wake).unwrap_or_default().into()
}

/// What any message says of the build that wrote it.
#[derive(Deserialize)]
struct Versioned {
    version: Option<u32>,
}

/// What a delivery of the control queue means; where it means nothing, why.
fn read(delivery: &Delivery) -> Result<Input, String> {
    if let Ok(Versioned { version: Some(found) }) = serde_json::from_slice(&delivery.body)
        && found > FORMAT_VERSION
    {
        return Err(format!(
            "it is of version {found}, and this build reads up to {FORMAT_VERSION}"
        ));
    }
    let input = match delivery.dead_from {
        Some(_) => serde_json::from_slice::<Task>(&delivery.body).map(Input::DeadLetter),
        None => serde_json::from_slice(&delivery.body).map(Input::Control),
    };
    input.map_err(|e| e.to_string())
}
