//! The Durable Object that each of the [`objects`](crate::objects) lives in.

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};
use zeroize::Zeroizing;

use super::isolate;
use super::storage::{DurablePorts, stored};
use crate::json::{self, NotJson};
use crate::objects::{self, Object};
use crate::ports::StorageFailed;
use crate::protocol::{Envelope, ObjectKind};

/// When the alarm comes again of an object whose kind this version does not
/// know.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The class of all Durable Objects. `shim.js` exports a class `Keeper`, by which
/// deployments have stored their objects, and hands its events to this one.
#[durable_object(alarm)]
#[allow(missing_debug_implementations, reason = "nothing prints a Durable Object")]
pub struct BrokerObject {
    state: Rc<State>,
    env: Env,
    // An object survives a panic: what it changes, it changes in one step.
    object: AssertUnwindSafe<OnceCell<Object<DurablePorts>>>,
}

impl DurableObject for BrokerObject {
    fn new(state: State, env: Env) -> Self {
        Self { state: Rc::new(state), env, object: AssertUnwindSafe(OnceCell::new()) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let text = Zeroizing::new(request.text().await?);
        let envelope: Envelope = json::read(text.as_bytes()).map_err(|NotJson| "no message")?;
        // The text may be long, and the object takes other messages meanwhile.
        drop(text);
        let answer = self.object(&envelope.kind())?.answer(&envelope).await;
        Response::ok(answer.ok_or("a message for another object")?)
    }

    async fn alarm(&self) -> Result<Response> {
        let kind =
            stored(&self.state, objects::KIND).await.map_err(|StorageFailed| "the kind could not be read")?;
        let Some(kind) = kind else { return Response::empty() };
        let Ok(kind) = json::read(kind.as_bytes()) else {
            // A later version stored it, which may be deployed again: the alarm stays set.
            return self.state.storage().set_alarm(LOOK_AGAIN).await.and_then(|()| Response::empty());
        };
        // The runtime calls an alarm that fails again later.
        self.object(&kind)?.alarm().await.map_err(|StorageFailed| "the alarm could not be served")?;
        Response::empty()
    }
}

impl BrokerObject {
    fn object(&self, kind: &ObjectKind) -> Result<&Object<DurablePorts>> {
        if self.object.get().is_none() {
            let ports = Rc::new(DurablePorts::new(&self.state, &self.env, kind));
            let config = Rc::clone(isolate::current(|| self.env.clone()).config());
            let _ = self.object.set(Object::open(kind, ports, config));
        }
        self.object.get().ok_or_else(|| "the object did not begin".into())
    }
}
