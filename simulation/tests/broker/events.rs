//! What the operator is told, in cases by name.

use std::time::Duration;

use porteiro_simulation::{Answered, Call, Grants, Objects, Site, deliveries, keeper};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_mins(1);

fn grants(expires_in: u64) -> Grants {
    Grants { expires_in, refresh_tokens: false, rotation: false, reuse_detection: false }
}

/// A site whose operator is told, with these variables.
fn site(expires_in: u64, variables: &Value) -> Site {
    let site = Site::with_variables(1, grants(expires_in), variables);
    site.shared.events.status.set(204);
    site
}

fn call(site: &Site) -> Answered {
    site.call(1, &Call::get("/api/acme/things"))
}

/// Fails unless these are the events about `connection`, in this order.
#[track_caller]
fn check_told(site: &Site, connection: &str, expected: &[&str]) {
    site.shared.world.run_for(MINUTE);
    let types = site.shared.events.types(connection);
    let types: Vec<&str> = types.iter().filter_map(|kind| kind.strip_prefix("connection.")).collect();
    assert_eq!(types, expected);
    assert_eq!(site.shared.events.broken(), None);
}

#[test]
fn sets_no_alarm_for_a_queue_that_is_empty() {
    let site = site(3_600, &Site::variables_for_events());
    let operator =
        Call::get("/admin/events").field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY));
    assert_eq!(site.call(1, &operator).status, 200);
    assert_eq!(site.shared.objects.alarm(&deliveries("(events)")), None);
}
