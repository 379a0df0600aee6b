//! Order, turns, one at a time, and what becomes of what is not acknowledged.

use super::*;

/// Messages of one queue come in the order of publishing, whoever published them.
pub async fn messages_come_in_order(broker: &impl TestBroker) {
    let (one, other) = (broker.connect().await, broker.connect().await);
    let mut consumer = consume(&*one, WORK).await;
    for n in 0..100 {
        let publisher = if n % 3 == 0 { &one } else { &other };
        publish(&**publisher, WORK, n.to_string()).await;
    }
    assert_eq!(take(&mut consumer, 100).await, numbers(0..100));
    nothing_comes(&mut consumer).await;
}

/// What is published to a queue that nobody consumes stays there.
pub async fn a_message_waits_for_a_consumer(broker: &impl TestBroker) {
    publish_numbers(&*broker.connect().await, WORK, 5).await;
    let queue = broker.connect().await;
    let mut consumer = consume(&*queue, WORK).await;
    let first = next(&mut consumer).await;
    assert_eq!(
        (text(&first.body), first.deliveries_before, first.dead_from.clone()),
        ("0".to_owned(), 0, None)
    );
    acknowledge(first).await;
    assert_eq!(take(&mut consumer, 4).await, numbers(1..5));
}

/// A consumer gets the next message when it has settled this one, and not before; others are not held up by it.
pub async fn a_consumer_has_one_delivery(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut busy = consume(&*queue, WORK).await;
    publish_numbers(&*queue, WORK, 3).await;
    let held = next(&mut busy).await;
    assert_eq!(text(&held.body), "0");
    nothing_comes(&mut busy).await;
    let mut idle = consume(&*queue, WORK).await;
    assert_eq!(take(&mut idle, 2).await, numbers(1..3));

    // One that waits already when its delivery is settled is woken by that.
    let other = beside(async move { (next(&mut idle).await, idle) });
    publish(&*queue, WORK, "3").await;
    let (other, _idle) = outcome("the idle consumer", other).await;
    assert_eq!(text(&other.body), "3");
    let waiting = beside(async move { next(&mut busy).await.body });
    publish(&*queue, WORK, "4").await;
    tokio::time::sleep(NOT_NOW).await;
    assert!(!waiting.is_finished(), "a second delivery beside the unsettled one");
    acknowledge(held).await;
    assert_eq!(text(&outcome("the busy consumer", waiting).await), "4");
    acknowledge(other).await;
}

/// Consumers that wait get one message each before anybody gets a second, also when messages come one at a time.
pub async fn consumers_take_turns(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut consumers = Vec::new();
    for _ in 0..4 {
        consumers.push(consume(&*queue, WORK).await);
    }
    for round in 0..20 {
        let waiting = consumers.iter_mut().map(next);
        let (deliveries, ()) = futures::join!(futures::future::join_all(waiting), async {
            for n in 0..4 {
                publish(&*queue, WORK, format!("{round} {n}")).await;
            }
        });
        let mut bodies: Vec<String> = deliveries.iter().map(|d| text(&d.body)).collect();
        bodies.sort();
        let expected: Vec<String> = (0..4).map(|n| format!("{round} {n}")).collect();
        assert_eq!(bodies, expected);
        for delivery in deliveries {
            acknowledge(delivery).await;
        }
    }
    let (told, mut served) = tokio::sync::mpsc::unbounded_channel();
    for (who, mut consumer) in consumers.into_iter().enumerate() {
        let told = told.clone();
        beside(async move {
            while let Ok(delivery) = consumer.next().await {
                acknowledge(delivery).await;
                if told.send(who).is_err() {
                    return;
                }
            }
        });
    }
    let mut order = Vec::new();
    for n in 0..16 {
        // Time for all to wait: who was served last must not be first again.
        tokio::time::sleep(Duration::from_millis(20)).await;
        publish(&*queue, WORK, n.to_string()).await;
        order.extend(soon("a turn", served.recv()).await);
    }
    for turns in order.chunks(4) {
        let mut who = turns.to_vec();
        who.sort_unstable();
        assert_eq!(who, [0, 1, 2, 3], "of all turns {order:?}");
    }
}

/// A delivery that is dropped comes again at once, before what was published later, and says so.
pub async fn a_delivery_dropped_comes_again_first(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut consumer = consume(&*queue, WORK).await;
    publish_numbers(&*queue, WORK, 3).await;
    for before in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(
            (text(&delivery.body), delivery.deliveries_before),
            ("0".to_owned(), before)
        );
    }
    assert_eq!(take(&mut consumer, 3).await, numbers(0..3));
}

/// What a consumer held that is gone comes again; acknowledging it afterwards does not take it from whoever has it now.
pub async fn what_a_dead_consumer_held_comes_again(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut dies = consume(&*queue, WORK).await;
    let mut lives = consume(&*queue, WORK).await;
    publish_numbers(&*queue, WORK, 2).await;
    let held = next(&mut dies).await;
    let other = next(&mut lives).await;
    assert_eq!((text(&held.body), text(&other.body)), ("0".to_owned(), "1".to_owned()));
    drop(dies);
    acknowledge(other).await;
    let again = next(&mut lives).await;
    assert_eq!((text(&again.body), again.deliveries_before), ("0".to_owned(), 1));
    let late = soon("acknowledging late", held.acknowledge()).await;
    assert!(matches!(late, Err(QueueError::Unavailable(_))), "{late:?}");
    drop(again);
    assert_eq!(next(&mut lives).await.deliveries_before, 2);
}

/// An acknowledged message never comes again, whatever dies afterwards.
pub async fn an_acknowledged_message_is_gone(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut consumer = consume(&*queue, WORK).await;
    publish_numbers(&*queue, WORK, 2).await;
    let first = next(&mut consumer).await;
    acknowledge(first).await;
    let second = next(&mut consumer).await;
    drop(consumer);
    acknowledge_refused(second).await;
    broker.disconnect_all().await;
    let (_queue, mut consumer) = consume_again(broker, WORK).await;
    assert_eq!(take(&mut consumer, 1).await, ["1"]);
    nothing_comes(&mut consumer).await;
}

async fn acknowledge_refused(delivery: Delivery) {
    let settled = soon("acknowledging late", delivery.acknowledge()).await;
    assert!(matches!(settled, Err(QueueError::Unavailable(_))), "{settled:?}");
}

/// Connects and consumes anew after a broken connection.
pub(super) async fn consume_again(broker: &impl TestBroker, name: QueueName) -> (Arc<dyn Queue>, Box<dyn Consumer>) {
    soon("connecting again", async {
        loop {
            let queue = broker.connect().await;
            match queue.consume(name).await {
                Ok(consumer) => return (queue, consumer),
                Err(QueueError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(e) => panic!("consuming again failed: {e}"),
            }
        }
    })
    .await
}

/// When connections break, whoever waits is told, and messages stay: the delivered ones come again, in whatever order.
pub async fn a_broken_connection_loses_nothing(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut one = consume(&*queue, WORK).await;
    let mut other = consume(&*queue, WORK).await;
    let mut idle = consume(&*queue, interactive()).await;
    let mut listener = soon("listening", queue.listen(&[Topic::Records]))
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    publish_numbers(&*queue, WORK, 4).await;
    let held = (next(&mut one).await, next(&mut other).await);

    let waiting = beside(async move { idle.next().await });
    let listening = beside(async move { listener.next().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    broker.disconnect_all().await;
    let consumed = outcome("the end of waiting", waiting).await;
    let heard = outcome("the end of listening", listening).await;
    assert!(matches!(consumed, Err(QueueError::Unavailable(_))), "{consumed:?}");
    assert!(matches!(heard, Err(QueueError::Unavailable(_))), "{heard:?}");
    acknowledge_refused(held.0).await;
    let gone = soon("the end of a consumer", one.next()).await;
    assert!(matches!(gone, Err(QueueError::Unavailable(_))), "{gone:?}");

    let (_queue, mut consumer) = consume_again(broker, WORK).await;
    let mut bodies = take(&mut consumer, 4).await;
    // Two consumers held one each, and the broker may notice the end of either first.
    bodies.sort();
    assert_eq!(bodies, numbers(0..4));
    nothing_comes(&mut consumer).await;
}

/// Lanes and classes are queues of their own.
pub async fn queues_are_apart(broker: &impl TestBroker) {
    let class = |name: &str| name.parse::<ClassName>().unwrap_or_else(|e| panic!("{e}"));
    let mut names = vec![QueueName::Control, QueueName::Media, QueueName::Sound, QueueName::Hooks];
    for lane in [Lane::Interactive, Lane::Bulk] {
        names.extend([class("small"), class("large")].map(|class| QueueName::Work(lane, class)));
    }
    let queue = broker.connect().await;
    for name in &names {
        publish(&*queue, *name, name.to_string()).await;
    }
    for name in names {
        let mut consumer = consume(&*queue, name).await;
        assert_eq!(take(&mut consumer, 1).await, [name.to_string()]);
        nothing_comes(&mut consumer).await;
    }
}
