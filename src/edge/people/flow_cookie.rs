//! The cookies by which a browser proves that it began a flow: one for each flow, so that several tabs
//! can have one at once.
//!
//! A cookie is not deleted at the callback, so that a second use of its state is known to be one.

use super::cookie::cookies;
use crate::http::Headers;
use crate::secret::Secret;

/// The part of a cookie's name before the digits of its flow.
const PREFIX: &str = "__Host-Http-porteiro-flow-";

/// The number of digits.
const DIGITS: usize = 16;

/// The number of flows that a browser has at once; one more ends all of them.
const MAX_FLOWS: usize = 8;

/// The life of a flow, in seconds.
pub(in crate::edge) const LIFE_SECONDS: u64 = 600;

/// The cookies of flows in a request.
#[derive(Debug)]
pub(in crate::edge) struct FlowCookies<'h>(Vec<(&'h str, &'h str)>);

impl<'h> FlowCookies<'h> {
    pub fn read(headers: &Headers<'h>) -> Self {
        let own = cookies(headers).filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
        Self(own.filter(|(digits, _)| is_digits(digits)).collect())
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cookie of the flow whose object is called `flow`; none where there are several.
    pub fn value(&self, flow: &str) -> Option<&'h str> {
        let digits = digits(flow)?;
        let mut values = self.0.iter().filter(|(own, _)| *own == digits).map(|(_, value)| *value);
        values.next().filter(|_| values.next().is_none())
    }

    /// The values of `Set-Cookie` that begin the flow whose object is called `flow`, with `secret`.
    pub fn begin(&self, flow: &str, secret: &Secret) -> Vec<String> {
        let attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=";
        let mut fields = Vec::new();
        if self.0.len() >= MAX_FLOWS {
            let old = self.0.iter().map(|(digits, _)| [PREFIX, digits, "=", attributes, "0"].concat());
            fields.extend(old);
        }
        let life = LIFE_SECONDS.to_string();
        fields
            .extend(digits(flow).map(|own| [PREFIX, own, "=", secret.expose(), attributes, &life].concat()));
        fields
    }
}

/// The digits in the cookie's name of the flow whose object is called `flow`.
fn digits(flow: &str) -> Option<&str> {
    flow.rsplit('/').next()?.get(..DIGITS)
}

fn is_digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    fn flow(number: u8) -> String {
        format!("one-time/{number:064x}")
    }

    fn begun(cookies: &str, flow: &str) -> Vec<String> {
        let fields = format!("cookie:{cookies}");
        FlowCookies::read(&Headers::new(&fields)).begin(flow, &Secret::new("s3cret".to_owned()))
    }

    #[test]
    fn has_a_cookie_for_each_flow() {
        let one = "one-time/0123456789abcdef0000000000000000";
        let set = begun("a=b", one);
        let whole = "__Host-Http-porteiro-flow-0123456789abcdef=s3cret; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600";
        assert_eq!(set, [whole]);
        let (pair, _) = whole.split_once(';').unwrap();
        let fields = format!("cookie:x=y; {pair}; __Host-Http-porteiro=session");
        let cookies = FlowCookies::read(&Headers::new(&fields));
        assert_eq!(
            (cookies.value(one), cookies.value(&flow(1)), cookies.is_empty()),
            (Some("s3cret"), None, false)
        );
        let fields = format!("cookie:{pair}; {pair}");
        assert_eq!(FlowCookies::read(&Headers::new(&fields)).value(one), None);
    }

    #[test]
    fn knows_no_other_cookie() {
        for other in [
            "__Host-Http-porteiro=x",
            "__Host-Http-porteiro-flow-=x",
            "__Host-Http-porteiro-flow-0123456789abcdeF=x",
        ] {
            let fields = format!("cookie:{other}");
            assert!(FlowCookies::read(&Headers::new(&fields)).is_empty(), "{other}");
        }
    }

    #[test]
    fn ends_all_flows_where_there_are_too_many() {
        let cookies = |count: u8| {
            let pairs: Vec<String> = (0..count).map(|number| format!("{PREFIX}{number:016x}=v")).collect();
            pairs.join("; ")
        };
        assert_eq!(begun(&cookies(7), &flow(1)).len(), 1);
        let set = begun(&cookies(8), "one-time/ffffffffffffffff0");
        assert_eq!(set.len(), 9);
        assert!(set[..8].iter().all(|cookie| cookie.contains("=; Path=/;") && cookie.ends_with("Max-Age=0")));
        assert!(set[8].starts_with("__Host-Http-porteiro-flow-ffffffffffffffff=s3cret;"));
    }
}
