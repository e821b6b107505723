//! How the runtime calls alarms: at their time, one handler at a time, and
//! again later where it failed or was cut off.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use super::DeliveryObjects;
use crate::simulation::site::{PROVIDER, Shared};
use crate::time::UnixTime;

/// How often a handler is called again that fails.
const RETRIES: u32 = 6;

impl DeliveryObjects {
    /// The alarm is set, durably. One that is set while its handler runs counts
    /// for afterwards.
    pub(super) fn set(site: &Rc<Shared>, connection: &Rc<str>, at: UnixTime) {
        site.deliveries.change(connection, |object| object.alarm = Some(at));
        Self::wind(site, connection);
    }

    /// Has somebody wait for the alarm, as it is set now.
    fn wind(site: &Rc<Shared>, connection: &Rc<str>) {
        let (sender, superseded) = oneshot::channel();
        let at = site.deliveries.change(connection, |object| {
            let at = object.alarm.filter(|_| !object.is_ringing)?;
            object.sleeper = Some(sender);
            Some(at)
        });
        let Some(at) = at else { return };
        let (site, connection) = (Rc::clone(site), Rc::clone(connection));
        let late = Duration::from_millis(site.world.below(40));
        site.world.clone().spawn(PROVIDER, async move {
            let sleep = pin!(site.world.sleep(at.since(site.world.now()) + late));
            let is_due = matches!(select(sleep, superseded).await, Either::Left(_));
            // It may have been set anew in the very moment.
            if is_due && site.deliveries.alarm(&connection) == Some(at) {
                Self::ring(&site, &connection).await;
            }
        });
    }

    async fn ring(site: &Rc<Shared>, connection: &Rc<str>) {
        site.deliveries.change(connection, |object| {
            (object.alarm, object.sleeper, object.is_ringing) = (None, None, true);
        });
        site.deliveries.rings.set(site.deliveries.rings.get() + 1);
        let (process, deliveries) = Self::life(site, connection);
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(deliveries.alarm().await);
        });
        let ended = receiver.await;
        let now = site.world.now();
        site.deliveries.change(connection, |object| {
            object.is_ringing = false;
            match ended {
                Ok(Err(_)) if object.alarm.is_none() && object.failures < RETRIES => {
                    object.failures += 1;
                    object.alarm = Some(now + Duration::from_secs(1 << object.failures));
                }
                Ok(_) => object.failures = 0,
                // That it was cut off is not its fault.
                Err(_) => object.alarm = object.alarm.or(Some(now + Duration::from_secs(2))),
            }
        });
        Self::wind(site, connection);
    }
}
