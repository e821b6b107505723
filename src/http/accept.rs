//! The preference in an `Accept` field (RFC 9110 §12.5.1).

/// Whether `accept` may be replaced by `types`: the range that it prefers is a wildcard that covers
/// the first of `types`. Among ranges of equal weight the first is preferred, as in Symfony and
/// Laravel.
#[must_use]
pub fn leaves_open(accept: &str, types: &str) -> bool {
    let mut preferred: Option<(&str, f32)> = None;
    for item in accept.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight).unwrap_or(1.0);
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

/// The weight, if the parameter is `q`.
pub(super) fn weight(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok())?
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
