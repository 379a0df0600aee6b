//! Taking deliveries: one consumer a kind, two for films, each with one unsettled delivery at most.

use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::Lane;
use clearfleet_common::queue::{Consumer, Delivery, QueueError, QueueName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::core::Core;
use super::dispatch::{Verdict, Work, WorkKind, parse, perform};
use super::film::Batch;
use super::holdings::{Held, Why};
use super::settle::End;

/// The longest wait before a queue is asked again after it could not be reached.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a message that cannot be read is kept before it goes back: it comes again, until it is a dead letter.
const UNREADABLE_WAIT: Duration = Duration::from_secs(1);

/// Where a receiver's tasks go.
#[derive(Clone)]
pub(super) enum Inlet {
    /// Each is done on a thread of its own, before the next is taken.
    Own(Lane),
    /// Batches go to the bulk thread, which says when it wants one.
    Bulk(Bulk),
}

/// The way to the bulk thread.
#[derive(Clone)]
pub(super) struct Bulk {
    pub(super) batches: mpsc::Sender<Batch>,
    pub(super) asks: Arc<Semaphore>,
}

/// Takes deliveries of a queue until the worker closes; takes up again what breaks off.
pub(super) async fn receive(core: Arc<Core>, queue: QueueName, inlet: Inlet) {
    let mut wait = Duration::from_millis(200);
    while core.is_open() {
        let error = match core.queue.consume(queue).await {
            Ok(mut consumer) => {
                wait = Duration::from_millis(200);
                match take_all(&core, consumer.as_mut(), &inlet).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        tracing::warn!(%queue, %error, "no tasks come from a queue; it is asked again");
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (2 * wait).min(LONGEST_WAIT),
            () = core.until_closed() => {}
        }
    }
}

/// Takes deliveries until the worker closes, or the queue breaks off.
async fn take_all(core: &Arc<Core>, consumer: &mut dyn Consumer, inlet: &Inlet) -> Result<(), QueueError> {
    while core.is_open() {
        let permit = match inlet {
            Inlet::Own(_) => None,
            Inlet::Bulk(bulk) => tokio::select! {
                permit = Arc::clone(&bulk.asks).acquire_owned() => permit.ok(),
                () = core.until_closed() => return Ok(()),
            },
        };
        core.holdings.until(|all| !all.iter().any(|held| held.alone)).await;
        // Dropping the wait for a delivery loses none.
        let delivery = tokio::select! {
            biased;
            () = core.until_closed() => return Ok(()),
            () = core.holdings.until(|all| all.iter().any(|held| held.alone)) => continue,
            delivery = consumer.next() => delivery?,
        };
        let lane = match inlet {
            Inlet::Own(lane) => *lane,
            Inlet::Bulk(_) => Lane::Bulk,
        };
        match parse(&delivery.body) {
            Ok(task) => {
                let past = core.past(&task).await;
                let alone = task.alone || past.wants_to_be_alone();
                let held = core.holdings.hold(task, lane, alone, delivery);
                match past.poison() {
                    Some(error) => core.settle(&held, core.end_of(&held, Err(error))).await,
                    None => begin(core, &held, inlet, permit).await,
                }
                core.holdings.until_settled(&held).await;
            }
            Err(error) => refuse(core, delivery, &error).await,
        }
    }
    Ok(())
}

/// Does what a delivery asks for, or hands it on; a bulk batch's permit is used up by then.
async fn begin(core: &Arc<Core>, held: &Arc<Held>, inlet: &Inlet, permit: Option<OwnedSemaphorePermit>) {
    let _alone = if held.alone {
        // What came at the same moment is settled first.
        core.holdings.until(|all| all.iter().all(|other| other.alone)).await;
        Some(core.alone.lock().await)
    } else {
        None
    };
    let work = match core.judge(held).await {
        Verdict::Settle(end) => return core.settle(held, end).await,
        Verdict::Work(work) => work,
    };
    core.begin(&held.task).await;
    match (*work, inlet) {
        (
            Work {
                held,
                kind: WorkKind::Batch(batch),
                ..
            },
            Inlet::Bulk(bulk),
        ) => {
            if bulk.batches.send(batch).await.is_err() {
                return core.settle(&held, End::Abandon).await;
            }
            if let Some(permit) = permit {
                permit.forget();
            }
            // Only then may what waits behind an `alone` one begin.
            core.holdings.until_settled(&held).await;
        }
        (work, _) => perform(core, work).await,
    }
}

/// Gives back what cannot be read: a newer build may, and if none does, the scheduler hears of it as a dead letter.
async fn refuse(core: &Core, delivery: Delivery, error: &crate::Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, bytes = delivery.body.len(), "a message is given back");
    tokio::select! {
        () = tokio::time::sleep(UNREADABLE_WAIT) => {}
        () = core.until_closed() => {}
    }
}

impl Core {
    /// Lets go of everything at once, as a process that dies does: nothing is said, and everything comes again.
    pub(super) fn abandon(&self) {
        self.recall_all(Why::Gone);
        for held in self.holdings.all() {
            drop(held.take_delivery());
            self.holdings.release(&held);
        }
    }
}
