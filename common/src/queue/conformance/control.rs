//! Dead letters, and the queue that they go to.

use super::settling::consume_again;
use super::*;
use crate::queue::DELIVERY_LIMIT;

/// What was delivered [`DELIVERY_LIMIT`] times in vain comes as a dead letter, whole, and no time more.
pub async fn dead_letters_say_where_they_come_from(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut control = consume(&*queue, QueueName::Control).await;
    let bulk = QueueName::Work(Lane::Bulk, ClassName::default());
    for (n, name) in [interactive(), bulk, QueueName::Media, QueueName::Hooks]
        .into_iter()
        .enumerate()
    {
        let poison = format!("poison of {name}");
        publish(&*queue, name, poison.clone()).await;
        publish(&*queue, name, "innocent").await;
        let mut consumer = consume(&*queue, name).await;
        for before in 0..DELIVERY_LIMIT {
            let delivery = next(&mut consumer).await;
            assert_eq!(
                (text(&delivery.body), delivery.deliveries_before),
                (poison.clone(), before)
            );
            if (before + n as u32).is_multiple_of(2) {
                // A consumer's death counts as a delivery's.
                drop(consumer);
                consumer = consume(&*queue, name).await;
            }
        }
        assert_eq!(take(&mut consumer, 1).await, ["innocent"]);
        let dead = next(&mut control).await;
        assert_eq!(
            (text(&dead.body), dead.dead_from.clone()),
            (poison, Some(name.to_string()))
        );
        acknowledge(dead).await;
        nothing_comes(&mut consumer).await;
    }
    nothing_comes(&mut control).await;
}

/// The control queue delivers until somebody acknowledges, dead letters too.
pub async fn control_never_gives_up(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut worker = consume(&*queue, WORK).await;
    publish(&*queue, WORK, "dead").await;
    for _ in 0..DELIVERY_LIMIT {
        next(&mut worker).await;
    }
    let mut control = consume(&*queue, QueueName::Control).await;
    for (body, origin) in [("dead", Some(WORK.to_string())), ("report", None)] {
        if origin.is_none() {
            publish(&*queue, QueueName::Control, body).await;
        }
        for round in 0..4 * DELIVERY_LIMIT {
            let delivery = next(&mut control).await;
            assert_eq!(text(&delivery.body), body);
            assert_eq!(delivery.dead_from, origin, "in round {round}");
        }
        assert_eq!(take(&mut control, 1).await, [body]);
    }
}

/// Of several consumers one gets everything, also while it is busy; the next takes over when it goes, from where it was.
pub async fn control_has_one_active_consumer(broker: &impl TestBroker) {
    let queues = [broker.connect().await, broker.connect().await, broker.connect().await];
    let mut first = consume(&*queues[0], QueueName::Control).await;
    let mut second = consume(&*queues[1], QueueName::Control).await;
    let mut third = consume(&*queues[2], QueueName::Control).await;
    publish_numbers(&*queues[0], QueueName::Control, 30).await;
    let held = next(&mut first).await;
    nothing_comes(&mut second).await;
    assert_eq!(text(&held.body), "0");
    acknowledge(held).await;
    assert_eq!(take(&mut first, 9).await, numbers(1..10));
    nothing_comes(&mut third).await;
    nothing_comes(&mut second).await;
    // One that waits while the active one goes away is woken.
    let waiting = beside(async move { (take(&mut second, 10).await, second) });
    tokio::time::sleep(NOT_NOW).await;
    drop(first);
    let (taken, second) = outcome("the second consumer", waiting).await;
    assert_eq!(taken, numbers(10..20));
    nothing_comes(&mut third).await;
    drop(second);
    assert_eq!(take(&mut third, 10).await, numbers(20..30));
}

/// What the active consumer did not acknowledge comes to its successor, before everything else.
pub async fn control_is_handed_over_with_what_is_unsettled(broker: &impl TestBroker) {
    let queues = [broker.connect().await, broker.connect().await];
    let mut first = consume(&*queues[0], QueueName::Control).await;
    let mut second = consume(&*queues[1], QueueName::Control).await;
    publish_numbers(&*queues[0], QueueName::Control, 4).await;
    assert_eq!(take(&mut first, 1).await, ["0"]);
    let held = next(&mut first).await;
    drop(first);
    let again = next(&mut second).await;
    assert_eq!((text(&again.body), again.deliveries_before), ("1".to_owned(), 1));
    let late = soon("acknowledging late", held.acknowledge()).await;
    assert!(matches!(late, Err(QueueError::Unavailable(_))), "{late:?}");
    acknowledge(again).await;
    assert_eq!(take(&mut second, 1).await, ["2"]);
    let held = next(&mut second).await;
    broker.disconnect_all().await;
    let (_queue, mut third) = consume_again(broker, QueueName::Control).await;
    let again = next(&mut third).await;
    assert_eq!((text(&again.body), again.deliveries_before), ("3".to_owned(), 1));
    drop(held);
    acknowledge(again).await;
    nothing_comes(&mut third).await;
}
