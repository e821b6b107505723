//! Objects that end, storage that fails, configurations and keys that are wrong.

use super::*;

/// Sends an event until it is acknowledged.
fn insist(scene: &Scene, number: u64) {
    let stored = (0..3).any(|_| {
        let answered = scene.send(1, &Event::new(number));
        assert!([202, 503].contains(&answered.status), "{}", answered.status);
        if answered.status == 503 {
            assert_eq!(answered.field("retry-after"), Some("1"));
            scene.wait(SLACK);
        }
        answered.status == 202
    });
    assert!(stored, "the event is never stored");
}

/// Sends an event while something befalls one operation of the object that
/// delivers it: whatever that is, the event is delivered soon after it was
/// acknowledged. The receiver refuses it the first time. Whether there was such
/// an operation.
fn survives(operation: u64, mishap: Mishap, instant: bool) -> bool {
    let scene = Scene::new();
    scene.shared.objects.instant.set(instant);
    scene.script([Manner::Answers(500)]);
    scene.shared.objects.mishap.set(Some((operation, mishap)));
    insist(&scene, 1);
    scene.wait(3 * MINUTE);
    let arrivals = scene.arrivals(1);
    assert_eq!(scene.counts(), [0, 0, 1], "{mishap:?} at {operation}");
    assert!((2..=3).contains(&arrivals.len()), "{mishap:?} at {operation}: {arrivals:?}");
    // Another event comes, and nothing is left over.
    insist(&scene, 2);
    scene.wait(3 * MINUTE);
    assert_eq!((scene.counts(), scene.arrivals(1).len()), ([0, 0, 2], arrivals.len()));
    operation < scene.shared.objects.operations.get()
}

fn survives_everywhere(mishaps: &[Mishap]) {
    for mishap in mishaps {
        for instant in [false, true] {
            let count = (0..10_000).take_while(|operation| survives(*operation, *mishap, instant)).count();
            assert!(count > 30, "there were {count} operations");
        }
    }
}

#[test]
fn delivers_what_it_acknowledged_wherever_the_object_ends() {
    survives_everywhere(&[Mishap::EndsBefore, Mishap::EndsAfter]);
}

#[test]
fn delivers_what_it_acknowledged_wherever_its_storage_fails() {
    survives_everywhere(&[Mishap::FailsBefore, Mishap::FailsAfter]);
}

/// The operator has events sent again that failed, until that is answered, while
/// something befalls one operation. Whether there was such an operation.
fn survives_being_sent_again(operation: u64, mishap: Mishap, events: u64, each: bool) -> bool {
    let scene = Scene::with(Manner::Answers(410));
    scene.accept_all(0..events);
    scene.wait(MINUTE);
    scene.treat(Manner::Answers(200));
    let before = scene.shared.objects.operations.get();
    scene.shared.objects.mishap.set(Some((before + operation, mishap)));
    let asks: Vec<String> = if each {
        scene.stored(List::Failed).into_iter().map(|record| format!("/{}/send", record.id)).collect()
    } else {
        vec!["/send".to_owned()]
    };
    for ask in asks {
        let answered = (0..3).any(|_| {
            let status = scene.operator("POST", &ask).status;
            assert!([202, 404, 503].contains(&status), "{status}");
            status != 503
        });
        assert!(answered, "{mishap:?} at {operation}: the operator is never heard");
    }
    scene.wait(3 * MINUTE);
    assert_eq!(scene.counts()[..2], [0, 0], "{mishap:?} at {operation} of {events} events");
    operation + before < scene.shared.objects.operations.get()
}

#[test]
fn delivers_what_is_sent_again_wherever_the_object_ends_or_its_storage_fails() {
    for mishap in [Mishap::EndsBefore, Mishap::EndsAfter, Mishap::FailsBefore, Mishap::FailsAfter] {
        for (events, each) in [(1, false), (1, true), (3, false), (3, true)] {
            let survives = |operation: &u64| survives_being_sent_again(*operation, mishap, events, each);
            let count = (0..10_000).take_while(survives).count();
            assert!(count > 10, "there were {count} operations");
        }
    }
}

#[test]
fn acknowledges_nothing_that_is_not_stored() {
    let scene = Scene::new();
    scene.shared.objects.failures.set(1000);
    for _ in 0..5 {
        let answered = scene.send(1, &Event::new(1));
        assert_eq!((answered.status, answered.code().as_str()), (503, "connection_unavailable"));
        assert_eq!(answered.field("retry-after"), Some("1"));
    }
    let logs = scene.shared.logs.borrow().join("\n");
    assert!(logs.contains(r#""event":"storage_failed""#));
}

#[test]
fn delivers_when_storage_that_failed_for_an_hour_is_back() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept_all(0..10);
    scene.wait(MINUTE);
    scene.shared.objects.failures.set(600);
    scene.treat(Manner::Answers(200));
    scene.wait(HOUR);
    scene.shared.objects.failures.set(0);
    scene.wait(2 * HOUR);
    assert_eq!(scene.counts(), [0, 0, 10]);
}

#[test]
fn delivers_again_with_the_same_id_after_it_ended_during_a_delivery() {
    let scene = Scene::new();
    scene.script([Manner::Slow(Duration::from_secs(10))]);
    scene.accept(1);
    scene.wait(Duration::from_secs(5));
    assert_eq!(scene.arrivals(1).len(), 1);
    let stored_time = scene.stored(List::Pending)[0].due;
    scene.kill();
    scene.wait(MINUTE);
    let arrivals = scene.arrivals(1);
    assert_eq!((arrivals.len(), scene.counts()), (2, [0, 0, 1]));
    assert_eq!(arrivals[0].id, arrivals[1].id);
    let late = arrivals[1].at.since(stored_time);
    assert!(arrivals[1].at >= stored_time && late <= SLACK, "{late:?} after the stored time");
    let lease = stored_time.since(arrivals[0].at);
    assert!(lease >= Duration::from_secs(29), "nobody else tries while an answer may come: {lease:?}");
}

#[test]
fn counts_attempts_whose_end_it_did_not_see() {
    let scene = Scene::with(Manner::Silent);
    scene.accept(1);
    for attempts in 1..=3 {
        while scene.arrivals(1).len() < attempts {
            scene.wait(SLACK);
        }
        scene.kill();
    }
    let record = &scene.stored(List::Pending)[0];
    assert_eq!((record.attempts, record.outcome), (3, None));
    scene.treat(Manner::Answers(200));
    scene.wait(5 * MINUTE);
    assert_eq!(scene.lines().last().expect("a line")["attempt"], 4);
}

#[test]
fn waits_for_a_webhook_that_is_configured_wrong() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept_all(0..3);
    scene.wait(20 * MINUTE);
    scene.treat(Manner::Answers(200));
    scene.redeploy_with(&[("ACME_WEBHOOK_SECRET", "")]);
    let tried = scene.shared.receiver.arrivals.borrow().len();
    let refused = scene.send(1, &Event::new(7));
    assert_eq!((refused.status, refused.code().as_str()), (503, "misconfigured"));
    scene.wait(3 * HOUR);
    assert_eq!((scene.shared.receiver.arrivals.borrow().len(), scene.counts()), (tried, [3, 0, 0]));
    scene.redeploy_with(&[]);
    scene.wait(MINUTE + SLACK);
    assert_eq!(scene.counts(), [0, 0, 3], "it looks every minute");
}

#[test]
fn gives_an_event_to_the_operator_whose_webhook_is_configured_wrong_for_a_day() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept(1);
    scene.wait(MINUTE);
    scene.redeploy_with(&[("SEALING_KEYS", "")]);
    scene.wait(DAY);
    assert_eq!(scene.counts(), [0, 1, 0]);
    let line = scene.lines().pop().expect("a line");
    assert_eq!((&line["outcome"], &line["failed"]), (&"misconfigured".into(), &true.into()));
    scene.redeploy_with(&[]);
    scene.treat(Manner::Answers(200));
    assert_eq!(scene.operator("POST", "/send").status, 202);
    scene.wait(MINUTE);
    assert_eq!(scene.counts(), [0, 0, 1]);
}

const OLD: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

#[test]
fn waits_for_a_sealing_key_that_is_gone() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept(1);
    scene.wait(10 * MINUTE);
    scene.treat(Manner::Answers(200));
    scene.redeploy_with(&[("SEALING_KEYS", NEW)]);
    let tried = scene.arrivals(1).len();
    scene.accept(2);
    scene.wait(3 * HOUR);
    assert_eq!((scene.arrivals(1).len(), scene.arrivals(2).len()), (tried, 1));
    let record = scene.stored(List::Pending)[0].clone();
    assert_eq!(
        (scene.counts(), record.outcome, record.status),
        ([1, 0, 1], Some(DeliveryOutcome::Unopened), None)
    );
    assert!(scene.lines().iter().any(|line| line["outcome"] == "unopened" && line.get("status").is_none()));
    scene.redeploy_with(&[("SEALING_KEYS", &format!("{NEW},{OLD}"))]);
    scene.wait(HOUR * 11 / 10 + SLACK);
    assert_eq!(scene.counts(), [0, 0, 2]);
}

#[test]
fn gives_up_after_a_day_what_it_cannot_open() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept(1);
    scene.wait(MINUTE);
    scene.redeploy_with(&[("SEALING_KEYS", NEW)]);
    scene.wait(DAY);
    let failed = scene.stored(List::Failed);
    assert_eq!((scene.counts(), failed[0].outcome), ([0, 1, 0], Some(DeliveryOutcome::Unopened)));
    // The sender has it still: it is sealed anew, and delivered.
    scene.treat(Manner::Answers(200));
    scene.accept(1);
    scene.wait(MINUTE);
    assert_eq!(scene.counts(), [0, 0, 1]);
}

#[test]
fn delivers_anew_what_does_not_open_and_its_sender_sends_again() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept(1);
    scene.wait(20 * MINUTE);
    scene.redeploy_with(&[("SEALING_KEYS", NEW)]);
    scene.treat(Manner::Answers(200));
    scene.wait(2 * HOUR);
    assert_eq!(scene.stored(List::Pending)[0].outcome, Some(DeliveryOutcome::Unopened));
    scene.accept(1);
    scene.wait(SLACK);
    assert_eq!(scene.counts(), [0, 0, 1]);
}

#[test]
fn tries_nothing_twice_at_once_that_did_not_open_before() {
    let scene = Scene::with(Manner::Unreachable);
    scene.accept(1);
    scene.wait(MINUTE);
    scene.redeploy_with(&[("SEALING_KEYS", NEW)]);
    scene.treat(Manner::Slow(Duration::from_secs(10)));
    scene.wait(10 * MINUTE);
    scene.redeploy_with(&[("SEALING_KEYS", &format!("{NEW},{OLD}"))]);
    let before = scene.arrivals(1).len();
    while scene.arrivals(1).len() == before {
        scene.wait(SLACK);
    }
    // It comes again while it is on its way.
    scene.accept(1);
    scene.wait(MINUTE);
    assert_eq!((scene.arrivals(1).len(), scene.counts()), (before + 1, [0, 0, 1]));
}
