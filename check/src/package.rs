//! The check for programs in JavaScript, which need no Rust.

use serde::Deserialize;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

use crate::development::DevVars;
use crate::{Options, printed};

#[derive(Deserialize)]
struct Asked {
    /// The name of the file, for messages.
    file: String,
    text: String,
    environment: Option<String>,
    local: bool,
    config: Option<String>,
    dev_vars: Vec<DevVars>,
}

/// The report as JSON on a question as JSON: `{ file, text, environment, local, config, dev_vars }`.
#[wasm_bindgen]
pub fn check(asked: &str) -> Result<String, JsError> {
    let asked: Asked =
        serde_json::from_str(asked).map_err(|_| JsError::new("The question is not in order."))?;
    let Asked { file, text, environment, local, config, dev_vars } = asked;
    let options = Options { environment, local, config, dev_vars };
    printed(&file, &text, &options).map_err(|message| JsError::new(&message))
}
