use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use clearfleet_common::Stop;
use clearfleet_common::job::{Lane, OwnerId};
use proptest::prelude::*;

use super::Turns;
use super::order::{BURST, Order, TIMES, Ticket, WINDOW};

fn owner(n: usize) -> OwnerId {
    format!("owner-{n}").parse().unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A turn as it was taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    lane: Lane,
    owner: usize,
    joined: Duration,
    from: Duration,
    until: Duration,
    film_waited: bool,
}

/// A film whose next frame waits as soon as one is done, from `film_from` on, and photos that arrive at stated times.
struct Simulated {
    film_from: Duration,
    frame: Duration,
    /// When, whose, and how long at the engine.
    photos: Vec<(Duration, usize, Duration)>,
    end: Duration,
}

impl Simulated {
    fn run(&self) -> Vec<Taken> {
        let mut order = Order::default();
        let mut waiting: BTreeMap<Ticket, (Lane, usize, Duration, Duration)> = BTreeMap::new();
        let mut photos = self.photos.clone();
        photos.sort();
        let mut photos = photos.into_iter().peekable();
        let (mut now, mut film_waits, mut taken) = (Duration::ZERO, false, Vec::new());
        while now < self.end {
            while let Some((at, who, length)) = photos.next_if(|(at, ..)| *at <= now) {
                let ticket = order.join(Lane::Interactive, owner(who));
                waiting.insert(ticket, (Lane::Interactive, who, at, length));
            }
            if !film_waits && now >= self.film_from {
                let ticket = order.join(Lane::Bulk, owner(99));
                waiting.insert(ticket, (Lane::Bulk, 99, now, self.frame));
                film_waits = true;
            }
            let Some(ticket) = order.grant(now) else {
                let next_photo = photos.peek().map_or(self.end, |(at, ..)| *at);
                now = if film_waits {
                    next_photo
                } else {
                    next_photo.min(self.film_from)
                };
                continue;
            };
            let (lane, owner, joined, length) = waiting.remove(&ticket).unwrap();
            let film_waited = lane == Lane::Interactive && film_waits;
            film_waits &= lane == Lane::Interactive;
            let (from, until) = (now, now + length);
            taken.push(Taken {
                lane,
                owner,
                joined,
                from,
                until,
                film_waited,
            });
            now = until;
            order.end(ticket, now);
        }
        taken
    }
}

/// Interactive time in `[from, until)`.
fn interactive_within(taken: &[Taken], from: Duration, until: Duration) -> Duration {
    let turns = taken.iter().filter(|t| t.lane == Lane::Interactive);
    turns.map(|t| t.until.min(until).saturating_sub(t.from.max(from))).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// The promise, counted anew from the turns themselves: over any minute in which the film always wanted the engine, it
    /// had a fifth of it, less the one turn that was running.
    #[test]
    fn a_film_has_its_fifth_of_every_minute(
        frame in 5u64..3000,
        film_from in 0u64..30_000,
        photos in prop::collection::vec((0u64..240_000, 0usize..4, 1u64..4000), 0..400),
    ) {
        let photos: Vec<_> = photos.into_iter().map(|(at, who, length)| (ms(at), who, ms(length))).collect();
        let longest = photos.iter().map(|photo| photo.2).max().unwrap_or_default();
        let film_from = ms(film_from);
        let taken = Simulated { film_from, frame: ms(frame), photos, end: Duration::from_secs(300) }.run();
        // A second more, since shares are counted in whole seconds.
        let most = WINDOW * TIMES / (TIMES + 1) + longest + Duration::from_secs(1);
        for turn in taken.iter().filter(|turn| turn.until >= film_from + WINDOW) {
            let had = interactive_within(&taken, turn.until - WINDOW, turn.until);
            prop_assert!(had <= most, "{had:?} in the minute before {:?}", turn.until);
        }
    }

    /// A photo that is alone waits for the frame that runs, however slow frames are.
    #[test]
    fn a_photo_now_and_then_waits_for_one_frame(frame in 1u64..3000, photos in prop::collection::vec(0u64..60_000, 1..4), length in 1u64..1400) {
        let photos: Vec<_> = photos.into_iter().map(|at| (ms(at), 0, ms(length))).collect();
        let count = photos.len() as u32;
        let taken = Simulated { film_from: Duration::ZERO, frame: ms(frame), photos, end: Duration::from_secs(80) }.run();
        let mut served = 0;
        for photo in taken.iter().filter(|t| t.lane == Lane::Interactive) {
            served += 1;
            prop_assert!(photo.from - photo.joined < ms(frame) + ms(length) * (count - 1), "{photo:?}");
        }
        prop_assert_eq!(served, count);
    }
}

#[test]
fn photos_without_end_leave_every_fifth_second_to_the_film() {
    let photos = (0..5000).map(|_| (Duration::ZERO, 0, ms(200))).collect();
    let end = Duration::from_secs(600);
    let taken = Simulated {
        film_from: Duration::ZERO,
        frame: ms(200),
        photos,
        end,
    }
    .run();
    let from = Duration::from_secs(120);
    let share = interactive_within(&taken, from, end).as_secs_f64() / (end - from).as_secs_f64();
    assert!((0.79..=0.805).contains(&share), "{share}");
    // And the film is never held up for long, nor is a photo.
    let films: Vec<_> = taken.iter().filter(|t| t.lane == Lane::Bulk).collect();
    let longest = films.windows(2).map(|pair| pair[1].from - pair[0].until).max().unwrap();
    // The burst at the beginning comes back as it leaves the minute.
    assert!(longest <= BURST + Duration::from_secs(1), "{longest:?}");
    let runs = taken
        .chunk_by(|a, b| a.lane == b.lane)
        .filter(|run| run[0].lane == Lane::Bulk);
    let longest = runs.map(<[Taken]>::len).max().unwrap();
    // A quarter of the burst.
    assert!(longest <= 9, "the film has {longest} frames in a row");
}

#[test]
fn nothing_is_rationed_where_no_film_waits() {
    let photos = (0..1000).map(|_| (Duration::ZERO, 0, ms(500))).collect();
    let film_from = Duration::from_secs(400);
    let taken = Simulated {
        film_from,
        frame: ms(200),
        photos,
        end: Duration::from_secs(500),
    }
    .run();
    let before = interactive_within(&taken, Duration::ZERO, film_from);
    assert_eq!(before, film_from);
    // The film that comes then has not been kept waiting, and photos still go first.
    let first = taken.iter().position(|t| t.lane == Lane::Bulk).unwrap();
    assert!(taken[first].from >= film_from + BURST - ms(500), "{:?}", taken[first]);
    assert!(taken.iter().filter(|t| t.film_waited).count() > 100);
}

#[test]
fn owners_take_turns() {
    let many = (0..50).map(|n| (ms(n), 0, ms(100)));
    let photos = many.chain([(ms(1020), 1, ms(100)), (ms(1030), 1, ms(100))]).collect();
    let taken = Simulated {
        film_from: Duration::from_secs(500),
        frame: ms(1),
        photos,
        end: Duration::from_secs(10),
    }
    .run();
    let owners: Vec<usize> = taken.iter().map(|t| t.owner).collect();
    let others: Vec<usize> = (0..owners.len()).filter(|n| owners[*n] == 1).collect();
    assert_eq!(others, [12, 14], "{owners:?}");
}

#[test]
fn whoever_leaves_is_forgotten() {
    let mut order = Order::default();
    let first = order.join(Lane::Interactive, owner(0));
    let second = order.join(Lane::Bulk, owner(1));
    order.leave(first);
    assert_eq!(order.grant(ms(0)), Some(second));
    let third = order.join(Lane::Interactive, owner(0));
    assert!(order.must_yield(ms(1)));
    // A ticket that waits ends no turn of another.
    order.end(third, ms(2));
    assert_eq!(order.grant(ms(2)), Some(second));
    order.end(second, ms(3));
    assert_eq!(order.grant(ms(3)), Some(third));
}

#[test]
fn a_long_still_lets_the_film_have_its_share_between_tiles() {
    let mut order = Order::default();
    let still = order.join(Lane::Interactive, owner(0));
    assert_eq!(order.grant(ms(0)), Some(still));
    let frame = order.join(Lane::Bulk, owner(1));
    assert!(!order.must_yield(BURST - ms(1)));
    assert!(order.must_yield(BURST));
    order.end(still, BURST);
    let still = order.join(Lane::Interactive, owner(0));
    assert_eq!(order.grant(BURST), Some(frame));
    order.end(frame, BURST + ms(1500));
    assert_eq!(order.grant(BURST + ms(1500)), Some(still));
}

/// Real threads: the order in which they get the engine, never how long it took.
#[test]
fn threads_get_the_engine_in_order_and_one_at_a_time() {
    let turns = Arc::new(Turns::new());
    let stop = Stop::new();
    let (log, taken) = mpsc::channel();
    let busy = Arc::new(Mutex::new(()));
    let held = turns.take(Lane::Bulk, owner(9), &stop).unwrap();
    let mut threads = Vec::new();
    // Each joins before the next is started, so the order of joining is known.
    for (n, (lane, who)) in [
        (Lane::Bulk, 9),
        (Lane::Interactive, 0),
        (Lane::Interactive, 0),
        (Lane::Interactive, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let (turns, stop, log, busy) = (Arc::clone(&turns), stop.clone(), log.clone(), Arc::clone(&busy));
        let before = turns.lock().waiting();
        let watched = Arc::clone(&turns);
        threads.push(thread::spawn(move || {
            let turn = turns.take(lane, owner(who), &stop).unwrap();
            let alone = busy.try_lock().expect("two have the engine");
            log.send(n).unwrap();
            drop((alone, turn));
        }));
        while watched.lock().waiting() == before {
            thread::yield_now();
        }
    }
    drop(held);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(taken.try_iter().collect::<Vec<_>>(), [1, 3, 2, 0]);
}

#[test]
fn a_stopped_thread_waits_no_more() {
    let turns = Arc::new(Turns::new());
    let held = turns.take(Lane::Bulk, owner(0), &Stop::new()).unwrap();
    let stop = Stop::new();
    let waiting = {
        let (turns, stop) = (Arc::clone(&turns), stop.clone());
        thread::spawn(move || turns.take(Lane::Interactive, owner(1), &stop).is_none())
    };
    while turns.lock().waiting() == 0 {
        thread::yield_now();
    }
    stop.stop();
    turns.wake();
    assert!(waiting.join().unwrap());
    drop(held);
    assert!(turns.take(Lane::Bulk, owner(0), &Stop::new()).is_some());
}
