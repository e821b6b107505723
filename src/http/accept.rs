//! The preference in an `Accept` field (RFC 9110 §12.5.1).

/// Whether `accept` may be replaced by `types`: the range that it prefers is a wildcard that covers
/// the first of `types`. Among ranges of equal weight the first is preferred, as in Symfony and
/// Laravel.
#[must_use]
pub fn leaves_open(accept: &str, types: &str) -> bool {
    let mut preferred: Option<(&str, u32)> = None;
    for item in accept.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight).unwrap_or(WHOLE);
        if !range.is_empty() && preferred.is_none_or(|(_, most)| weight > most) {
            preferred = Some((range, weight));
        }
    }
    let Some((range, _)) = preferred else { return true };
    match range.split_once('/') {
        Some((kind, "*")) => {
            kind == "*" || types.split('/').next().is_some_and(|asked| asked.eq_ignore_ascii_case(kind))
        }
        _ => range == "*",
    }
}

/// The weight of a range without one.
pub(super) const WHOLE: u32 = 1000;

/// The weight in thousandths, if the parameter is `q` (RFC 9110 §12.4.2).
pub(super) fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !name.trim().eq_ignore_ascii_case("q") || !is_number(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    // What is more than a whole weighs no more than that.
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse::<u8>().ok()?.min(1).into() };
    let digits = fraction.bytes().chain(*b"000").take(3);
    Some(digits.fold(whole, |sum, digit| sum * 10 + u32::from(digit - b'0')).min(WHOLE))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn knows_a_client_that_prefers_no_type() {
        for accept in [
            "",
            " ",
            ",",
            "*/*",
            " */* ",
            "*",
            "*/*;q=0.8",
            "*/*; Q=0.1 , text/html;q=0",
            "*/*, text/html",
            "text/html;q=0.9, */*",
            "application/json;q=0.9,*/*",
            "application/*",
            "Application/*, text/html",
        ] {
            assert!(leaves_open(accept, "application/json"), "{accept}");
        }
    }

    #[test]
    fn knows_a_client_that_prefers_one() {
        for accept in [
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/javascript, */*; q=0.01",
            "text/html, */*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/pdf",
            "*/*;q=0.8, image/png",
            "image/*",
            "text/*, */*",
            "application/vnd.api+json",
            "*/json",
        ] {
            assert!(!leaves_open(accept, "application/json"), "{accept}");
        }
    }
}
