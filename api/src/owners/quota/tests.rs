use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;

use super::*;
use crate::http::{Problem, Role};

/// What is stored, fixed.
#[derive(Debug)]
struct Stored(Used);

impl Usage for Stored {
    fn of(&self, owner: OwnerId) -> Used {
        if owner == OwnerId::default() {
            self.0
        } else {
            Used::default()
        }
    }

    fn total(&self) -> Used {
        self.0
    }
}

fn caller(owner: &str, quota: Quota) -> Caller {
    Caller {
        owner: owner.parse().unwrap(),
        role: Role::User,
        quota,
    }
}

fn local() -> Caller {
    caller("local", Quota::default())
}

fn quotas(defaults: Quota, space: Space) -> Arc<Quotas> {
    with(0, defaults, space)
}

/// The same with this much of what is stored still on its way.
fn with(coming: u64, defaults: Quota, space: Space) -> Arc<Quotas> {
    let used = Used {
        bytes: 600,
        coming,
        jobs: 2,
    };
    Quotas::new(defaults, space, Arc::new(Stored(used)))
}

fn bytes(limit: u64) -> Quota {
    Quota {
        stored_bytes: Some(limit),
        ..Quota::default()
    }
}

/// Status and details of what a client gets.
fn told(error: QuotaError) -> (StatusCode, serde_json::Value) {
    let problem = Problem::from(error);
    let body = serde_json::to_value(problem.body(None)).unwrap();
    (problem.status(), body["details"].clone())
}

#[test]
fn without_limits_everything_is_taken() {
    let quotas = quotas(Quota::default(), Space::default());
    let mut reservation = quotas.reserve(&local(), u64::MAX / 2).unwrap();
    reservation.came(u64::MAX / 2 + 1).unwrap();
    (0..1000).for_each(|_| quotas.count_request(&local()).unwrap());
}

#[test]
fn stored_and_reserved_bytes_count_together() {
    let quotas = quotas(bytes(1000), Space::default());
    let held = quotas.reserve(&local(), 300).unwrap();
    let refused = quotas.reserve(&local(), 101).unwrap_err();
    let details = serde_json::json!({"limit": "1000", "found": "1001"});
    assert_eq!(told(refused), (StatusCode::PAYLOAD_TOO_LARGE, details));
    quotas.reserve(&local(), 100).unwrap();
    quotas.reserve(&caller("other", Quota::default()), 1000).unwrap();
    drop(held);
    quotas.reserve(&local(), 400).unwrap();
}

#[test]
fn what_was_not_announced_is_reserved_as_it_comes() {
    let quotas = quotas(bytes(1000), Space::default());
    let mut upload = quotas.reserve(&local(), 0).unwrap();
    upload.came(390).unwrap();
    assert!(quotas.reserve(&local(), 11).is_err());
    upload.came(400).unwrap();
    let refused = upload.came(401).unwrap_err();
    assert!(
        matches!(
            refused,
            QuotaError::StoredBytes {
                limit: 1000,
                found: 1001
            }
        ),
        "{refused}"
    );
    drop(upload);
    assert_eq!(quotas.open().bytes, 0);
    assert!(quotas.open().owners.is_empty());
}

#[test]
fn jobs_that_are_being_made_count_as_live() {
    let jobs = Quota {
        live_jobs: Some(3),
        ..Quota::default()
    };
    let quotas = quotas(jobs, Space::default());
    let held = quotas.reserve(&local(), 0).unwrap();
    let refused = quotas.reserve(&local(), 0).unwrap_err();
    let response = Problem::from(refused).response(None);
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[RETRY_AFTER], "30");
    drop(held);
    quotas.reserve(&local(), 0).unwrap();
}

#[test]
fn a_key_has_limits_of_its_own() {
    let quotas = quotas(bytes(1000), Space::default());
    quotas.reserve(&caller("local", bytes(2000)), 1400).unwrap();
    assert!(quotas.reserve(&caller("local", bytes(601)), 2).is_err());
}

#[test]
fn requests_are_refused_with_a_time_to_ask_again() {
    let requests = Quota {
        requests_a_minute: NonZeroU32::new(2),
        ..Quota::default()
    };
    let quotas = quotas(requests, Space::default());
    quotas.count_request(&local()).unwrap();
    quotas.count_request(&local()).unwrap();
    let response = Problem::from(quotas.count_request(&local()).unwrap_err()).response(None);
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((29..=31).contains(&after), "{after}");
    quotas.count_request(&caller("other", Quota::default())).unwrap();
}

#[test]
fn the_budget_is_everybodys() {
    let space = Space {
        budget: Some(1000),
        ..Space::default()
    };
    let quotas = quotas(Quota::default(), space);
    let _held = quotas.reserve(&local(), 300).unwrap();
    let refused = quotas.reserve(&caller("other", Quota::default()), 101).unwrap_err();
    assert!(
        matches!(
            refused,
            QuotaError::Budget {
                limit: 1000,
                found: 1001
            }
        ),
        "{refused}"
    );
    assert_eq!(
        told(refused),
        (StatusCode::INSUFFICIENT_STORAGE, serde_json::Value::Null)
    );
}

#[test]
fn a_full_file_system_is_found_before_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let space = |spare| Space {
        budget: None,
        folder: Some(folder.path().to_owned()),
        spare,
    };
    let free = space(0).free().unwrap().unwrap();
    assert!(free > 0);
    quotas(Quota::default(), space(0)).reserve(&local(), 1).unwrap();
    let refused = with(free * 2, Quota::default(), space(0))
        .reserve(&local(), 1)
        .unwrap_err();
    assert!(matches!(refused, QuotaError::FreeSpace { .. }), "{refused}");
    // Others use the file system too: twice of what is free does not become free meanwhile.
    let quotas = quotas(Quota::default(), space(free * 2));
    let refused = quotas.reserve(&local(), 1).unwrap_err();
    assert!(matches!(refused, QuotaError::FreeSpace { .. }), "{refused}");
    assert_eq!(told(refused).0, StatusCode::INSUFFICIENT_STORAGE);
}
