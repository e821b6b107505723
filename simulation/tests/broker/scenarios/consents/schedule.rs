//! The part of a schedule in which things go wrong.

use super::*;
use porteiro_simulation::PROVIDER;

/// What one schedule does, drawn from its seed.
pub(super) struct Plan {
    seconds: u64,
    /// Mean milliseconds between bursts.
    pause: u64,
    largest_burst: u64,
    /// The longest time that somebody stays at the provider, in milliseconds.
    stay: u64,
    /// How often, per 100,000 steps, an object ends, and an isolate.
    object_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 deeds, each of them is done; the others are calls.
    connects: u64,
    replays: u64,
    services: u64,
    disconnects: u64,
    sign_outs: u64,
    logouts: u64,
    /// How often, per 1,000 consents, another person's than the browser's own.
    others: u64,
    /// How often, per 1,000 bursts, each thing happens at the provider.
    revokes: u64,
    outages: u64,
    refusals: u64,
}

impl Plan {
    pub fn draw(crowd: &Crowd) -> Self {
        let (shared, world) = (&crowd.site.shared, crowd.world());
        let life = [30, 90, 300, 900, 3600][index(world, 5)];
        let refresh_tokens = world.happens(800);
        let rotation = world.happens(600);
        let reuse_detection = rotation && world.happens(600);
        let grants = Grants { expires_in: life, refresh_tokens, rotation, reuse_detection };
        shared.provider.grants.set(grants);
        shared.provider.consents.first_only.set(!rotation && world.happens(500));
        let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
        shared.provider.chaos.set(sometimes(200));
        shared.provider.slow.set(sometimes(600));
        shared.cache.failures.set(sometimes(200));
        shared.objects.failures.set(sometimes(60));
        shared.objects.losses.set(sometimes(60));
        shared.objects.instant.set(world.happens(200));
        crowd.isolates.set(1 + world.below(3));
        Self {
            seconds: life.min(900) * (2 + world.below(3)),
            pause: [30, 300, 3000, 30_000][index(world, 4)],
            largest_burst: 1 + world.below(6),
            stay: [10, 1000, 20_000, 50_000][index(world, 4)],
            object_ends: sometimes(600),
            isolate_ends: sometimes(300),
            connects: 100 + world.below(300),
            replays: sometimes(150),
            services: sometimes(150),
            disconnects: world.below(80),
            sign_outs: world.below(60),
            logouts: sometimes(100),
            others: sometimes(400),
            revokes: sometimes(60),
            outages: sometimes(40),
            refusals: sometimes(40),
        }
    }
}

/// The part of a schedule in which things go wrong.
pub(super) fn rage(crowd: &Rc<Crowd>, plan: &Plan) -> Result<(), String> {
    let pace = Pace {
        seconds: plan.seconds,
        bursts: 120,
        largest_burst: plan.largest_burst,
        pause: plan.pause,
        object_ends: plan.object_ends,
        isolate_ends: plan.isolate_ends,
        isolates: crowd.isolates.get(),
        rests: [40, 290, 700],
    };
    rage::rage(&crowd.site, &pace, || crowd.act(plan), || disturb(crowd, plan), || crowd.broken())
}

/// Things that happen at the provider.
fn disturb(crowd: &Crowd, plan: &Plan) {
    let (world, shared) = (crowd.world(), &crowd.site.shared);
    let provider = &shared.provider;
    if world.happens(plan.revokes) {
        let connections = [CONNECTIONS[0], CONNECTIONS[1], CONNECTIONS[2], SERVICE];
        match world.below(2) {
            0 => provider.revoke_access_tokens(),
            _ => provider.withdraw(PEOPLE[index(world, 3)], connections[index(world, 4)]),
        }
    }
    let flip = |state: bool, per_mille| {
        if world.happens(if state { 300 } else { per_mille }) { !state } else { state }
    };
    provider.down.set(flip(provider.down.get(), plan.outages));
    provider.refuses_all.set(flip(provider.refuses_all.get(), plan.refusals));
    shared.issuers.down.set(flip(shared.issuers.down.get(), plan.outages));
}

impl Crowd {
    /// Somebody does something.
    fn act(self: &Rc<Self>, plan: &Plan) {
        let world = self.world();
        let number = index(world, 3);
        let browser = Rc::clone(&self.browsers[number]);
        let connection = CONNECTIONS[index(world, 3)];
        let subject = if world.happens(plan.others) { PEOPLE[index(world, 3)] } else { PEOPLE[number] };
        let (crowd, stay) = (Rc::clone(self), plan.stay);
        let mut drawn = world.below(1000);
        let mut is = |per_mille: u64| {
            let hit = drawn < per_mille;
            drawn = if hit { 1000 } else { drawn - per_mille };
            hit
        };
        if is(plan.connects) {
            let again = world.happens(150);
            world.spawn(PROVIDER, async move {
                let _ = crowd.connect(&browser, connection, subject, stay).await;
                if again {
                    crowd.replay(&browser).await;
                }
            });
        } else if is(plan.replays) {
            world.spawn(PROVIDER, async move { crowd.replay(&browser).await });
        } else if is(plan.services) {
            let customer = Rc::clone(&self.browsers[3]);
            world.spawn(PROVIDER, async move {
                let _ = crowd.connect_service(&customer, subject).await;
            });
        } else if is(plan.disconnects) {
            world.spawn(PROVIDER, async move {
                let _ = crowd.disconnect(&browser, connection).await;
            });
        } else if is(plan.sign_outs) {
            world.spawn(PROVIDER, async move {
                let _ = crowd.sign_out(&browser).await;
            });
        } else if is(plan.logouts) {
            let connection = CONNECTIONS[index(world, 2)];
            let sid = browser.sid(connection, subject);
            let way = world.below(4);
            if way != 3 {
                // Whoever signs in there again has another session there.
                browser.sid.set(browser.sid.get() + 1);
            }
            world.spawn(PROVIDER, async move {
                let _ = match way {
                    0 => crowd.log_out(connection, Some(subject), None).await,
                    1 => crowd.log_out(connection, None, Some(&sid)).await,
                    2 => crowd.log_out(connection, Some(subject), Some(&sid)).await,
                    _ => crowd.expel(connection, subject).await,
                };
            });
        } else {
            let way = world.below(12);
            world.spawn(PROVIDER, async move {
                let _ = match way {
                    0 => crowd.list(&browser).await,
                    1 | 2 => crowd.serve().await,
                    3 => crowd.call_with_old(&browser, connection).await,
                    _ => crowd.call(&browser, connection).await,
                };
            });
        }
    }

    /// Calls with a cookie that the browser had once.
    async fn call_with_old(&self, browser: &Browser, connection: &str) -> Option<Answered> {
        let old = {
            let cookies = browser.cookies.borrow();
            cookies.get(index(self.world(), cookies.len() as u64)).cloned()
        };
        let call = browser.page_with("GET", &format!("/api/{connection}/things"), old.as_deref());
        let answered = self.request(call).await?;
        self.expect("a call", &answered, &[200, 401, 502, 503, 504]);
        Some(answered)
    }

    /// Comes back once more, with a return of this browser or of another one, or with its code in
    /// one's own flow.
    async fn replay(&self, browser: &Browser) {
        let world = self.world();
        let other = &self.browsers[index(world, 3)];
        let from = if world.happens(500) { browser } else { other };
        let pick = |returns: &[browser::Return]| {
            returns.len().checked_sub(1 + index(world, 3)).map(|at| returns[at].clone())
        };
        let Some(mut back) = pick(&from.returns.borrow()) else { return };
        let own = pick(&browser.returns.borrow());
        if let Some(own) = own.filter(|_| world.happens(300)) {
            back.url = with_code_of(&own.url, &back.url);
        }
        let _ = self.come_back(browser, &back).await;
    }
}

/// The return of `own` with the code of another one.
fn with_code_of(own: &str, other: &str) -> String {
    let code = |url: &str| {
        let (_, query) = url.split_once("?code=").expect("a code");
        query.split('&').next().unwrap_or_default().to_owned()
    };
    own.replace(&code(own), &code(other))
}
