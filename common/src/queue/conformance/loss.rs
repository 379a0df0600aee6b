//! Nothing is lost and nothing comes twice, whoever dies and whenever somebody stops waiting.

use std::collections::HashMap;
use std::sync::Mutex;
use std::task::Poll;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::Notify;

use super::*;
use crate::queue::DELIVERY_LIMIT;

/// A consumer that gives up waiting, thousands of times and at every moment, gets every message once, and none counts as
/// delivered before.
pub async fn waiting_can_be_given_up(broker: &impl TestBroker) {
    let count = 1500;
    let queue = broker.connect().await;
    let mut consumer = consume(&*queue, WORK).await;
    let publishing = async {
        for n in 0..count {
            publish(&*queue, WORK, n.to_string()).await;
            if n % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let consuming = async {
        let (mut bodies, mut given_up) = (Vec::new(), 0);
        while bodies.len() < count {
            match given_up_after((bodies.len() + given_up) % 4 + 1, consumer.next()).await {
                Some(delivery) => {
                    let delivery = delivery.unwrap_or_else(|e| panic!("no delivery: {e}"));
                    assert_eq!(delivery.deliveries_before, 0, "what nobody got counts as delivered");
                    bodies.push(text(&delivery.body));
                    acknowledge(delivery).await;
                }
                None => given_up += 1,
            }
        }
        (bodies, given_up)
    };
    let ((), (bodies, given_up)) = soon("everything", async { futures::join!(publishing, consuming) }).await;
    assert_eq!(bodies, numbers(0..count));
    // With nothing to come it gives up for certain; a message published then must still find it.
    for n in 0..count {
        let waited = tokio::time::timeout(Duration::ZERO, consumer.next()).await;
        assert!(waited.is_err(), "{waited:?} came twice");
        if n % 100 == 0 {
            publish(&*queue, WORK, n.to_string()).await;
            assert_eq!(
                take(&mut consumer, 1).await,
                [n.to_string()],
                "after giving up {given_up} times"
            );
        }
    }
}

/// Waits for as many looks as are said, with whatever else is to do in between, and gives up.
async fn given_up_after<T>(looks: usize, future: impl Future<Output = T>) -> Option<T> {
    futures::pin_mut!(future);
    for _ in 0..looks {
        if let Poll::Ready(done) = futures::poll!(&mut future) {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// What a consumer does with a delivery.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Acknowledge,
    /// Lets the delivery go.
    Drop,
    /// Dies, and tries to acknowledge when it is too late.
    Die,
    /// Waits a moment for a second one, which must not come, and acknowledges.
    Linger,
}

/// A history: how many messages, and what each consumer does with one delivery after another; from the end of its list on
/// it acknowledges.
#[derive(Clone, Debug)]
struct History {
    messages: usize,
    consumers: Vec<Vec<Fate>>,
}

fn history() -> impl Strategy<Value = History> {
    let fate = prop_oneof![
        4 => Just(Fate::Acknowledge),
        4 => Just(Fate::Drop),
        2 => Just(Fate::Die),
        1 => Just(Fate::Linger),
    ];
    let consumers = prop::collection::vec(prop::collection::vec(fate, 0..25), 1..5);
    (1..12usize, consumers).prop_map(|(messages, consumers)| History { messages, consumers })
}

/// In `cases` random histories of consumers that die, drop and acknowledge, every message is acknowledged once, or is a
/// dead letter after exactly [`DELIVERY_LIMIT`] deliveries; and where nothing fails, it is delivered once.
pub fn nothing_is_lost_and_nothing_comes_twice<B: TestBroker + 'static>(
    fresh: impl AsyncFn() -> Option<B>,
    cases: u32,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|e| panic!("no runtime: {e}"));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let held = runner.run(&history(), |history| {
        runtime.block_on(async {
            if let Some(broker) = fresh().await {
                play(&broker, &history).await;
            }
        });
        Ok(())
    });
    held.unwrap_or_else(|e| panic!("{e}"));
}

/// What became of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Story {
    deliveries: u32,
    acknowledged: u32,
    dead: u32,
}

/// What became of all, and a sign when something ended.
#[derive(Debug, Default)]
struct Stories {
    of: Mutex<HashMap<String, Story>>,
    ended: Notify,
}

impl Stories {
    fn change<T>(&self, body: &Bytes, change: impl FnOnce(&mut Story) -> T) -> T {
        let mut of = self.of.lock().unwrap_or_else(|e| panic!("{e}"));
        change(of.entry(text(body)).or_default())
    }

    async fn all_ended(&self, count: usize) {
        loop {
            let ended = self.ended.notified();
            {
                let of = self.of.lock().unwrap_or_else(|e| panic!("{e}"));
                if of.values().filter(|s| s.acknowledged + s.dead > 0).count() == count {
                    return;
                }
            }
            ended.await;
        }
    }
}

async fn play(broker: &impl TestBroker, history: &History) {
    let stories = Arc::new(Stories::default());
    let queue = broker.connect().await;
    let mut tasks = tokio::task::JoinSet::new();
    for fates in history.consumers.clone() {
        tasks.spawn(live(broker.connect().await, fates, Arc::clone(&stories)));
    }
    tasks.spawn(bury(broker.connect().await, Arc::clone(&stories)));
    publish_numbers(&*queue, WORK, history.messages).await;
    let ended = async {
        tokio::select! {
            () = stories.all_ended(history.messages) => {}
            // They go on for ever, so one that ends has panicked.
            Some(ended) = tasks.join_next() => panic!("{ended:?}"),
        }
    };
    soon("the end of every message", ended).await;
    tasks.shutdown().await;
    let mut rest = consume(&*queue, WORK).await;
    let more = tokio::time::timeout(Duration::from_millis(2), rest.next()).await;
    assert!(more.is_err(), "{more:?} came again after its end");

    let of = stories.of.lock().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(of.len(), history.messages);
    let failures = history.consumers.iter().flatten();
    let failures = failures.filter(|fate| matches!(fate, Fate::Drop | Fate::Die)).count();
    for (body, story) in of.iter() {
        let whole = match story.dead {
            0 => story.acknowledged == 1 && (1..=DELIVERY_LIMIT).contains(&story.deliveries),
            1 => story.acknowledged == 0 && story.deliveries == DELIVERY_LIMIT,
            _ => false,
        };
        assert!(
            whole && story.deliveries as usize <= 1 + failures,
            "message {body}: {story:?}"
        );
    }
}

/// A consumer's life, and those after it.
async fn live(queue: Arc<dyn Queue>, fates: Vec<Fate>, stories: Arc<Stories>) {
    let mut fates = fates.into_iter();
    let mut consumer = consume(&*queue, WORK).await;
    loop {
        let delivery = match consumer.next().await {
            Ok(delivery) => delivery,
            Err(e) => panic!("no delivery: {e}"),
        };
        stories.change(&delivery.body, |story| {
            assert_eq!(delivery.deliveries_before, story.deliveries, "{:?}", delivery.body);
            story.deliveries += 1;
        });
        let fate = fates.next().unwrap_or(Fate::Acknowledge);
        match fate {
            Fate::Drop => {}
            Fate::Die => {
                drop(consumer);
                assert!(delivery.acknowledge().await.is_err(), "acknowledged after its death");
                consumer = consume(&*queue, WORK).await;
            }
            Fate::Linger | Fate::Acknowledge => {
                if matches!(fate, Fate::Linger) {
                    let second = tokio::time::timeout(Duration::from_millis(1), consumer.next()).await;
                    assert!(second.is_err(), "a second delivery: {second:?}");
                }
                let body = delivery.body.clone();
                acknowledge(delivery).await;
                stories.change(&body, |story| story.acknowledged += 1);
                stories.ended.notify_one();
            }
        }
    }
}

/// Takes dead letters.
async fn bury(queue: Arc<dyn Queue>, stories: Arc<Stories>) {
    let mut control = consume(&*queue, QueueName::Control).await;
    loop {
        let delivery = match control.next().await {
            Ok(delivery) => delivery,
            Err(e) => panic!("no dead letter: {e}"),
        };
        assert_eq!(delivery.dead_from, Some(WORK.to_string()));
        stories.change(&delivery.body, |story| story.dead += 1);
        acknowledge(delivery).await;
        stories.ended.notify_one();
    }
}
