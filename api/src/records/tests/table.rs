use std::time::{Duration, Instant};

use clearfleet_common::job::{Command, PlanSummary, Progress, State, Step};
use clearfleet_common::storage::Version;

use super::*;
use crate::records::table::{Missed, Table};
use crate::records::{Cursor, Query};

fn loaded() -> Table {
    let mut table = Table::new();
    table.loaded = true;
    table
}

fn put(table: &mut Table, record: Record, version: u32) -> Option<i64> {
    let (_, change) = table.put(record, Version::from(version.to_string()));
    change.map(|change| change.number)
}

/// Ids of the jobs that a query finds, page by page.
fn found(table: &Table, owner: OwnerId, mut query: Query) -> Vec<JobId> {
    let mut ids = Vec::new();
    loop {
        let page = table.page(owner, &query);
        assert!(page.jobs.len() <= query.limit);
        ids.extend(page.jobs.iter().map(|snapshot| snapshot.record.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return ids,
        }
    }
}

/// Ten jobs of Alice's, the odd ones made at the same moment as the even ones before, and one of Bob's.
fn ten() -> Table {
    let mut table = loaded();
    for n in 0..10_u32 {
        let mut record = record(
            alice(),
            JobId::from_u128(u128::from(n)),
            &format!("Film {n}.MP4"),
            i64::from(n / 2),
        );
        record.request.priority = if n % 3 == 0 { Priority::High } else { Priority::Normal };
        record.state = if n % 2 == 0 { State::Running } else { State::Done };
        record.request.kind = if n == 7 { SourceKind::Picture } else { SourceKind::Video };
        put(&mut table, record, 1);
    }
    put(&mut table, record(bob(), JobId::from_u128(100), "film 100.mp4", 3), 1);
    table
}

fn numbers(ids: &[JobId]) -> Vec<u128> {
    let number = |id: &JobId| (0..1000).find(|n| JobId::from_u128(*n) == *id).unwrap();
    ids.iter().map(number).collect()
}

#[test]
fn pages_hold_every_job_of_the_owner_once_newest_first() {
    let table = ten();
    for limit in [1, 2, 3, 9, 10, 11] {
        let ids = found(&table, alice(), Query::new("", limit));
        assert_eq!(numbers(&ids), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], "{limit}");
    }
    assert_eq!(numbers(&found(&table, bob(), Query::new("", 5))), [100]);
    assert_eq!(found(&table, "carol".parse().unwrap(), Query::new("", 5)), []);
}

#[test]
fn a_search_takes_what_all_its_filters_take() {
    let table = ten();
    let search = |text: &str, change: &dyn Fn(&mut Query)| {
        let mut query = Query::new(text, 2);
        change(&mut query);
        numbers(&found(&table, alice(), query))
    };
    assert_eq!(search("FILM 7", &|_| {}), [7]);
    assert_eq!(search("m 1", &|_| {}), [1]);
    assert_eq!(search("10", &|_| {}), []);
    assert_eq!(search("", &|query| query.states = vec![State::Done]), [9, 7, 5, 3, 1]);
    assert_eq!(search("", &|query| query.kinds = vec![SourceKind::Picture]), [7]);
    assert_eq!(
        search("", &|query| query.priorities = vec![Priority::High]),
        [9, 6, 3, 0]
    );
    let all = |query: &mut Query| {
        query.states = vec![State::Done, State::Failed];
        query.priorities = vec![Priority::High];
    };
    assert_eq!(search(".mp4", &all), [9, 3]);
}

#[test]
fn a_page_goes_on_where_the_last_one_ended_whatever_came_and_went() {
    let mut table = ten();
    let first = table.page(alice(), &Query::new("", 4));
    let next = first.next.unwrap();
    assert_eq!(next.to_string().parse::<Cursor>().unwrap(), next);
    table.remove(JobId::from_u128(6));
    put(&mut table, record(alice(), JobId::from_u128(50), "new", 60), 1);
    let mut query = Query::new("", 3);
    query.after = Some(next);
    assert_eq!(numbers(&found(&table, alice(), query)), [5, 4, 3, 2, 1, 0]);
}

#[test]
fn a_cursor_is_read_in_its_one_form() {
    for refused in [
        "",
        "1",
        "x.00000000-0000-0000-0000-000000000001",
        "01.00000000-0000-0000-0000-000000000001",
    ] {
        assert!(refused.parse::<Cursor>().is_err(), "{refused}");
    }
}

#[test]
fn a_job_that_is_to_be_deleted_is_in_no_list() {
    let mut table = ten();
    let mut record = record(alice(), JobId::from_u128(3), "film 3", 1);
    record.want(Command::Delete).unwrap();
    put(&mut table, record, 2);
    assert_eq!(numbers(&found(&table, alice(), Query::new("film 3", 5))), []);
}

#[test]
fn who_comes_back_hears_what_was_missed() {
    let mut table = loaded();
    let job = JobId::from_u128;
    let first = put(&mut table, record(alice(), job(1), "a", 1), 1).unwrap();
    assert_eq!(
        put(&mut table, record(alice(), job(1), "a", 1), 1),
        None,
        "the same version is no change"
    );
    put(&mut table, record(alice(), job(2), "b", 1), 1);
    put(&mut table, record(bob(), job(3), "c", 1), 1);
    put(&mut table, record(alice(), job(1), "a", 1), 2);
    table.remove(job(2));
    let Missed::Jobs(missed) = table.missed(alice(), first) else {
        panic!("it was not long ago");
    };
    let told: Vec<(u128, bool)> = missed
        .iter()
        .map(|(change, now)| (numbers(&[change.job])[0], now.is_some()))
        .collect();
    assert_eq!(told, [(1, true), (2, false)]);
    assert!(missed.is_sorted_by_key(|(change, _)| change.number));
    assert!(matches!(table.missed(alice(), first - 1_000_000_000), Missed::TooMuch));
    for n in 0..5000 {
        put(&mut table, record(bob(), job(1000 + n), "d", 1), 1);
    }
    assert!(
        matches!(table.missed(alice(), first), Missed::TooMuch),
        "what is forgotten is said to be"
    );
}

#[test]
fn what_workers_say_counts_as_long_as_it_is_about_the_plan() {
    let mut table = loaded();
    let job = JobId::from_u128(1);
    let planned = |plan: u32, state: State| {
        let mut record = record(alice(), job, "a", 1);
        record.state = state;
        record.plan = Some(PlanSummary {
            number: plan,
            kind: SourceKind::Video,
            class: ClassName::default(),
            pipeline: String::new(),
            batches: 4,
            frames: 40,
            batch_seconds: 10.0,
            source_size: (2, 2),
            target_size: (4, 4),
            seconds: 1.0,
            format: clearfleet_common::job::OutputFormat::Mp4,
            notes: Vec::new(),
            exact: false,
            has_sound: false,
            fingerprint: None,
        });
        record
    };
    let say = |table: &mut Table, owner, plan, done| {
        let step = Step::Upscale { plan, batch: 0 };
        let progress = Progress {
            job,
            owner,
            step,
            done,
            total: 10,
        };
        table.progressed(&progress, Instant::now()).is_some()
    };
    put(&mut table, planned(1, State::Running), 1);
    assert!(!say(&mut table, alice(), 0, 5), "an older plan");
    assert!(!say(&mut table, bob(), 1, 5), "another owner");
    assert!(say(&mut table, alice(), 1, 5));
    let live = |table: &Table| {
        table
            .get(job)
            .unwrap()
            .live
            .as_ref()
            .map(|live| (live.done, live.total))
    };
    assert_eq!(live(&table), Some((5, 40)));
    assert!((table.backlog_seconds(ClassName::default()) - 35.0).abs() < 1e-9);
    put(&mut table, planned(1, State::Running), 2);
    assert_eq!(live(&table), Some((5, 40)), "a change of the record takes nothing back");
    put(&mut table, planned(2, State::Running), 3);
    assert_eq!(live(&table), None);
    say(&mut table, alice(), 2, 3);
    put(&mut table, planned(2, State::Done), 4);
    assert_eq!(live(&table), None);
    assert!(!say(&mut table, alice(), 2, 4), "a late word of a job that ended");
    assert_eq!(table.backlog_seconds(ClassName::default()), 0.0);
}

/// Pages and searches of an owner with 10,000 jobs are read at every key that somebody presses.
#[test]
fn ten_thousand_jobs_are_listed_and_searched_fast() {
    let mut table = loaded();
    for n in 0..10_000_u128 {
        let name = format!("Holiday {n} in the Mountains, Part {}.mp4", n % 17);
        put(&mut table, record(alice(), JobId::from_u128(n), &name, n as i64), 1);
    }
    let time = |query: &Query| {
        let began = Instant::now();
        let page = table.page(alice(), query);
        (page.jobs.len(), began.elapsed())
    };
    // The median: what others do on the machine is not the table's.
    let usual = |query: &Query| {
        let mut times: Vec<(usize, Duration)> = (0..21).map(|_| time(query)).collect();
        times.sort_by_key(|(_, took)| *took);
        times[times.len() / 2]
    };
    let (jobs, page) = usual(&Query::new("", 50));
    assert_eq!(jobs, 50);
    let (jobs, search) = usual(&Query::new("holiday 9999 IN", 50));
    assert_eq!(jobs, 1);
    let (jobs, nothing) = usual(&Query::new("not there", 50));
    assert_eq!(jobs, 0);
    let mut last = Query::new("", 50);
    last.after = Some("0.00000000-0000-0000-0000-000000000000".parse().unwrap());
    let (jobs, end) = usual(&last);
    assert_eq!(jobs, 0);
    let mut filtered = Query::new("", 50);
    filtered.states = vec![State::Failed];
    let (jobs, filter) = usual(&filtered);
    assert_eq!(jobs, 0);
    println!(
        "10,000 jobs: filter in vain {filter:?}, page {page:?}, search {search:?}, search in vain {nothing:?}, last page {end:?}"
    );
    assert!(page.max(end) < Duration::from_millis(50) && search.max(nothing).max(filter) < Duration::from_millis(100));
}
