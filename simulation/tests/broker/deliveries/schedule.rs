//! When deliveries are tried again, and when no more.

use super::*;

#[test]
fn tries_later_and_later_until_the_receiver_is_back() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept(1);
    scene.wait(HOUR);
    scene.treat(Manner::Answers(200));
    scene.wait(DAY);
    let pauses = scene.pauses(1);
    for (pause, seconds) in pauses.iter().zip([5, 30, 120, 600, 3600]) {
        check_wait(*pause, seconds);
    }
    assert_eq!((pauses.len(), scene.counts()), (5, [0, 0, 1]));
    assert!(scene.arrivals(1).iter().all(|arrival| arrival.id == scene.arrivals(1)[0].id));
}

#[test]
fn gives_up_after_a_day_and_keeps_the_event() {
    let scene = Scene::with(Manner::Answers(500));
    let accepted_at = scene.accept(1);
    scene.wait(5 * DAY);
    let pauses = scene.pauses(1);
    let (last, others) = pauses.split_last().expect("many attempts");
    for (at, pause) in others.iter().enumerate() {
        check_wait(*pause, [5, 30, 120, 600].get(at).copied().unwrap_or(3600));
    }
    assert!(*last <= HOUR * 11 / 10, "the last one comes when the day is over");
    let tried_for = scene.arrivals(1).last().expect("an attempt").at.since(accepted_at);
    assert!((DAY.saturating_sub(SLACK)..=DAY + SLACK).contains(&tried_for), "{tried_for:?}");
    let failed = scene.stored(List::Failed);
    assert_eq!((scene.counts(), failed[0].outcome), ([0, 1, 0], Some(DeliveryOutcome::Refused)));
    assert!(failed[0].event.is_some() && failed[0].status == Some(500));
    let lines = scene.lines();
    let (last, others) = lines.split_last().expect("many attempts");
    assert_eq!((&last["level"], &last["failed"]), (&"error".into(), &true.into()));
    assert!(others.iter().all(|line| line.get("failed").is_none() && line.get("level").is_none()));
}

#[test]
fn varies_its_waits() {
    let scene = Scene::with(Manner::Answers(500));
    scene.accept_all(0..40);
    scene.wait(MINUTE);
    let waits: BTreeSet<u128> = (0..40).map(|number| scene.pauses(number)[0].as_millis() / 50).collect();
    assert!(waits.len() > 10, "{waits:?}");
}

/// The wait after a first delivery that the receiver treats so, and how long
/// that is after its acceptance.
fn after(manner: Manner) -> (Duration, Duration) {
    let scene = Scene::new();
    scene.script([manner]);
    let accepted_at = scene.accept(1);
    scene.wait(3 * DAY);
    let arrivals = scene.arrivals(1);
    assert_eq!((arrivals.len(), scene.counts()), (2, [0, 0, 1]));
    (arrivals[1].at.since(arrivals[0].at), arrivals[1].at.since(accepted_at))
}

#[test]
fn waits_longer_where_the_receiver_asks() {
    for (manner, seconds) in [
        (Manner::AsksFor(60), 60),
        (Manner::AsksFor(40_000), 40_000),
        (Manner::AsksUntil(Duration::from_secs(5_000)), 5_000),
    ] {
        let wait = after(manner).0;
        let exact = Duration::from_secs(seconds);
        assert!((exact.saturating_sub(SLACK)..=exact + SLACK).contains(&wait), "{wait:?} after {manner:?}");
    }
}

#[test]
fn never_waits_shorter_because_the_receiver_asks() {
    for manner in [Manner::AsksFor(0), Manner::AsksFor(2), Manner::AsksUntil(Duration::ZERO)] {
        check_wait(after(manner).0, 5);
    }
}

#[test]
fn tries_a_last_time_when_the_day_is_over_that_the_receiver_wants_to_pass() {
    for manner in [
        Manner::AsksFor(86_401),
        Manner::AsksFor(u64::MAX),
        Manner::AsksUntil(Duration::from_hours(24 * 400)),
    ] {
        let at = after(manner).1;
        assert!((DAY.saturating_sub(SLACK)..=DAY + SLACK).contains(&at), "{at:?} after {manner:?}");
    }
}

#[test]
fn gives_up_at_once_where_the_receiver_wants_no_more_of_it() {
    let scene = Scene::with(Manner::Answers(410));
    scene.accept(1);
    scene.wait(MINUTE);
    let failed = scene.stored(List::Failed);
    assert_eq!((scene.counts(), failed[0].outcome), ([0, 1, 0], Some(DeliveryOutcome::Gone)));
    scene.wait(2 * DAY);
    assert_eq!(scene.arrivals(1).len(), 1);
}

#[test]
fn tries_again_where_no_answer_comes_in_time() {
    for manner in [Manner::Silent, Manner::Slow(Duration::from_millis(15_100))] {
        let wait = after(manner).0;
        check_wait(wait.saturating_sub(Duration::from_secs(15)), 5);
    }
}

#[test]
fn waits_for_an_answer_as_long_as_one_may_take() {
    let scene = Scene::with(Manner::Slow(Duration::from_millis(14_800)));
    scene.accept(1);
    scene.wait(DAY);
    assert_eq!((scene.arrivals(1).len(), scene.counts()), (1, [0, 0, 1]));
}

#[test]
fn delivers_again_where_the_answer_is_lost() {
    assert!(after(Manner::Lost).0 < Duration::from_secs(7));
}

#[test]
fn makes_no_attempt_beside_one_that_is_under_way() {
    let scene = Scene::with(Manner::Silent);
    scene.script([Manner::AsksFor(86_395), Manner::Slow(Duration::from_secs(10))]);
    let over_at = scene.accept(1) + DAY;
    // An attempt begins five seconds before the day is over. When it is, nothing
    // has been answered yet, and somebody looks what there is to do.
    scene.wait((over_at - Duration::from_millis(14_500)).since(scene.now()));
    scene.accept_all(2..4);
    scene.wait(MINUTE);
    let arrivals = scene.arrivals(1);
    assert_eq!((arrivals.len(), scene.counts()[1]), (2, 1));
    assert!(arrivals[1].at < over_at);
}
