use proptest::prelude::*;

use super::*;

fn ms() -> TimeBase {
    TimeBase::new(1, 1000).unwrap()
}

#[test]
fn times_that_do_not_increase_are_refused() {
    assert_eq!(Ledger::new(ms(), vec![], 5), Err(LedgerError::Empty));
    let order = LedgerError::Order {
        frame: 2,
        pts: 40,
        previous: 40,
    };
    assert_eq!(Ledger::new(ms(), vec![0, 40, 40], 80), Err(order));
    assert_eq!(
        Ledger::new(ms(), vec![0], 0),
        Err(LedgerError::Order {
            frame: 1,
            pts: 0,
            previous: 0
        })
    );
}

#[test]
fn a_time_too_far_from_zero_is_refused() {
    let (first, last) = (-Ledger::FARTHEST, Ledger::FARTHEST);
    let widest = Ledger::new(ms(), vec![first, 0], last).unwrap();
    let text = serde_json::to_string(&widest.slice(widest.range(), 0)).unwrap();
    assert_eq!(serde_json::from_str::<LedgerSlice>(&text).unwrap().end(), last);
    assert_eq!(
        Ledger::new(ms(), vec![first - 1, 0], 1),
        Err(LedgerError::Far(first - 1))
    );
    assert_eq!(Ledger::new(ms(), vec![0], last + 1), Err(LedgerError::Far(last + 1)));
    for far in [
        r#"{"version":1,"range":[0,1],"lead":0,"first":-4611686018427387904,"runs":[[1,1]]}"#,
        r#"{"version":1,"range":[0,1],"lead":0,"first":0,"runs":[[4611686018427387904,1]]}"#,
    ] {
        let refused = serde_json::from_str::<LedgerSlice>(far).unwrap_err();
        assert!(
            refused.to_string().contains("4611686018427387904 ticks is beyond 2^62"),
            "{refused}"
        );
    }
}

#[test]
fn a_stretch_holds_the_frames_that_start_in_it() {
    let ledger = Ledger::new(ms(), vec![0, 40, 80, 120], 160).unwrap();
    let stretch = ledger.stretch(40, 120).unwrap();
    assert_eq!((stretch.pts(), stretch.end()), (&[40, 80][..], 120));
    assert_eq!(ledger.stretch(121, 500), None);
    assert_eq!(ledger.stretch(81, i64::MAX).unwrap().end(), 160);
}

#[test]
fn steady_times_are_one_run() {
    let ledger = Ledger::new(ms(), (0..1000).map(|n| n * 40).collect(), 40_000).unwrap();
    let text = serde_json::to_string(&ledger.slice(ledger.range(), 2)).unwrap();
    assert_eq!(
        text,
        r#"{"version":1,"range":[0,1000],"lead":0,"first":0,"runs":[[40,1000]]}"#
    );
}

#[test]
fn a_slice_that_lies_about_its_length_is_refused() {
    let huge = r#"{"version":1,"range":[0,2],"lead":0,"first":0,"runs":[[1,9000000000000]]}"#;
    assert!(serde_json::from_str::<LedgerSlice>(huge).is_err());
    let more = r#"{"version":1,"range":[0,1048577],"lead":0,"first":0,"runs":[[1,1048577]]}"#;
    let refused = serde_json::from_str::<LedgerSlice>(more).unwrap_err();
    assert!(refused.to_string().contains("at most 1048576 frames"), "{refused}");
    let backwards = r#"{"version":1,"range":[0,1],"lead":0,"first":0,"runs":[[-1,1]]}"#;
    assert!(serde_json::from_str::<LedgerSlice>(backwards).is_err());
    let newer = r#"{"version":9,"range":[0,1],"lead":0,"first":0,"runs":[[1,1]]}"#;
    assert!(
        serde_json::from_str::<LedgerSlice>(newer)
            .unwrap_err()
            .to_string()
            .contains("version 9")
    );
}

#[test]
fn a_slice_knows_where_decoding_can_start() {
    let ledger = Ledger::new(ms(), (0..100).collect(), 100).unwrap();
    let key = |pts| KeyPacket { pts, dts: pts - 2 };
    let ledger = ledger.with_keys((0..10).rev().map(|n| key(n * 10)).collect());
    let starts = |start, lead| {
        ledger
            .slice(FrameRange::new(start, 100).unwrap(), lead)
            .starts()
            .to_vec()
    };
    assert_eq!(starts(55, 0), [key(50), key(40), key(20)]);
    assert_eq!(starts(50, 1), [key(40), key(30), key(10)]);
    assert_eq!(starts(15, 0), [key(10), key(0)]);
    let slice = ledger.slice(FrameRange::new(15, 20).unwrap(), 0);
    let text = serde_json::to_string(&slice).unwrap();
    assert!(text.ends_with(r#""starts":[[10,8],[0,-2]]}"#), "{text}");
    assert_eq!(serde_json::from_str::<LedgerSlice>(&text).unwrap(), slice);
    assert_eq!(
        ledger
            .stretch(15, 20)
            .unwrap()
            .slice(FrameRange::new(0, 5).unwrap(), 0)
            .starts(),
        slice.starts()
    );
}

proptest! {
    #[test]
    fn a_slice_is_read_back_as_it_was(steps in prop::collection::vec(1i64..5000, 1..80), first in -9000i64..9000, cut in any::<(prop::sample::Index, prop::sample::Index)>(), lead in 0usize..5) {
        let times: Vec<i64> = steps.iter().scan(first, |t, s| { *t += s; Some(*t) }).collect();
        let end = times[times.len() - 1] + 7;
        let ledger = Ledger::new(ms(), times.clone(), end).unwrap();
        let (a, b) = (cut.0.index(times.len()), cut.1.index(times.len()));
        let range = FrameRange::new(a.min(b) as u64, a.max(b) as u64 + 1).unwrap();
        let slice = ledger.slice(range, lead);
        prop_assert_eq!(slice.pts(), &times[a.min(b)..=a.max(b)]);
        prop_assert_eq!(slice.end(), times.get(a.max(b) + 1).copied().unwrap_or(end));
        prop_assert_eq!(slice.lead(), &times[a.min(b).saturating_sub(lead)..a.min(b)]);
        let text = serde_json::to_string(&slice).unwrap();
        prop_assert_eq!(serde_json::from_str::<LedgerSlice>(&text).unwrap(), slice);
    }
}
