//! What a broker does, as plain data: who waits, who holds what, whose turn it is.

use std::collections::{HashMap, VecDeque};
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::super::QueueName;

/// Which consumer; never used twice.
pub(super) type ConsumerId = u64;

/// A message that is in a queue or delivered.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) body: Bytes,
    /// Deliveries that ended without an acknowledgement.
    pub(super) deliveries: u32,
    pub(super) dead_from: Option<String>,
}

/// A delivery: the message, and what settles it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) ticket: u64,
    pub(super) message: Message,
}

/// All queues.
#[derive(Debug, Default)]
pub(super) struct Broker {
    lines: HashMap<QueueName, Line>,
    /// The last consumer or ticket.
    last: u64,
    /// Whom to wake when the lock is released.
    awake: Vec<Waker>,
}

/// One queue. A message leaves `ready` only in the call that returns it to a consumer.
#[derive(Debug, Default)]
struct Line {
    ready: VecDeque<Message>,
    /// In the order in which they came.
    consumers: Vec<Member>,
    /// Those who wait and hold nothing, in the order of their turns.
    waiting: VecDeque<ConsumerId>,
    /// Whether only the first consumer gets messages.
    single: bool,
}

#[derive(Debug)]
struct Member {
    id: ConsumerId,
    held: Option<(u64, Message)>,
    waker: Option<Waker>,
}

impl Broker {
    /// Those to wake now; they are not named again.
    pub(super) fn awake(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.awake)
    }

    pub(super) fn publish(&mut self, queue: QueueName, body: Bytes) {
        let message = Message {
            body,
            deliveries: 0,
            dead_from: None,
        };
        self.append(queue, message);
    }

    /// Messages of a queue, unsettled ones included.
    pub(super) fn messages(&self, queue: QueueName) -> usize {
        let count = |line: &Line| line.ready.len() + line.consumers.iter().filter(|c| c.held.is_some()).count();
        self.lines.get(&queue).map_or(0, count)
    }

    /// Adds a consumer.
    pub(super) fn join(&mut self, queue: QueueName) -> ConsumerId {
        let id = self.number();
        self.line(queue).consumers.push(Member {
            id,
            held: None,
            waker: None,
        });
        id
    }

    /// Takes the next message for a consumer if it has a turn, else remembers to wake it. Nothing if it was disconnected.
    pub(super) fn poll_take(&mut self, queue: QueueName, id: ConsumerId, waker: &Waker) -> Poll<Option<Taken>> {
        let ticket = self.number();
        let line = self.line(queue);
        let Some(member) = line.consumers.iter_mut().find(|c| c.id == id) else {
            return Poll::Ready(None);
        };
        if member.held.is_none() && !line.waiting.contains(&id) {
            line.waiting.push_back(id);
        }
        let turn = line.turns().any(|next| next == id);
        let message = if turn { line.ready.pop_front() } else { None };
        let Some(member) = line.consumers.iter_mut().find(|c| c.id == id) else {
            return Poll::Ready(None);
        };
        let Some(message) = message else {
            member.waker = Some(waker.clone());
            return Poll::Pending;
        };
        member.held = Some((ticket, message.clone()));
        line.waiting.retain(|other| *other != id);
        Poll::Ready(Some(Taken { ticket, message }))
    }

    /// A consumer does not wait any more; who comes after it moves up.
    pub(super) fn stop_waiting(&mut self, queue: QueueName, id: ConsumerId) {
        let line = self.line(queue);
        line.waiting.retain(|other| *other != id);
        if let Some(member) = line.consumers.iter_mut().find(|c| c.id == id) {
            member.waker = None;
        }
        self.rouse(queue);
    }

    /// Removes a message for good; whether it still was this consumer's.
    pub(super) fn settle(&mut self, queue: QueueName, id: ConsumerId, ticket: u64) -> bool {
        self.release(queue, id, ticket).is_some()
    }

    /// Puts an unsettled message back, if it still is this consumer's.
    pub(super) fn give_back(&mut self, queue: QueueName, id: ConsumerId, ticket: u64) {
        if let Some(message) = self.release(queue, id, ticket) {
            self.put_back(queue, message);
        }
    }

    /// Removes a consumer and puts back what it holds.
    pub(super) fn leave(&mut self, queue: QueueName, id: ConsumerId) {
        let line = self.line(queue);
        line.waiting.retain(|other| *other != id);
        let Some(place) = line.consumers.iter().position(|c| c.id == id) else {
            return;
        };
        let member = line.consumers.remove(place);
        if let Some((_, message)) = member.held {
            self.put_back(queue, message);
        }
        self.rouse(queue);
    }

    /// Removes all consumers; whoever waits is woken and finds itself gone.
    pub(super) fn disconnect_all(&mut self) {
        let queues: Vec<QueueName> = self.lines.keys().copied().collect();
        for queue in queues {
            let line = self.line(queue);
            line.waiting.clear();
            let mut held = Vec::new();
            for mut member in std::mem::take(&mut line.consumers) {
                held.extend(member.held.take());
                self.awake.extend(member.waker);
            }
            // The newest first, so that the oldest is in front in the end.
            held.sort_by_key(|(ticket, _)| std::cmp::Reverse(*ticket));
            for (_, message) in held {
                self.put_back(queue, message);
            }
        }
    }

    /// Forgets all queues; consumers must be disconnected before, under the same lock. Numbers go on, so that what is settled late finds nothing.
    pub(super) fn wipe(&mut self) {
        self.lines.clear();
    }

    /// Takes a message from the consumer that holds it, who may wait for the next already.
    fn release(&mut self, queue: QueueName, id: ConsumerId, ticket: u64) -> Option<Message> {
        let line = self.lines.get_mut(&queue)?;
        let member = line.consumers.iter_mut().find(|c| c.id == id)?;
        let (_, message) = member.held.take_if(|(held, _)| *held == ticket)?;
        self.awake.extend(member.waker.take());
        Some(message)
    }

    /// A delivery ended without an acknowledgement: the message comes again, first of all, or is a dead letter.
    fn put_back(&mut self, queue: QueueName, mut message: Message) {
        message.deliveries += 1;
        if queue.delivery_limit().is_some_and(|limit| message.deliveries >= limit) {
            let dead = Message {
                body: message.body,
                deliveries: 0,
                dead_from: Some(queue.to_string()),
            };
            self.append(QueueName::Control, dead);
        } else {
            self.line(queue).ready.push_front(message);
            self.rouse(queue);
        }
    }

    fn append(&mut self, queue: QueueName, message: Message) {
        self.line(queue).ready.push_back(message);
        self.rouse(queue);
    }

    /// Wakes those who have a turn.
    fn rouse(&mut self, queue: QueueName) {
        let Some(line) = self.lines.get_mut(&queue) else {
            return;
        };
        let turns: Vec<ConsumerId> = line.turns().collect();
        let members = line.consumers.iter_mut().filter(|c| turns.contains(&c.id));
        self.awake.extend(members.filter_map(|member| member.waker.take()));
    }

    fn line(&mut self, queue: QueueName) -> &mut Line {
        self.lines.entry(queue).or_insert_with(|| Line {
            single: queue == QueueName::Control,
            ..Line::default()
        })
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Line {
    /// Those who may take a message now: of those who wait, as many as there are messages, so that one that was woken
    /// and is slow to come holds up no other message than its own.
    fn turns(&self) -> impl Iterator<Item = ConsumerId> {
        let active = self.consumers.first().map(|c| c.id);
        let allowed = move |id: &ConsumerId| !self.single || Some(*id) == active;
        self.waiting.iter().copied().filter(allowed).take(self.ready.len())
    }
}
