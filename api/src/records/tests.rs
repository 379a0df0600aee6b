//! Pages, searches and changes of the table; following a store is in `following`.

mod following;
mod table;

use clearfleet_common::job::{
    ClassName, JobId, OwnerId, Priority, Record, Request, Settings, Source, SourceKind, SourceLocation, Stretch,
};
use jiff::{SignedDuration, Timestamp};

/// The record of a job that was made `age` seconds after the epoch.
fn record(owner: OwnerId, job: JobId, name: &str, age: i64) -> Record {
    let request = Request {
        name: name.to_owned(),
        kind: SourceKind::Video,
        settings: Settings::default(),
        stretch: Stretch::default(),
        retouches: Vec::new(),
        class: ClassName::default(),
        priority: Priority::Normal,
        webhook: None,
        destination: None,
        preview: None,
    };
    let source = Source {
        location: SourceLocation::Job(job),
        bytes: 1,
        etag: "\"1\"".to_owned(),
        content_type: "video/mp4".to_owned(),
    };
    let created = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(age);
    Record::new(job, owner, request, source, created)
}

fn alice() -> OwnerId {
    "alice".parse().unwrap()
}

fn bob() -> OwnerId {
    "bob".parse().unwrap()
}
