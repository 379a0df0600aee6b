//! What only a real broker can show.

use std::time::{Duration, Instant};

use clearfleet_common::job::{ClassName, Lane, Topic};
use clearfleet_common::queue::{AmqpQueue, AmqpTimeouts, Consumer, Delivery, Queue, QueueError, QueueName};
use tokio::time::timeout;

use super::node::{Node, Vhost};
use super::proxy::Proxy;

const WORK: QueueName = QueueName::Media;
const SOON: Duration = Duration::from_secs(20);

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    timeout(SOON, consumer.next()).await.unwrap().unwrap()
}

fn is_unavailable<T>(outcome: &Result<T, QueueError>) -> bool {
    matches!(outcome, Err(QueueError::Unavailable(_)))
}

/// Does again what fails because the broker cannot be reached.
async fn again<T>(call: impl AsyncFn() -> Result<T, QueueError>) -> T {
    let since = Instant::now();
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(
                matches!(error, QueueError::Unavailable(_)) && since.elapsed() < SOON,
                "{error}"
            ),
        }
    }
}

/// A broker that is killed takes no confirmed message along, and who used it before uses it again without further ado.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_no_confirmed_message() {
    let Some(mut node) = Node::alone() else { return };
    let vhost = Vhost::on(&node.address).await;
    let queue = vhost.queue();
    let mut consumer = queue.consume(WORK).await.unwrap();
    // That a queue was made is on disk some time later than messages are: killed earlier, the broker comes back with a
    // queue of that name that is empty and never gets a leader (seen on 3.10 and 4.0). Nothing says when it is.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for n in 0..200 {
        queue.publish(WORK, n.to_string().into()).await.unwrap();
    }
    let held = next(&mut consumer).await;
    node.kill();
    assert!(is_unavailable(&timeout(SOON, consumer.next()).await.unwrap()));
    assert!(is_unavailable(&held.acknowledge().await));
    let refused = timeout(SOON, queue.publish(WORK, "lost".into())).await.unwrap();
    assert!(is_unavailable(&refused), "{refused:?}");
    let node = tokio::task::spawn_blocking(move || {
        node.revive();
        node
    });
    let _node = node.await.unwrap();
    let mut consumer = again(async || queue.consume(WORK).await).await;
    again(async || queue.publish(WORK, "200".into()).await).await;
    for n in 0..=200 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.body, n.to_string());
        delivery.acknowledge().await.unwrap();
    }
}

/// Who acknowledges is not stopped with those who publish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_still_takes_acknowledgements() {
    let Some(node) = Node::alone() else { return };
    let vhost = Vhost::on(&node.address).await;
    let mut config = vhost.config(node.address.amqp);
    config.timeouts.confirm = Duration::from_secs(5);
    let queue = AmqpQueue::new(config);
    queue.publish(WORK, "first".into()).await.unwrap();
    queue.publish(WORK, "second".into()).await.unwrap();
    let mut consumer = queue.consume(WORK).await.unwrap();
    let held = next(&mut consumer).await;
    let address = node.address.clone();
    let limit = move |share: &'static str| {
        let address = address.clone();
        tokio::task::spawn_blocking(move || address.control(&["set_vm_memory_high_watermark", share]))
    };
    limit("0.00001").await.unwrap();
    match queue.publish(WORK, "third".into()).await {
        Err(QueueError::Unavailable(why)) => assert!(why.contains("memory"), "{why}"),
        other => panic!("{other:?}"),
    }
    held.acknowledge().await.unwrap();
    let second = next(&mut consumer).await;
    assert_eq!(second.body, "second");
    second.acknowledge().await.unwrap();
    limit("0.8").await.unwrap();
    again(async || queue.publish(WORK, "fourth".into()).await).await;
}

/// A queue that is not as it must be is refused, and named, and what is wrong with it.
#[tokio::test]
async fn a_queue_of_another_make_is_refused() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let queue = vhost.queue();
    let bulk = QueueName::Work(Lane::Bulk, ClassName::default());
    let made = [
        // First: the others are made together with it.
        (
            QueueName::Control,
            r#"{"x-queue-type":"quorum"}"#,
            "x-single-active-consumer",
        ),
        (
            QueueName::Media,
            r#"{"x-queue-type":"quorum"}"#,
            "x-dead-letter-exchange",
        ),
        (bulk, r#"{"x-queue-type":"classic"}"#, "current is none"),
    ];
    for (name, arguments, wrong) in made {
        let body = format!(r#"{{"durable":true,"arguments":{arguments}}}"#);
        let path = format!("queues/{}/{name}", vhost.name);
        vhost.api("PUT", &path, &body).await;
        let consumed = queue.consume(name).await.map(|_| ());
        let published = queue.publish(name, "lost".into()).await;
        for outcome in [consumed, published] {
            match outcome {
                Err(QueueError::Mismatch { queue, found }) => {
                    assert_eq!(queue, name.to_string());
                    assert!(found.contains(wrong) && found.contains(&queue), "{found}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        vhost.api("DELETE", &path, "").await;
    }
    queue.publish(QueueName::Media, "taken".into()).await.unwrap();
}

/// A message for a queue that is gone is refused, not lost; the next one makes the queue again. Its consumers are told.
#[tokio::test]
async fn what_no_queue_takes_is_refused() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let queue = vhost.queue();
    queue.publish(WORK, "first".into()).await.unwrap();
    let mut consumer = queue.consume(WORK).await.unwrap();
    next(&mut consumer).await.acknowledge().await.unwrap();
    {
        let waiting = consumer.next();
        let deleting = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            vhost.api("DELETE", &format!("queues/{}/{WORK}", vhost.name), "").await;
        };
        let (told, _) = tokio::join!(timeout(SOON, waiting), deleting);
        assert!(is_unavailable(&told.unwrap()));
    }
    match queue.publish(WORK, "to nobody".into()).await {
        Err(QueueError::Refused(why)) => assert!(why.contains("clearfleet.work.media"), "{why}"),
        other => panic!("{other:?}"),
    }
    queue.publish(WORK, "second".into()).await.unwrap();
    let mut consumer = queue.consume(WORK).await.unwrap();
    assert_eq!(next(&mut consumer).await.body, "second");
}

/// What a consumer holds whose connection is cut comes again, counted, and cannot be acknowledged by it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_connection_held_comes_again() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let proxy = Proxy::to(vhost.address.amqp).await;
    let (far, near) = (AmqpQueue::new(vhost.config(proxy.port)), vhost.queue());
    near.publish(WORK, "first".into()).await.unwrap();
    let mut consumer = far.consume(WORK).await.unwrap();
    let held = next(&mut consumer).await;
    assert_eq!(held.deliveries_before, 0);
    proxy.cut();
    assert!(is_unavailable(&timeout(SOON, consumer.next()).await.unwrap()));
    let mut other = near.consume(WORK).await.unwrap();
    let again_there = next(&mut other).await;
    assert_eq!(
        (&again_there.body[..], again_there.deliveries_before),
        (&b"first"[..], 1)
    );
    // The same process consumes anew, on a channel whose tags begin anew: the old delivery is not the new one.
    near.publish(WORK, "second".into()).await.unwrap();
    let mut anew = again(async || far.consume(WORK).await).await;
    let second = next(&mut anew).await;
    assert_eq!(second.body, "second");
    assert!(is_unavailable(&held.acknowledge().await));
    drop(second);
    let second = next(&mut anew).await;
    assert_eq!((&second.body[..], second.deliveries_before), (&b"second"[..], 1));
    second.acknowledge().await.unwrap();
    again_there.acknowledge().await.unwrap();
}

/// Publishing fails on a lost connection, and goes on on a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_goes_on_after_a_cut() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let proxy = Proxy::to(vhost.address.amqp).await;
    let queue = AmqpQueue::new(vhost.config(proxy.port));
    for n in 0..5 {
        again(async || queue.publish(WORK, n.to_string().into()).await).await;
        again(async || queue.emit(Topic::Progress, "event".into()).await).await;
        proxy.cut();
    }
    let mut consumer = again(async || queue.consume(WORK).await).await;
    let mut bodies: Vec<String> = Vec::new();
    while bodies.last().is_none_or(|last| last != "4") {
        let delivery = next(&mut consumer).await;
        bodies.push(String::from_utf8(delivery.body.to_vec()).unwrap());
        delivery.acknowledge().await.unwrap();
    }
    // One whose confirmation was cut off was published twice.
    bodies.dedup();
    assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
}

/// A message that nobody waits for is left to others, and not counted as delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_wait_holds_up_nothing() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let queue = vhost.queue();
    let (mut busy, mut idle) = (queue.consume(WORK).await.unwrap(), queue.consume(WORK).await.unwrap());
    queue.publish(WORK, "0".into()).await.unwrap();
    next(&mut busy).await.acknowledge().await.unwrap();
    // One that waited and gave up, too.
    assert!(timeout(Duration::from_millis(50), busy.next()).await.is_err());
    tokio::time::sleep(Duration::from_millis(600)).await;
    for n in 1..10 {
        queue.publish(WORK, n.to_string().into()).await.unwrap();
        let delivery = next(&mut idle).await;
        assert_eq!(
            (delivery.body.clone(), delivery.deliveries_before),
            (n.to_string().into(), 0)
        );
        delivery.acknowledge().await.unwrap();
    }
}

fn impatient(vhost: &Vhost, port: u16) -> AmqpQueue {
    let mut config = vhost.config(port);
    config.timeouts = AmqpTimeouts {
        watchdog: Duration::from_secs(3),
        ..config.timeouts
    };
    AmqpQueue::new(config)
}

/// A network that swallows everything is noticed well before heartbeats notice it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_carries_nothing_is_closed() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let proxy = Proxy::to(vhost.address.amqp).await;
    let queue = impatient(&vhost, proxy.port);
    let mut consumer = queue.consume(WORK).await.unwrap();
    assert!(timeout(Duration::from_millis(100), consumer.next()).await.is_err());
    let since = Instant::now();
    proxy.swallow();
    assert!(is_unavailable(&timeout(SOON, consumer.next()).await.unwrap()));
    let noticed = since.elapsed();
    assert!(noticed < Duration::from_secs(9), "after {noticed:?}");
}

/// A process that hangs loses what it holds to one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hung_process_holds_goes_to_others() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let here = vhost.queue();
    here.publish(WORK, "task".into()).await.unwrap();
    let hangs = impatient(&vhost, vhost.address.amqp);
    let (held, holds) = tokio::sync::oneshot::channel();
    let hung = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let mut consumer = hangs.consume(WORK).await.unwrap();
            let delivery = next(&mut consumer).await;
            held.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(9));
            assert!(is_unavailable(&delivery.acknowledge().await));
        });
    });
    holds.await.unwrap();
    let since = Instant::now();
    let mut consumer = here.consume(WORK).await.unwrap();
    let delivery = next(&mut consumer).await;
    let waited = since.elapsed();
    assert!(waited < Duration::from_secs(8), "after {waited:?}");
    assert_eq!((&delivery.body[..], delivery.deliveries_before), (&b"task"[..], 1));
    delivery.acknowledge().await.unwrap();
    tokio::task::spawn_blocking(|| hung.join()).await.unwrap().unwrap();
}

/// What a build tells that knows no topics, as the one before may in a fleet that is upgraded, is heard under any topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_topic_is_heard() {
    let Some(vhost) = Vhost::fresh().await else { return };
    let queue = vhost.queue();
    for topic in [Topic::Workers, Topic::Records] {
        let mut listener = queue.listen(&[topic]).await.unwrap();
        let event = r#"{"properties":{},"routing_key":"event","payload":"old","payload_encoding":"string"}"#;
        let path = format!("exchanges/{}/clearfleet.events/publish", vhost.name);
        vhost.api("POST", &path, event).await;
        let heard = timeout(SOON, listener.next()).await.unwrap().unwrap();
        assert_eq!(heard, "old");
    }
}
