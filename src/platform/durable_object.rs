//! The Durable Object that each of the [`objects`](crate::objects) lives in.

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::worker_sys::DurableObjectState;
use worker::{Env, State};
use zeroize::Zeroizing;

use super::storage::{DurablePorts, stored};
use super::{isolate, runtime};
use crate::json::{self, NotJson};
use crate::objects::{self, Object};
use crate::ports::StorageFailed;
use crate::protocol::{Envelope, ObjectKind};

/// When the alarm comes again of an object whose kind this version does not
/// know.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The class of all Durable Objects. `shim.js` exports a class `Keeper`, by which
/// deployments have stored their objects, and hands its events to this one.
#[wasm_bindgen]
#[allow(missing_debug_implementations, reason = "nothing prints a Durable Object")]
pub struct BrokerObject(AssertUnwindSafe<Rc<Living>>);

/// An object between two events.
struct Living {
    state: Rc<State>,
    env: Env,
    object: OnceCell<Object<DurablePorts>>,
}

// The `worker` crate's own class would hand over a request and a response, with all that reads streams.
#[wasm_bindgen]
impl BrokerObject {
    /// The object that the runtime keeps `state` for.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let living = Living { state: Rc::new(state.into()), env, object: OnceCell::new() };
        Self(AssertUnwindSafe(Rc::new(living)))
    }

    /// Answers a message, an [`Envelope`] in JSON: resolves to the reply, and rejects where there is none.
    pub fn answer(&self, message: String) -> Promise {
        let (living, message) = (Rc::clone(&self.0), Zeroizing::new(message));
        runtime::promised(Box::pin(async move { living.answer(message).await }))
    }

    /// Does what is due. The runtime calls an alarm that rejects again later.
    pub fn alarm(&self) -> Promise {
        let living = Rc::clone(&self.0);
        runtime::promised(Box::pin(async move { living.alarm().await }))
    }
}

impl Living {
    async fn answer(&self, message: Zeroizing<String>) -> Result<JsValue, &'static str> {
        let envelope: Envelope = json::read(message.as_bytes()).map_err(|NotJson| "no message")?;
        // The text may be long, and the object takes other messages meanwhile.
        drop(message);
        let reply = self.object(&envelope.kind())?.answer(&envelope).await;
        Ok(reply.ok_or("a message for another object")?.into())
    }

    async fn alarm(&self) -> Result<JsValue, &'static str> {
        const FAILED: &str = "the alarm could not be served";
        let kind = stored(&self.state, objects::KIND).await.map_err(|StorageFailed| FAILED)?;
        let Some(kind) = kind else { return Ok(JsValue::UNDEFINED) };
        match json::read(kind.as_bytes()) {
            Ok(kind) => self.object(&kind)?.alarm().await.map_err(|StorageFailed| FAILED)?,
            // A later version stored it, which may be deployed again: the alarm stays set.
            Err(NotJson) => self.state.storage().set_alarm(LOOK_AGAIN).await.map_err(|_| FAILED)?,
        }
        Ok(JsValue::UNDEFINED)
    }

    fn object(&self, kind: &ObjectKind) -> Result<&Object<DurablePorts>, &'static str> {
        if self.object.get().is_none() {
            let ports = Rc::new(DurablePorts::new(&self.state, &self.env, kind));
            let config = Rc::clone(isolate::current(|| self.env.clone()).config());
            let _ = self.object.set(Object::open(kind, ports, config));
        }
        self.object.get().ok_or("the object did not begin")
    }
}
