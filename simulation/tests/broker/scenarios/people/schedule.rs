//! One schedule, from its seed to its verdict.

use super::*;

/// Runs one schedule to its end, or to the first broken invariant.
pub(super) fn run(seed: u64) -> Result<u64, String> {
    let crowd = Crowd::new(seed);
    let plan = Plan::draw(&crowd.site);
    rage(&crowd, &plan)?;
    // What was broken before is why somebody is not served.
    recover(&crowd).map_err(|missed| crowd.broken().unwrap_or(missed))?;
    check_refusals(&crowd)?;
    if seed.is_multiple_of(SEARCHED) {
        search(&crowd)?;
    }
    Ok(crowd.begun.get())
}

/// The part of a schedule in which things go wrong.
pub(super) fn rage(crowd: &Crowd, plan: &Plan) -> Result<(), String> {
    let pace = Pace {
        seconds: plan.seconds,
        bursts: 150,
        largest_burst: plan.largest_burst,
        pause: plan.pause,
        object_ends: plan.object_ends,
        isolate_ends: plan.isolate_ends,
        isolates: plan.isolates,
        rests: [40, 290, 700],
    };
    rage::rage(&crowd.site, &pace, || crowd.act(plan), || disturb(&crowd.site, plan), || crowd.broken())
}

/// Things that happen at the provider.
fn disturb(site: &Site, plan: &Plan) {
    let (world, provider) = (&site.shared.world, &site.shared.provider);
    if world.happens(plan.revokes) {
        match world.below(3) {
            0 => provider.revoke_access_tokens(),
            1 => provider.revoke_everything(),
            _ => provider.sign_out(&username(PEOPLE[index(world, 3)]), CONNECTIONS[index(world, 2)]),
        }
    }
    let flip = |state: bool, per_mille| {
        if world.happens(if state { 300 } else { per_mille }) { !state } else { state }
    };
    provider.down.set(flip(provider.down.get(), plan.outages));
    provider.refuses_all.set(flip(provider.refuses_all.get(), plan.refusals));
}

/// The part of a schedule in which nothing goes wrong any more: everybody is
/// served as who they are, or told that they are signed out; then everybody can
/// sign in, is served, and can sign out.
fn recover(crowd: &Crowd) -> Result<(), String> {
    let (shared, world) = (&crowd.site.shared, &crowd.site.shared.world);
    shared.provider.chaos.set(0);
    shared.provider.slow.set(0);
    shared.provider.down.set(false);
    shared.provider.refuses_all.set(false);
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    // What is under way ends, and so do waits and unfinished attempts.
    world.run_for(Duration::from_mins(6));
    for browser in &crowd.browsers {
        for connection in CONNECTIONS {
            let deed = Deed::Call { connection };
            // So long it takes to tell that a token is dead that one address refuses.
            if (0..12).all(|_| {
                world.run_for(Duration::from_secs(30));
                ![200, 401].contains(&crowd.ask(browser, &deed).status)
            }) {
                return Err("recovery: somebody is neither served nor told to sign in".to_owned());
            }
        }
    }
    for (browser, person) in crowd.browsers.iter().zip(PEOPLE) {
        // A session that goes on with a sign-in keeps its absolute limit, which
        // may come between the sign-in and the call.
        if !sign_in_and_call(crowd, browser, person)? && !sign_in_and_call(crowd, browser, person)? {
            return Err("recovery: a session ends twice within seconds".to_owned());
        }
        let old = browser.jar();
        let status = crowd.ask(browser, &Deed::SignOut).status;
        let again = Call::from_page("GET", "/api/acme/things").cookie(old.as_deref());
        if status != 204 || crowd.site.call(2, &again).status != 401 {
            return Err("dead-stays-dead: a sign-out does not sign out".to_owned());
        }
    }
    crowd.broken().map_or(Ok(()), Err)
}

/// Has `person` sign in everywhere, and call; false where the session ended
/// meanwhile, at the time that the sign-in told.
fn sign_in_and_call(crowd: &Crowd, browser: &Rc<Browser>, person: &'static str) -> Result<bool, String> {
    let mut ends_at: Option<String> = None;
    for connection in CONNECTIONS {
        let answered = crowd.ask(browser, &Deed::SignIn { connection, person });
        if answered.status != 200 {
            return Err(format!("recovery: a sign-in is answered {}", answered.status));
        }
        let told = answered.json()["expires_at"].as_str().expect("a time").to_owned();
        ends_at = Some(ends_at.map_or(told.clone(), |other| other.min(told)));
    }
    for connection in CONNECTIONS {
        let answered = crowd.ask(browser, &Deed::Call { connection });
        if answered.status == 401 && ends_at <= Some(crowd.site.shared.world.now().to_rfc3339()) {
            return Ok(false);
        }
        if answered.body != format!("answer 200 for {}", username(person)) {
            return Err(format!("recovery: a call is answered {}", answered.status));
        }
    }
    Ok(true)
}

/// Looks whether too many guesses reached the provider.
fn check_refusals(crowd: &Crowd) -> Result<(), String> {
    let refusals = crowd.site.shared.provider.refusals.borrow();
    let mut guesses: Vec<_> = refusals
        .iter()
        .filter_map(|(at, person, password)| {
            let address = password.strip_prefix("a guess from ")?.split(' ').next()?;
            let name = person.username.trim().to_lowercase();
            Some((*at, format!("{name} at {}", person.connection), address.to_owned(), password.clone()))
        })
        .collect();
    guesses.sort();
    crowd.site.shared.crowd.refusals(&guesses);
    crowd.broken().map_or(Ok(()), Err)
}

/// Searches all that was written for what nobody may see.
fn search(crowd: &Crowd) -> Result<(), String> {
    let shared = &crowd.site.shared;
    let mut seen = shared.logs.borrow().join("\n");
    seen.push_str(&shared.objects.written.borrow().join("\n"));
    seen.push_str(&shared.objects.names("").join("\n"));
    for (name, record) in shared.cache.dump() {
        seen.extend([name, record]);
    }
    let mut secrets = shared.provider.issued.borrow().clone();
    secrets.extend(PEOPLE.into_iter().flat_map(|person| [username(person), password(person)]));
    secrets.push("a guess from".to_owned());
    for cookie in crowd.browsers.iter().flat_map(|browser| browser.cookies.borrow().clone()) {
        let (handle, proof) = cookie.split_at(21);
        secrets.extend([handle.to_owned(), proof.to_owned()]);
    }
    match secrets.iter().find(|secret| seen.contains(secret.as_str())) {
        Some(secret) => Err(format!("nothing-secret: {secret} was written")),
        None => Ok(()),
    }
}
