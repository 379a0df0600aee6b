//! Events: to whoever listens, and to nobody else.

use super::*;
use crate::queue::EVENTS_KEPT;

async fn listen(queue: &dyn Queue) -> Box<dyn Listener> {
    let listener = soon("listening", queue.listen(&[Topic::Records])).await;
    listener.unwrap_or_else(|e| panic!("listening failed: {e}"))
}

async fn emit(queue: &dyn Queue, event: impl Into<Bytes>) {
    let emitted = soon("telling", queue.emit(Topic::Records, event.into())).await;
    emitted.unwrap_or_else(|e| panic!("telling failed: {e}"));
}

async fn heard(listener: &mut Box<dyn Listener>) -> String {
    let event = soon("an event", listener.next()).await;
    text(&event.unwrap_or_else(|e| panic!("no event: {e}")))
}

/// Events reach all who listen, in order, on every connection; who comes later hears only what is told later.
pub async fn events_reach_whoever_listens(broker: &impl TestBroker) {
    let (one, other) = (broker.connect().await, broker.connect().await);
    emit(&*one, "to nobody").await;
    let mut early = [listen(&*one).await, listen(&*one).await, listen(&*other).await];
    for n in 0..100 {
        emit(&*one, n.to_string()).await;
    }
    for listener in &mut early {
        for n in 0..100 {
            assert_eq!(heard(listener).await, n.to_string());
        }
    }
    let mut late = listen(&*other).await;
    let [gone, mut first, mut second] = early;
    drop(gone);
    emit(&*other, "to all").await;
    for listener in [&mut late, &mut first, &mut second] {
        assert_eq!(heard(listener).await, "to all");
        let more = tokio::time::timeout(NOT_NOW, listener.next()).await;
        assert!(more.is_err(), "{more:?} was heard without being told");
    }
}

/// Who listens hears of the topics that they named, of all of them in order, and of no other.
pub async fn events_of_other_topics_are_not_heard(broker: &impl TestBroker) {
    let queue = broker.connect().await;
    let mut one = listen(&*queue).await;
    let both = soon("listening", queue.listen(&[Topic::Workers, Topic::Records])).await;
    let mut both = both.unwrap_or_else(|e| panic!("listening failed: {e}"));
    for topic in [Topic::Workers, Topic::Progress, Topic::Records, Topic::Workers] {
        let told = soon("telling", queue.emit(topic, <&str>::from(topic).into())).await;
        told.unwrap_or_else(|e| panic!("telling failed: {e}"));
    }
    assert_eq!(heard(&mut one).await, "records");
    for expected in ["workers", "records", "workers"] {
        assert_eq!(heard(&mut both).await, expected);
    }
    for listener in [&mut one, &mut both] {
        let more = tokio::time::timeout(NOT_NOW, listener.next()).await;
        assert!(more.is_err(), "{more:?} was heard of another topic");
    }
}

/// A listener that does not keep up loses the oldest events and hears the newest [`EVENTS_KEPT`]; the others lose
/// nothing.
pub async fn a_slow_listener_loses_the_oldest(broker: &impl TestBroker) {
    let told = 4 * EVENTS_KEPT;
    let queue = broker.connect().await;
    let mut slow = listen(&*queue).await;
    let mut quick = listen(&*queue).await;
    for n in 0..told {
        emit(&*queue, n.to_string()).await;
        assert_eq!(heard(&mut quick).await, n.to_string());
    }
    let mut late: Vec<usize> = Vec::new();
    while late.last() != Some(&(told - 1)) {
        let event = heard(&mut slow).await;
        late.push(
            event
                .parse()
                .unwrap_or_else(|e| panic!("{event:?} was never told: {e}")),
        );
    }
    assert!(late.is_sorted_by(|a, b| a < b), "events came twice or out of order");
    assert!(
        late.len() < told,
        "events of a listener that does not listen were kept without a limit"
    );
    assert_eq!(
        late[late.len() - EVENTS_KEPT..],
        (told - EVENTS_KEPT..told).collect::<Vec<_>>()
    );
    emit(&*queue, "afterwards").await;
    assert_eq!(heard(&mut slow).await, "afterwards");
}

/// A listener that gives up waiting, over and over, misses no event.
pub async fn waiting_for_events_can_be_given_up(broker: &impl TestBroker) {
    let told = 2000;
    let queue = broker.connect().await;
    let mut listener = listen(&*queue).await;
    let telling = async {
        for n in 0..told {
            emit(&*queue, n.to_string()).await;
            tokio::task::yield_now().await;
        }
    };
    let listening = async {
        let mut events = Vec::new();
        while events.len() < told {
            let wait = Duration::from_micros(events.len() as u64 % 50);
            if let Ok(event) = tokio::time::timeout(wait, listener.next()).await {
                events.push(text(&event.unwrap_or_else(|e| panic!("no event: {e}"))));
            }
        }
        events
    };
    let ((), events) = soon("hearing everything", async { futures::join!(telling, listening) }).await;
    assert_eq!(events, numbers(0..told));
}
