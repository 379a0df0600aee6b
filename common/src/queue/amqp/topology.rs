//! What there must be on the broker: queues with their arguments, and the exchange of events.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use super::connection::Live;
use super::version::Version;
use crate::queue::{DELIVERY_LIMIT, QueueError, QueueName};

/// Where events go; nothing of it outlives the broker.
pub(super) const EVENTS: &str = "clearfleet.events";

/// The topic of whatever builds tell that know no topics. While a fleet is upgraded they are heard by everybody.
pub(super) const ANY_TOPIC: &str = "event";

/// How long a delivery may stay unsettled. Only what hangs takes longer, and its worker's silence is noticed far earlier.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(3 * 60 * 60);

/// A queue that somebody else is just making is there for RabbitMQ before it can be used: who consumes from it then loses the
/// connection (`noproc`, seen on 3.10). So what looks new is given a moment, once a connection.
const BIRTH: Duration = Duration::from_millis(200);

/// Makes sure that a queue is there as it must be, once a connection.
pub(super) async fn declare(live: &Live, queue: QueueName) -> Result<(), QueueError> {
    let mut declared = live.declared.lock().await;
    if declared.contains(&queue) {
        return Ok(());
    }
    let channel = live.channel().await?;
    let mut young = false;
    // Dead letters need somewhere to go.
    let mut missing = vec![QueueName::Control, queue];
    missing.retain(|name| !declared.contains(name));
    missing.dedup();
    for name in &missing {
        let (text, options) = (name.to_string(), QueueDeclareOptions::durable());
        let arguments = arguments(*name, live.version);
        let declaring = channel.queue_declare(text.as_str().into(), options, arguments);
        let made = judge(&text, timeout(live.call, declaring).await)?;
        young |= made.message_count() == 0 && made.consumer_count() == 0;
    }
    if young {
        sleep(BIRTH).await;
    }
    declared.extend(missing);
    Ok(())
}

/// Forgets that a queue is there, since it seems to be gone: the next to need it makes it again.
pub(super) async fn forget(live: &Live, queue: QueueName) {
    live.declared.lock().await.remove(&queue);
}

/// Makes sure that the exchange of events is there.
pub(super) async fn declare_events(live: &Live, channel: &Channel) -> Result<(), QueueError> {
    let (options, arguments) = (ExchangeDeclareOptions::default(), FieldTable::default());
    let declaring = channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, options, arguments);
    judge(EVENTS, timeout(live.call, declaring).await)
}

/// What an answer to a declaration means.
fn judge<T>(name: &str, answer: Result<lapin::Result<T>, Elapsed>) -> Result<T, QueueError> {
    let error = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error,
        Err(_) => {
            return Err(QueueError::Unavailable(format!(
                "no answer to the declaration of {name}"
            )));
        }
    };
    match error.kind() {
        ErrorKind::ProtocolError(refused)
            if matches!(refused.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) =>
        {
            Err(QueueError::Mismatch {
                queue: name.to_owned(),
                found: refused.get_message().to_string(),
            })
        }
        _ => Err(QueueError::Unavailable(format!("declaring {name}: {error}"))),
    }
}

/// The arguments of a queue. They depend on the server's version where versions differ in what they know and in what they do
/// unasked; so a queue made by an older server is a [`QueueError::Mismatch`] after an update from below 3.12 or 4.0, and is
/// to be deleted: all that is in the queues can be made again from storage.
fn arguments(queue: QueueName, version: Version) -> FieldTable {
    let mut table = FieldTable::default();
    let mut set = |name: &str, value: AMQPValue| {
        table.insert(name.into(), value);
    };
    set("x-queue-type", text("quorum"));
    match queue.delivery_limit() {
        Some(limit) => {
            // Counted are the returns that are allowed, one less than the deliveries.
            set("x-delivery-limit", AMQPValue::LongInt(returns(limit)));
            set("x-dead-letter-exchange", text(""));
            set("x-dead-letter-routing-key", text(&QueueName::Control.to_string()));
            // A dead letter leaves its queue when control has confirmed it. That needs the other argument, which without a
            // maximal length means nothing else.
            set("x-dead-letter-strategy", text("at-least-once"));
            set("x-overflow", text("reject-publish"));
        }
        None if version.limits_deliveries_by_default() => set("x-delivery-limit", AMQPValue::LongInt(-1)),
        None => {}
    }
    if queue == QueueName::Control {
        set("x-single-active-consumer", AMQPValue::Boolean(true));
    }
    if version.has_consumer_timeout() {
        let milliseconds = i64::try_from(CONSUMER_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        set("x-consumer-timeout", AMQPValue::LongLongInt(milliseconds));
    }
    table
}

fn returns(limit: u32) -> i32 {
    debug_assert!((1..=DELIVERY_LIMIT).contains(&limit));
    i32::try_from(limit.saturating_sub(1)).unwrap_or(i32::MAX)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(queue: QueueName, version: Version) -> Vec<String> {
        let table = arguments(queue, version);
        table
            .inner()
            .keys()
            .map(|name| name.as_str().trim_start_matches("x-").to_owned())
            .collect()
    }

    #[test]
    fn arguments_are_those_that_the_server_knows() {
        let control = |version| names(QueueName::Control, version);
        assert_eq!(control(Version::new(3, 10)), ["queue-type", "single-active-consumer"]);
        assert_eq!(
            control(Version::new(3, 13)),
            ["consumer-timeout", "queue-type", "single-active-consumer"]
        );
        assert_eq!(
            control(Version::new(4, 0)),
            [
                "consumer-timeout",
                "delivery-limit",
                "queue-type",
                "single-active-consumer"
            ]
        );
        let work = [
            "dead-letter-exchange",
            "dead-letter-routing-key",
            "dead-letter-strategy",
            "delivery-limit",
            "overflow",
            "queue-type",
        ];
        assert_eq!(names(QueueName::Media, Version::OLDEST), work);
    }
}
