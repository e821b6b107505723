//! The ports of one object, but for its [tables](super::table), which stand on
//! what is here.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, State};

use super::sql::Table;
use super::{crypto, http, kv, runtime, stub};
use crate::config::SigningKey;
use crate::json;
use crate::objects;
use crate::ports::{
    Cache, CacheFailed, Host, Http, HttpAnswer, HttpFailure, HttpRequest, ObjectUnreachable, Objects,
    SignatureCheck, Signer, Storage, StorageFailed, Verifier,
};
use crate::protocol::ObjectKind;
use crate::time::UnixTime;

/// The runtime, as the object in a Durable Object sees it.
pub struct DurablePorts {
    state: Rc<State>,
    env: Env,
    /// The object's kind, as it is stored for the alarm.
    kind: String,
    events: Table,
    ids: Table,
}

impl DurablePorts {
    /// The ports of the object that is `kind`.
    pub fn new(state: &Rc<State>, env: &Env, kind: &ObjectKind) -> Self {
        let kind = json::text(kind);
        let (events, ids) = (Table::of_events(), Table::of_ids());
        Self { state: Rc::clone(state), env: env.clone(), kind, events, ids }
    }

    /// The rows of `query` to the table of events.
    pub fn events(&self, query: &str, given: &[JsValue]) -> Result<Vec<JsValue>, StorageFailed> {
        self.events.query(&self.state, query, given).map_err(|_| StorageFailed)
    }

    /// The rows of `query` to the table of ids.
    pub fn known_ids(&self, query: &str, given: &[JsValue]) -> Result<Vec<JsValue>, StorageFailed> {
        self.ids.query(&self.state, query, given).map_err(|_| StorageFailed)
    }

    /// Waits until what was written is stored, not merely queued: no token is
    /// used, and no event acknowledged, before it is kept.
    pub async fn sync(&self) -> Result<(), StorageFailed> {
        settled(self.state.storage().as_raw().sync()).await.map(drop)
    }
}

fn failed(_: worker::Error) -> StorageFailed {
    StorageFailed
}

/// What `promise` resolves to.
async fn settled(promise: Result<Promise, JsValue>) -> Result<JsValue, StorageFailed> {
    let promise = promise.map_err(|_| StorageFailed)?;
    JsFuture::from(promise).await.map_err(|_| StorageFailed)
}

/// The text that is stored under `key`. The `worker` crate's way brings a deserialiser.
pub async fn stored(state: &State, key: &str) -> Result<Option<String>, StorageFailed> {
    let found = settled(state.storage().as_raw().get(key)).await?;
    let is_absent = found.is_undefined() || found.is_null();
    if is_absent { Ok(None) } else { found.as_string().map(Some).ok_or(StorageFailed) }
}

impl Host for DurablePorts {
    fn now(&self) -> UnixTime {
        runtime::now()
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        runtime::bytes()
    }

    fn log(&self, line: &str) {
        runtime::log(line);
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.state.wait_until(task);
    }

    async fn sleep(&self, span: Duration) {
        runtime::sleep(span).await;
    }
}

impl Cache for DurablePorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        kv::read(&self.env, name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        kv::write(&self.env, name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        kv::delete(&self.env, name).await
    }
}

impl Storage for DurablePorts {
    async fn get(&self, key: &str) -> Result<Option<String>, StorageFailed> {
        stored(&self.state, key).await
    }

    async fn put(&self, key: &str, text: &str) -> Result<(), StorageFailed> {
        settled(self.state.storage().as_raw().put(key, text.into())).await?;
        self.sync().await
    }

    async fn put_both(&self, texts: [(&str, &str); 2]) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        // The runtime submits writes with nothing awaited in between as one.
        for put in texts.map(|(key, text)| storage.as_raw().put(key, text.into())) {
            settled(put).await?;
        }
        self.sync().await
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        // The tables are deleted with the texts.
        self.events.note_deleted();
        self.ids.note_deleted();
        settled(storage.as_raw().delete_all()).await?;
        settled(storage.as_raw().delete_alarm(JsValue::NULL.into())).await?;
        self.sync().await
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        settled(storage.as_raw().put(objects::KIND, self.kind.as_str().into())).await?;
        storage.set_alarm(at.since(runtime::now())).await.map_err(failed)
    }
}

impl Http for DurablePorts {
    async fn send(&self, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
        http::send(&self.env, request).await
    }
}

impl Signer for DurablePorts {
    async fn sign(&self, key: &SigningKey, input: &str) -> Option<Vec<u8>> {
        crypto::sign(key, input).await
    }
}

impl Verifier for DurablePorts {
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        crypto::verify(check).await
    }
}

impl Objects for DurablePorts {
    async fn exchange(&self, name: &str, envelope: &str) -> Result<String, ObjectUnreachable> {
        stub::exchange(&self.env, name, envelope).await
    }
}
