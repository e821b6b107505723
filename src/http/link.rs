//! `Link` fields (RFC 8288 §3).

/// The value of a `Link` field with each address in it replaced by what `change` makes of it: the
/// targets, in angle brackets, and quoted parameters, of which `anchor` is an address.
#[must_use]
pub fn each_address(value: &str, change: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, opened)) = rest.find(['<', '"']).map(|at| rest.split_at(at)) {
        let (opening, within) = opened.split_at(1);
        let end = if opening == "<" { within.find('>') } else { quoted_end(within) };
        let (address, behind) = within.split_at(end.unwrap_or(within.len()));
        out.push_str(before);
        out.push_str(opening);
        out.push_str(&change(address));
        rest = behind;
        // What closes it begins nothing.
        if let Some((closing, behind)) = behind.split_at_checked(1) {
            out.push_str(closing);
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// The end of the quoted text at the beginning of `text` (RFC 9110 §5.6.4).
fn quoted_end(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'"' && !is_escaped;
        is_escaped = b == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn changes_addresses_and_nothing_else() {
        let marked = |value: &str| each_address(value, |address| format!("({address})"));
        for (value, changed) in [
            ("", ""),
            ("rel=next", "rel=next"),
            ("<a>; rel=\"x y\", <b?c>;rel=z", "<(a)>; rel=\"(x y)\", <(b?c)>;rel=z"),
            (r#"<a>; title="\"<b>\\"; anchor="c""#, r#"<(a)>; title="(\"<b>\\)"; anchor="(c)""#),
            ("<a,\"b>", "<(a,\"b)>"),
            ("<a; rel=next", "<(a; rel=next)"),
            ("x=\"a<b>", "x=\"(a<b>)"),
            ("<é>;<", "<(é)>;<()"),
        ] {
            assert_eq!(marked(value), changed);
        }
    }
}
