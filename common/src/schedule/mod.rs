//! The scheduler: what is published when, and what becomes of a job. It knows no storage and no queue, has no clock and
//! does no IO: [`Scheduler::handle`] takes an [`Input`] and the time, and returns [`Effect`]s, which a shell carries out.
//!
//! # The protocol
//!
//! **Where the truth is.** A job's record says where it is; markers say which batches are done; announcements say what
//! workers hold. All that a scheduler keeps beside these can be had from them again, so it may be ended at any moment, and
//! any effect may get lost with it.
//!
//! **One thing at a time.** For a job, the scheduler asks storage one question and waits for the answer; if none comes, or
//! an error, it reads the record and decides anew. A task is published after the record that it follows from is written,
//! a key below `active/` is deleted after the record says that the job has ended.
//!
//! **Generations.** Workers drop a task whose generation is not the record's. So whoever may not trust what was published
//! (a scheduler that becomes active, that sees the broker come back, that sees a free worker beside a task that nobody
//! takes, or a record that another scheduler changed) listens for two announcements, raises the generation by
//! compare-and-swap, and publishes what is missing and what nobody holds. What was held is published when its holder has
//! not announced it for a while. Cancel, pause, resume and retry are the same: change the state, raise the generation.
//!
//! **Numbers.** A plan, or a picture, gets a number of its own with every publication that may have another before it; two
//! planners never write below the same number, unless the broker delivers one task twice.
//!
//! **Turns.** Little is published beyond what workers take at once: in turn by owner, then by job, then in order.
//!
//! **Playheads.** What somebody waits for at a film that is not finished, the batch under the playhead and the one after it,
//! stands in a line of its own, which leads to the interactive lane; of a batch, one task is out all the same, whichever lane
//! it is in. Nothing is lost with a playhead but the haste.
//!
//! **Audits** are no part of any job: a sampled batch is computed again by another worker when nothing better is to be done,
//! and whatever becomes of that changes nothing for its job. They are in no record: what is under way is forgotten with the
//! scheduler, and so is a first disagreement. A worker that was told to stop says so itself, to every scheduler.
//!
//! **Sound** of streams is no part of any job either: once a streamed film is planned, a task writes it, and where that fails
//! the stream has none.
//!
//! **Commands** are written into records by others. A hint says that there may be one; lost hints are found when `active/` is
//! listed, every minute. Who gives an ended job something to do writes its key below `active/` before the record and once
//! more after it: the scheduler may be deleting the key at that moment, and reads the record afterwards.

mod advance;
mod audits;
mod batches;
#[cfg(test)]
mod explore;
mod job;
mod lanes;
mod messages;
mod moves;
mod notes;
mod playhead;
mod reports;
mod rules;
mod scheduler;
mod sounds;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod turns;
mod view;
mod workers;

pub use batches::BatchSet;
pub use messages::{Destination, Effect, Input, KnownClass, ListedJob, RecordVersion, Ticket};
pub use notes::{AuditOutcome, Note};
pub use rules::{Millis, Rules};
pub use scheduler::Scheduler;
pub use view::{ClassView, LaneView, OwnerView, Place};
pub use workers::LiveWorker;
