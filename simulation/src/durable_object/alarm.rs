//! How the runtime fires alarms: on time, one handler at a time, and again later if the handler
//! failed or was cut off.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use super::Objects;
use crate::site::{PROVIDER, Shared};
use porteiro::json;
use porteiro::objects::KIND;
use porteiro::protocol::ObjectKind;
use porteiro::time::UnixTime;

/// How many times a failing handler is retried.
const RETRIES: u32 = 6;

/// How soon a handler that was cut off is called again.
const AGAIN: Duration = Duration::from_secs(2);

/// The one alarm of an object.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<UnixTime>,
    /// Dropped to cancel the task that waits for the alarm.
    sleeper: Option<oneshot::Sender<()>>,
    /// Whether the handler is running.
    pub is_ringing: bool,
    /// The number of consecutive failures of the handler.
    failures: u32,
}

impl Alarm {
    /// When the handler is called next; `None` while it runs.
    pub fn due(&self) -> Option<UnixTime> {
        self.at.filter(|_| !self.is_ringing)
    }

    /// Clears the alarm.
    pub fn clear(&mut self) {
        (self.at, self.sleeper) = (None, None);
    }
}

impl Objects {
    /// Sets the alarm, durably. An alarm set while its handler runs fires after the handler has
    /// ended.
    pub(super) fn set_alarm(site: &Rc<Shared>, name: &Rc<str>, at: UnixTime) {
        site.objects.change(name, |object| object.alarm.at = Some(at));
        Self::schedule(site, name);
    }

    /// Starts a task that waits for the alarm at its current time.
    fn schedule(site: &Rc<Shared>, name: &Rc<str>) {
        let (sender, superseded) = oneshot::channel();
        let at = site.objects.change(name, |object| {
            let at = object.alarm.due()?;
            object.alarm.sleeper = Some(sender);
            Some(at)
        });
        let Some(at) = at else { return };
        let (site, name) = (Rc::clone(site), Rc::clone(name));
        let late = Duration::from_millis(site.world.below(40));
        site.world.clone().spawn(PROVIDER, async move {
            let sleep = pin!(site.world.sleep(at.since(site.world.now()) + late));
            let is_due = matches!(select(sleep, superseded).await, Either::Left(_));
            // The alarm may have been reset at this very moment.
            if is_due && site.objects.alarm(&name) == Some(at) {
                Self::ring(&site, &name).await;
            }
        });
    }

    async fn ring(site: &Rc<Shared>, name: &Rc<str>) {
        site.objects.change(name, |object| object.alarm.clear());
        if site.objects.no_alarms.get() {
            return;
        }
        site.objects.change(name, |object| object.alarm.is_ringing = true);
        site.objects.rings.set(site.objects.rings.get() + 1);
        let ended = Self::call_handler(site, name).await;
        let now = site.world.now();
        site.objects.change(name, |object| {
            let alarm = &mut object.alarm;
            alarm.is_ringing = false;
            match ended {
                Some(false) if alarm.at.is_none() && alarm.failures < RETRIES => {
                    alarm.failures += 1;
                    alarm.at = Some(now + Duration::from_secs(1 << alarm.failures));
                }
                Some(_) => alarm.failures = 0,
                // The life ended; the handler did not fail.
                None => alarm.at = alarm.at.or(Some(now + AGAIN)),
            }
        });
        Self::schedule(site, name);
    }

    /// Calls the handler: `true` if it succeeded, `None` if it did not run to its end. The runtime
    /// does not know the object's kind: it is read from the object's storage.
    async fn call_handler(site: &Rc<Shared>, name: &str) -> Option<bool> {
        site.world.hop().await;
        if site.world.happens(site.objects.failures.get()) {
            return None;
        }
        let kind = site.objects.change(name, |object| object.seen.texts.get(KIND).cloned());
        let Some(kind) = kind else { return Some(true) };
        let kind: ObjectKind = json::read(kind.as_bytes()).expect("the kind of an object");
        super::check_name(name, &kind);
        let (process, object) = Self::life(site, name, &kind);
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(object.alarm().await.is_ok());
        });
        receiver.await.ok()
    }
}
