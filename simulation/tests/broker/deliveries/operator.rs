//! What operators see of events, and what they have sent again.

use super::*;

/// The pages of a list.
fn pages(scene: &Scene, state: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let answered = scene.operator("GET", &format!("?state={state}{after}"));
        assert_eq!(answered.status, 200, "{}", answered.body);
        let page = answered.json();
        pages.push(page["webhooks"].as_array().expect("a list").clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return pages,
        }
    }
}

fn ids(scene: &Scene, state: &str) -> Vec<String> {
    let pages = pages(scene, state).concat();
    pages.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn lists_what_failed_and_what_is_pending() {
    let scene = Scene::new();
    scene.script([Manner::Answers(410), Manner::Silent]);
    scene.accept(1);
    scene.wait(SLACK);
    scene.accept(2);
    scene.wait(Duration::from_secs(17));
    scene.accept(3);
    scene.wait(SLACK);
    let [failed, pending] = ["failed", "pending"].map(|state| pages(&scene, state).concat());
    let records = (scene.stored(List::Failed), scene.stored(List::Pending));
    let expected = json!({
        "id": records.0[0].id,
        "state": "failed",
        "accepted_at": "2026-01-01T00:00:00Z",
        "attempts": 1,
        "outcome": "gone",
        "status": 410,
        "next_at": null,
    });
    assert_eq!(failed, [expected]);
    let expected = json!({
        "id": records.1[0].id,
        "state": "pending",
        "accepted_at": "2026-01-01T00:00:01Z",
        "attempts": 1,
        "outcome": "timeout",
        "status": null,
        "next_at": records.1[0].due.to_rfc3339(),
    });
    assert_eq!(pending, [expected]);
    let by_default = scene.operator("GET", "").json();
    assert_eq!(by_default, json!({ "webhooks": failed, "next": null }));
    let unknown = scene.operator("GET", "?state=delivered");
    assert_eq!((unknown.status, unknown.code().as_str()), (400, "bad_request"));
}

#[test]
fn lists_by_pages_that_leave_out_nothing_and_repeat_nothing() {
    for (count, sizes) in [(0, &[0][..]), (99, &[99]), (100, &[100, 0]), (250, &[100, 100, 50])] {
        let scene = Scene::with(Manner::Answers(410));
        scene.accept_all(0..count);
        scene.wait(5 * MINUTE);
        let pages = pages(&scene, "failed");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        let listed: BTreeSet<String> = ids(&scene, "failed").into_iter().collect();
        let stored: BTreeSet<String> =
            scene.stored(List::Failed).into_iter().map(|record| record.id).collect();
        assert_eq!(listed, stored);
    }
}

#[test]
fn refuses_a_cursor_that_it_did_not_give() {
    let scene = Scene::new();
    for after in ["", "x", "1", "x.msg_1", "-1.msg_1", "1e3.msg_1"] {
        let refused = scene.operator("GET", &format!("?after={after}"));
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{after}");
    }
    assert_eq!(scene.operator("GET", "?after=0.").status, 200);
}

#[test]
fn sends_one_again_that_failed() {
    let scene = Scene::with(Manner::Answers(410));
    scene.accept_all(0..3);
    scene.wait(MINUTE);
    scene.treat(Manner::Answers(200));
    let chosen = ids(&scene, "failed")[1].clone();
    let answered = scene.operator("POST", &format!("/{chosen}/send"));
    assert_eq!((answered.status, answered.body.as_str()), (202, ""));
    scene.wait(MINUTE);
    assert_eq!(scene.counts(), [0, 2, 1]);
    assert_eq!(scene.stored(List::Delivered)[0].id, chosen);
    assert_eq!(scene.lines().last().expect("a line")["attempt"], 1);
}

#[test]
fn sends_nothing_again_that_did_not_fail() {
    let scene = Scene::new();
    scene.accept(1);
    scene.wait(MINUTE);
    scene.treat(Manner::Unreachable);
    scene.accept(2);
    scene.wait(MINUTE);
    let (delivered, pending) = (&scene.stored(List::Delivered)[0].id, &scene.stored(List::Pending)[0].id);
    for id in [delivered, pending, "msg_0", "%00"] {
        let refused = scene.operator("POST", &format!("/{id}/send"));
        assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"), "{id}");
    }
    assert_eq!((scene.counts(), scene.arrivals(1).len()), ([1, 0, 1], 1));
}

#[test]
fn sends_all_again_that_failed() {
    let scene = Scene::with(Manner::Answers(410));
    scene.accept_all(0..130);
    scene.wait(2 * MINUTE);
    assert_eq!(scene.counts(), [0, 130, 0]);
    // Those that fail again meanwhile stand behind the others, and are not sent a
    // third time.
    scene.wait(2 * HOUR);
    assert_eq!(scene.operator("POST", "/send").status, 202);
    scene.wait(2 * MINUTE);
    assert_eq!(scene.counts(), [0, 130, 0]);
    assert_eq!(scene.shared.receiver.arrivals.borrow().len(), 260);
    scene.treat(Manner::Answers(200));
    assert_eq!(scene.operator("POST", "/send").status, 202);
    scene.wait(2 * MINUTE);
    assert_eq!(scene.counts(), [0, 0, 130]);
    assert_eq!(scene.shared.receiver.arrivals.borrow().len(), 390);
    assert_eq!(scene.operator("POST", "/send").status, 202);
    scene.wait(MINUTE);
    assert_eq!(scene.shared.receiver.arrivals.borrow().len(), 390);
}

#[test]
fn tries_for_a_day_again_what_is_sent_again() {
    let scene = Scene::with(Manner::Answers(500));
    scene.accept(1);
    scene.wait(2 * DAY);
    let tried = scene.arrivals(1).len();
    assert_eq!(scene.counts(), [0, 1, 0]);
    assert_eq!(scene.operator("POST", "/send").status, 202);
    scene.wait(DAY.saturating_sub(MINUTE));
    assert_eq!(scene.counts(), [1, 0, 0]);
    let again: Vec<Duration> = scene.pauses(1).split_off(tried);
    for (pause, seconds) in again.into_iter().zip([5, 30, 120, 600, 3600]) {
        check_wait(pause, seconds);
    }
    scene.wait(2 * MINUTE);
    assert_eq!(scene.counts(), [0, 1, 0]);
    let record = &scene.stored(List::Failed)[0];
    assert!(record.due.since(scene.now()) > 29 * DAY, "it is kept for thirty days more");
    assert_eq!(record.accepted_at.to_rfc3339(), "2026-01-01T00:00:00Z");
}

#[test]
fn delivers_anew_what_failed_and_its_sender_sends_again() {
    let scene = Scene::with(Manner::Answers(410));
    scene.accept(1);
    scene.wait(HOUR);
    scene.treat(Manner::Answers(200));
    scene.accept(1);
    scene.wait(MINUTE);
    scene.accept(1);
    scene.wait(MINUTE);
    let arrivals = scene.arrivals(1);
    assert_eq!((arrivals.len(), scene.counts()), (2, [0, 0, 1]));
    assert_eq!(arrivals[0].id, arrivals[1].id);
}

#[test]
fn tells_operators_to_come_again_where_storage_fails() {
    let scene = Scene::with(Manner::Answers(410));
    scene.accept(1);
    scene.wait(MINUTE);
    scene.shared.objects.failures.set(1000);
    for (method, below) in [("GET", ""), ("POST", "/send"), ("POST", "/msg_0/send")] {
        let refused = scene.operator(method, below);
        assert_eq!((refused.status, refused.code().as_str()), (503, "connection_unavailable"), "{below}");
    }
    scene.shared.objects.failures.set(0);
    assert_eq!(scene.counts(), [0, 1, 0]);
}
