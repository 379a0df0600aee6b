//! What the scheduler does in which situation, as scripts: somebody says something, time passes, tasks are published.

mod audits;
mod counts;
mod desk;
mod lives;
mod playhead;
mod sharing;
mod sounds;
mod takeover;
mod trouble;
