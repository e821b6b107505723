//! Clock, entropy and log of the runtime.

use crate::time::UnixTime;

/// The present moment. The runtime's clock moves only with I/O.
pub fn now() -> UnixTime {
    let millis = js_sys::Date::now();
    // Milliseconds since 1970 fit: negative ones and fractions do not occur.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive whole number")]
    UnixTime::from_millis(millis as u64)
}

/// Random bytes from the platform's cryptographic generator.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        wasm_bindgen::throw_str("the runtime gave no random bytes");
    }
    bytes
}

/// Writes one line to the Worker's log.
pub fn log(line: &str) {
    worker::web_sys::console::log_1(&line.into());
}
