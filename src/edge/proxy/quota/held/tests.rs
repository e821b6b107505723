use super::*;
use crate::config::Budget;

const BUDGET: Budget = Budget { requests: 100, seconds: 60, queue_ms: 0, per_caller: false, observe: false };
const LIMITED: Guard = Guard { budget: Some(BUDGET), cool_down: false, attempts: 1 };
const COOL: Guard = Guard { budget: None, cool_down: true, attempts: 1 };

fn ask(want: u64) -> QuotaAsk {
    QuotaAsk { requests: 100, seconds: 60, want, ..QuotaAsk::default() }
}

fn lease(id: u64, permits: u64) -> QuotaReply {
    QuotaReply { lease: id, permits, millis: 3_000, left: 50, frees_in: 60_000, ..QuotaReply::default() }
}

/// What an ask at `now` gives back, and when it began.
fn begin(held: &mut HeldQuota, now: u64) -> (Vec<[u64; 2]>, Began) {
    let mut ask = ask(0);
    let began = held.begin(&mut ask, now);
    (ask.over, began)
}

/// Nobody replies to an ask that only looks.
fn forgive(held: &mut HeldQuota, now: u64) {
    let (_, began) = begin(held, now);
    held.note(0, None, &began, now);
}

/// What an isolate holds that was given a lease of so many permits, one of which a call has taken at 1,000.
fn with_lease(permits: u64) -> HeldQuota {
    let mut held = HeldQuota::default();
    assert_eq!(held.step(&LIMITED, 1_000, false), NextStep::Ask(1));
    let (_, began) = begin(&mut held, 1_000);
    let rest = held.note(1, Some(lease(7, permits)), &began, 1_040);
    assert_eq!(held.step(&LIMITED, 1_040, true), NextStep::Leave);
    assert_eq!(rest, (permits > 1).then_some(2_960), "it counts from before the ask");
    held
}

#[test]
fn lets_as_many_calls_leave_as_there_are_permits_and_asks_for_what_it_used() {
    let mut held = with_lease(3);
    assert_eq!(held.left(1_100), (52, 59_940));
    assert_eq!([held.step(&LIMITED, 1_100, false), held.step(&LIMITED, 1_200, false)], [NextStep::Leave; 2]);
    assert_eq!(held.step(&LIMITED, 1_300, false), NextStep::Ask(4), "as many as there were");
    assert_eq!(held.step(&LIMITED, 1_300, false), NextStep::Ask(1), "more are on their way");
    assert_eq!(begin(&mut held, 1_300).0, [[7, 0]]);
    assert!(begin(&mut held, 1_300).0.is_empty(), "it is given back once");
}

#[test]
fn uses_a_lease_until_its_end_and_gives_back_what_is_left() {
    let mut held = with_lease(5);
    assert_eq!(held.step(&LIMITED, 3_999, false), NextStep::Leave);
    assert!(matches!(held.step(&LIMITED, 4_000, false), NextStep::Ask(_)));
    assert_eq!(begin(&mut held, 4_000).0, [[7, 3]]);
    let mut held = with_lease(5);
    assert!(held.end(7), "a timer ends it, whatever the clock says");
    assert!(matches!(held.step(&LIMITED, 1_100, false), NextStep::Ask(_)));
    assert_eq!(begin(&mut held, 1_100).0, [[7, 4]]);
}

#[test]
fn takes_a_clock_that_goes_back_for_the_end_of_all_leases() {
    let mut held = with_lease(5);
    assert!(matches!(held.step(&LIMITED, 900, false), NextStep::Ask(_)));
    assert_eq!(begin(&mut held, 900).0, [[7, 4]]);
    // Also of one that is on its way.
    let (_, began) = begin(&mut held, 900);
    assert!(matches!(held.step(&LIMITED, 800, false), NextStep::Ask(_)));
    assert_eq!(held.note(1, Some(lease(8, 5)), &began, 950), None);
    assert!(matches!(held.step(&LIMITED, 960, false), NextStep::Ask(_)));
    assert_eq!(begin(&mut held, 960).0, [[8, 5]]);
}

#[test]
fn gives_back_again_what_nobody_replied_to() {
    let mut held = with_lease(5);
    let (over, began) = begin(&mut held, 4_000);
    assert_eq!(over, [[7, 4]]);
    assert_eq!(held.note(1, None, &began, 4_100), None);
    assert_eq!(begin(&mut held, 4_200).0, [[7, 4]]);
}

#[test]
fn gives_back_a_lease_that_comes_too_late() {
    let mut held = HeldQuota::default();
    let (_, began) = begin(&mut held, 1_000);
    assert_eq!(held.note(1, Some(lease(7, 5)), &began, 4_000), None);
    assert_eq!(begin(&mut held, 4_000).0, [[7, 5]]);
}

#[test]
fn remembers_for_a_while_that_the_budget_is_used_up() {
    let none = QuotaReply { frees_in: 20_000, ..QuotaReply::default() };
    let mut held = HeldQuota::default();
    let (_, began) = begin(&mut held, 1_000);
    assert_eq!(held.note(1, Some(none), &began, 1_000), None);
    assert_eq!(held.step(&LIMITED, 1_400, false), NextStep::UsedUp(19_600));
    // Who may wait, asks, but once.
    let patient = Guard { budget: Some(Budget { queue_ms: 1, ..BUDGET }), ..LIMITED };
    assert_eq!(held.step(&patient, 1_400, true), NextStep::UsedUp(19_600));
    assert!(matches!(held.step(&patient, 1_400, false), NextStep::Ask(_)));
    assert!(matches!(held.step(&LIMITED, 1_500, false), NextStep::Ask(_)));
    let observer = Guard { budget: Some(Budget { observe: true, ..BUDGET }), ..LIMITED };
    let mut held = HeldQuota::default();
    assert_eq!(held.step(&observer, 1_000, false), NextStep::Ask(1));
    let (_, began) = begin(&mut held, 1_000);
    held.note(1, Some(none), &began, 1_000);
    assert_eq!(held.step(&observer, 1_100, false), NextStep::Leave);
}

#[test]
fn looks_at_complaints_in_the_background_while_it_is_used_and_waits_where_it_was_not() {
    let mut held = HeldQuota::default();
    let look = |held: &mut HeldQuota, now| {
        let (_, began) = begin(held, now);
        held.note(0, Some(QuotaReply::default()), &began, now + 20);
    };
    assert_eq!(held.step(&COOL, 1_000, false), NextStep::Ask(0));
    look(&mut held, 1_000);
    assert_eq!(held.step(&COOL, 1_499, false), NextStep::Leave);
    assert_eq!(held.step(&COOL, 1_500, false), NextStep::Look);
    assert_eq!(held.step(&COOL, 1_600, false), NextStep::Leave, "it is looking");
    look(&mut held, 1_500);
    assert_eq!(held.step(&COOL, 1_999, false), NextStep::Leave);
    assert_eq!(held.step(&COOL, 2_350, false), NextStep::Ask(0));
    forgive(&mut held, 2_350);
    assert_eq!(held.step(&COOL, 2_351, false), NextStep::Leave);
}

#[test]
fn spares_an_upstream_that_complains() {
    let mut held = HeldQuota::default();
    forgive(&mut held, 1_000);
    held.spare(0, 1_000);
    assert_eq!(held.step(&COOL, 1_100, false), NextStep::Held(900));
    let (_, began) = begin(&mut held, 1_100);
    // The keeper may not know of it yet.
    held.note(0, Some(QuotaReply::default()), &began, 1_100);
    assert_eq!(held.step(&COOL, 1_200, false), NextStep::Held(800));
    held.note(0, Some(QuotaReply { held_for: 5_000, ..QuotaReply::default() }), &began, 1_200);
    assert_eq!(held.step(&COOL, 1_200, false), NextStep::Held(5_000));
    held.spare(u64::MAX, 2_000);
    assert_eq!(held.step(&COOL, 2_000, false), NextStep::Held(900_000));
}

#[test]
fn takes_no_permit_for_a_call_that_has_to_look_first() {
    let both = Guard { cool_down: true, ..LIMITED };
    let mut held = with_lease(2);
    assert_eq!(held.step(&both, 2_000, false), NextStep::Ask(0));
    forgive(&mut held, 2_000);
    assert_eq!(held.step(&both, 2_001, false), NextStep::Leave);
    assert!(matches!(held.step(&both, 2_002, false), NextStep::Ask(_)));
}

#[test]
fn forgets_what_was_used_longest_ago_where_there_are_too_many() {
    let quotas = Quotas::default();
    let held: Vec<_> = (0..MAX_HELD as u64).map(|party| quotas.of("acme", party)).collect();
    let is_kept = |party: usize| Rc::strong_count(&held[party]) == 2;
    let used = quotas.of("acme", 0);
    assert!(Rc::ptr_eq(&used, &held[0]) && !Rc::ptr_eq(&used, &quotas.of("other", 0)));
    drop(used);
    let more: Vec<_> = (0..3).map(|party| quotas.of("more", party)).collect();
    assert_eq!([0, 1, 2, 3, 4, 5, MAX_HELD - 1].map(is_kept), [true, false, false, false, false, true, true]);
    assert!(more.iter().all(|held| Rc::strong_count(held) == 2), "the newest are kept");
}

#[test]
fn tells_of_a_complaint_until_somebody_replies() {
    let mut held = HeldQuota::default();
    let told = |held: &mut HeldQuota, now| {
        let mut ask = ask(0);
        let began = held.begin(&mut ask, now);
        (ask.limited, began)
    };
    held.spare(0, 1_000);
    let (first, began) = told(&mut held, 1_000);
    assert_eq!((first, held.owes()), (Some(0), false));
    held.note(0, None, &began, 1_100);
    assert!(held.owes());
    let (again, began) = told(&mut held, 1_200);
    assert_eq!(again, Some(0), "it did not say for how long");
    held.note(0, Some(QuotaReply::default()), &began, 1_300);
    assert_eq!((told(&mut held, 1_300).0, held.owes()), (None, false));
    // What is told late is told for what is left of it.
    held.spare(5_000, 2_000);
    let (_, began) = told(&mut held, 2_000);
    held.note(0, None, &began, 3_000);
    let (rest, began) = told(&mut held, 3_000);
    assert_eq!(rest, Some(4_000));
    held.note(0, None, &began, 9_000);
    assert_eq!(told(&mut held, 9_000).0, Some(1), "never as if it had said nothing");
}
