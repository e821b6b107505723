use porteiro::http::{PathPattern, RequestPath};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::generate;

fn allows(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (["**"], _) | ([], []) => true,
        ([wanted, pattern @ ..], [found, path @ ..]) => {
            (*wanted == "*" || wanted == found) && allows(pattern, path)
        }
        _ => false,
    }
}

fn joined(segments: &[&str], slash: bool) -> String {
    let end = if slash && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

proptest! {
    #![proptest_config(generate::run(3_000))]

    #[test]
    fn allows_what_its_stars_stand_for_and_nothing_else(
        mut pattern in vec(select(&["a", "a", "b", "A", "%61", "*"]), 0..5),
        open in any::<bool>(),
        mut path in vec(select(&["a", "a", "a", "b", "A", "%61", "*", "**"]), 0..6),
        alike in any::<bool>(),
        slashes in any::<(bool, bool)>(),
    ) {
        if alike {
            // Patterns and paths that have little in common show little.
            for (found, wanted) in path.iter_mut().zip(&pattern) {
                *found = if *wanted == "*" { *found } else { *wanted };
            }
        }
        if open {
            pattern.push("**");
        }
        let (text, path_text) = (joined(&pattern, slashes.0), joined(&path, slashes.1));
        let parsed = PathPattern::parse(&text).unwrap();
        prop_assert_eq!(parsed.as_str(), &*text);
        let path_parsed = RequestPath::parse(&path_text).unwrap();
        prop_assert_eq!(parsed.matches(path_parsed), allows(&pattern, &path), "{} for {}", path_text, text);
    }

    #[test]
    fn is_read_only_where_stars_stand_for_whole_segments(
        text in generate::text(&["/", "/", "a", "*", "**", "..", "%2e", ";", "?", "#", "é", "\\"]),
    ) {
        for text in [text.clone(), format!("/{text}")] {
            let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
            let is_clear = segments.iter().enumerate().all(|(at, segment)| {
                !segment.contains('*') || *segment == "*" || (*segment == "**" && at + 1 == segments.len())
            });
            // Braces are templates, of which there is none here.
            let is_path =
                !text.is_empty() && RequestPath::parse(&text).is_ok() && !text.contains(['?', '#', '{', '}']);
            let parsed = PathPattern::parse(&text);
            prop_assert_eq!(parsed.is_some(), is_clear && is_path, "{:?}", text);
            if let Some(pattern) = parsed {
                prop_assert!(pattern.matches(RequestPath::parse(&text).unwrap()));
            }
        }
    }

    #[test]
    fn survives_any_text_in_a_patterns_place(text in generate::any_text()) {
        let _ = PathPattern::parse(&format!("/{text}"));
    }
}
