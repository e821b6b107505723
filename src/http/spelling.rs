//! The spellings of a parameter's name that upstream servers take for one another.
//!
//! PHP writes `.`, blanks and an unclosed `[` as `_` and skips leading blanks; Rack, qs, Spring and
//! ASP.NET read what stands before a `[` or a `.` as the parameter, and drop brackets around it;
//! ASP.NET ignores case; some servers end a name at a NUL character, or decode before they split.
//! Servers that fold case, drop accents or normalise differ in what a character outside ASCII becomes,
//! so [`is_like`] takes it for any text.

use super::reading::{Ambiguous, readings};
use super::template::decoded;

/// Compares two folded names, or parts of names.
pub(super) type Comparison = fn(&[u8], &[u8]) -> bool;

/// Whether a server could read the parameter name `raw`, as sent, as one that `is_known` knows by
/// its [`folded`] form, or both as parts of one nested parameter.
pub(super) fn is_read_as(raw: &str, is_known: impl Fn(&[u8]) -> bool) -> bool {
    if is_plain(raw) {
        return is_known(raw.to_ascii_lowercase().as_bytes());
    }
    forms(raw).map_or(true, |forms| forms.iter().any(|form| is_known(form)))
}

/// Whether `name` has no character that servers read differently, except for its case.
pub(super) fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether a segment of a path has a path parameter (RFC 3986 §3.3) whose name `is_known` knows, or
/// could have one: some servers decode a path before they split it.
pub(super) fn is_in_segment(segment: &str, is_known: impl Fn(&[u8]) -> bool) -> bool {
    if segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')) {
        return false;
    }
    // What does not decode, servers read as they like.
    let Some(readings) = decoded(segment).and_then(|_| readings(segment.as_bytes()).ok()) else {
        return true;
    };
    let is_parameter = |name: &[u8]| names(name).iter().any(|form| is_known(form));
    readings.iter().any(|reading| reading.split(is_separator).skip(1).any(is_parameter))
}

/// Whether a server could take one folded name for the other, whose parts are compared by
/// `comparison`. Names that nest are compared by their parts: `filter` and `filter[id]` conflict,
/// `filter[id]` and `filter[name]` do not.
pub(super) fn is_same(one: &[u8], other: &[u8], comparison: Comparison) -> bool {
    let mut parts = parts(one).zip(parts(other)).peekable();
    let nests = parts.peek().is_some() && parts.all(|(one, other)| comparison(one, other));
    nests
        || comparison(one, other)
        || is_base(one, other, comparison)
        || is_base(other, one, comparison)
        || comparison(trimmed(one, is_mark), trimmed(other, is_mark))
}

/// Whether the first part of `nested` between brackets is `name`, as PHP reads it: that part alone
/// has its marks written as `_`.
fn is_base(nested: &[u8], name: &[u8], comparison: Comparison) -> bool {
    let is_bracket = |b: &u8| matches!(*b, b'[' | b']');
    let base = nested.split(is_bracket).find(|part| !part.is_empty()).unwrap_or_default();
    !name.iter().any(is_bracket) && comparison(base, name)
}

/// The comparison by which a server that reads what nests names as `_` takes one for the other.
pub(super) fn is_flat(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| flat(*one) == flat(*other))
}

/// The same, where characters outside ASCII stand for any text, also for none.
pub(super) fn is_like(one: &[u8], other: &[u8]) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return is_flat(one, other);
    }
    // Whether what is read of `one` is like the beginnings of `other`, the empty one first.
    let mut reached = vec![true];
    reached.extend(other.iter().scan(true, |is_open, b| {
        *is_open &= !b.is_ascii();
        Some(*is_open)
    }));
    let mut was_open = false;
    for b in one {
        // Several such characters stand for no more than one does.
        if was_open && !b.is_ascii() {
            continue;
        }
        was_open = !b.is_ascii();
        let (mut before, mut shorter) = (false, false);
        let ends = std::iter::once(None).chain(other.iter().map(Some));
        for (is_reached, end) in reached.iter_mut().zip(ends) {
            let is_open = !b.is_ascii() || end.is_some_and(|end| !end.is_ascii());
            let is_next = before && end.is_some_and(|end| flat(*end) == flat(*b));
            let now = is_next || (is_open && (*is_reached || before || shorter));
            before = std::mem::replace(is_reached, now);
            shorter = now;
        }
        // Names may be long.
        if !reached.contains(&true) {
            return false;
        }
    }
    reached.last().is_some_and(|is_reached| *is_reached)
}

const fn flat(b: u8) -> u8 {
    if is_mark(&b) { b'_' } else { b }
}

fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(is_mark).filter(|part| !part.is_empty())
}

/// `name`, decoded already, without the differences that servers ignore; the characters that nest
/// names remain.
pub(super) fn folded(name: &str) -> Vec<u8> {
    fold(name.as_bytes())
}

/// `name` in a form that all names have that differ from it in case alone. Letters outside ASCII
/// count as one letter, but for those of scripts that have no case.
#[must_use]
pub fn caseless(name: &str) -> String {
    let fold = |c| match lower_case(c) {
        c @ ('\0'..='\x7F' | '\u{2E80}'..='\u{A63F}' | '\u{AC00}'..='\u{D7FF}') => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    name.chars().map(fold).collect()
}

/// `c` in lower case, for ASCII, Latin-1 and what folds to ASCII (Unicode `CaseFolding.txt`).
fn lower_case(c: char) -> char {
    match c {
        '\u{212A}' => 'k',
        '\u{17F}' => 's',
        '\u{130}' | '\u{131}' => 'i',
        '\u{D7}' => c,
        '\u{C0}'..='\u{DE}' => char::from_u32(u32::from(c) + 0x20).unwrap_or(c),
        _ => c.to_ascii_lowercase(),
    }
}

/// The folded forms of a name as sent.
fn forms(raw: &str) -> Result<Vec<Vec<u8>>, Ambiguous> {
    let mut forms = Vec::new();
    for reading in readings(raw.as_bytes())? {
        for piece in reading.split(is_separator) {
            forms.extend(names(piece));
        }
    }
    Ok(forms)
}

/// The folded names of one parameter, which ends its name at `=`.
fn names(parameter: &[u8]) -> Vec<Vec<u8>> {
    let name = parameter.split(|b| *b == b'=').next().unwrap_or_default();
    let name = trimmed(name, u8::is_ascii_control);
    let mut names = vec![fold(name)];
    if name.contains(&0) {
        names.push(fold(name.split(|b| *b == 0).next().unwrap_or_default()));
    }
    names
}

/// Whether a parameter begins behind `b` for some server: `URLSearchParams` drops a leading `?`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "slices are split by it")]
const fn is_separator(b: &u8) -> bool {
    matches!(*b, b'&' | b';' | b'?' | b'#')
}

fn fold(name: &[u8]) -> Vec<u8> {
    // The letters that U+00E0 to U+00FF have without their accents; `/` where that is unclear.
    const BASE: &[u8; 32] = b"aaaaaa/ceeeeiiii/nooooo//uuuuy/y";
    let mut out = Vec::with_capacity(name.len());
    // Some servers drop bytes that are not UTF-8.
    for c in name.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        match lower_case(c) {
            '\u{300}'..='\u{36F}' => {}
            ' ' | '+' | '\t' | '\n' | '\r' | '\u{C}' => out.push(b' '),
            '-' => out.push(b'_'),
            c if c.is_ascii_control() => {}
            c => match BASE.get((c as usize).wrapping_sub(0xE0)) {
                Some(letter) if *letter != b'/' => out.push(*letter),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            },
        }
    }
    let mut folded = trimmed(&out, |b| *b == b' ').to_vec();
    for b in &mut folded {
        if *b == b' ' {
            *b = b'_';
        }
    }
    folded
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "slices are split by it")]
const fn is_mark(b: &u8) -> bool {
    matches!(*b, b'.' | b'[' | b']')
}

fn trimmed(mut text: &[u8], is_outer: fn(&u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_outer(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_outer(last)
    {
        text = rest;
    }
    text
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    fn spells(raw: &str, name: &str) -> bool {
        is_read_as(raw, |form| is_same(form, &folded(name), is_like))
    }

    #[test]
    fn knows_the_spellings_of_a_name() {
        for raw in [
            "termo_busca",
            "TERMO_Busca",
            "termo%5Fbusca",
            "termo.busca",
            "termo%2ebusca",
            "termo+busca",
            "termo%20busca",
            "termo-busca",
            "termo[busca",
            "termo_busca[]",
            "termo_busca%5B%5D",
            "termo_busca[0][x]",
            "termo_busca.x",
            "termo_busca.",
            "[termo_busca]",
            "]termo_busca",
            "+termo_busca",
            "%20termo_busca",
            "%09termo_busca",
            "termo_busca%20",
            "termo_busca%00",
            "termo_busca%00x",
            "%00termo_busca",
            "termo%00_busca",
            "termo%255Fbusca",
            "termo%u005Fbusca",
            "termo%ef%bc%bfbusca",
            "%ef%bd%94ermo_busca",
            "termo_busca%e2%80%8b",
            "termo_%ffbusca",
            "%c1%a4ermo_busca",
            "termo_bu%c5%bfca",
            "x%26termo_busca",
            "x%3btermo_busca",
            "termo_busca%3Dx",
            "termo_b%C3%BAsca",
            "termo_bu%CC%81sca",
            "?termo_busca",
            "%3Ftermo_busca",
            "??termo_busca",
            "x%3Ftermo_busca",
            "termo_busca%23x",
            "termo_bu%C5%A1ca",
            "term%C2%BA_busca",
            "termo_busc%D0%B0",
            "termo%E2%80%BFbusca",
            "%F0%9D%90%AD%F0%9D%90%9E%F0%9D%90%AB%F0%9D%90%A6%F0%9D%90%A8_busca",
            "t%C3%A6ermo_busca",
            "termo_busca%C5%A1",
            "%C5%A1",
            "TERM%C5%90_BUSCA[x]",
            "[term%C5%91.busca]",
        ] {
            assert!(spells(raw, "termo_busca"), "{raw}");
        }
        for raw in [
            "",
            "busca",
            "termo",
            "termo_buscas",
            "_termo_busca",
            "xtermo_busca",
            "a[termo_busca]",
            "termobusca",
            "?busca",
            "b%C3%A9",
            "n%C5%BEm",
            "p%C5%99%C3%ADjmen%C3%AD",
            "termo_busca_%C5%A1",
            "termo_b%C3%BAscas",
        ] {
            assert!(!spells(raw, "termo_busca"), "{raw}");
        }
        assert!(spells("K", "\u{212A}") && spells("%e2%84%aa", "k") && spells("C%C3%93DIGO", "código"));
        assert!(spells("%D0%98", "и") && spells("%CE%A9", "ω") && spells("%C4%8C%C3%ADslo", "číslo"));
        assert!(spells("cislo", "číslo") && spells("STRASSE", "straße") && !spells("jmeno", "číslo"));
    }

    #[test]
    fn compares_long_names() {
        let bound = folded(&"ab".repeat(128));
        for unit in ["\u{151}", "a\u{151}", "\u{151}b\u{151}", "ab\u{151}\u{151}"] {
            let long = unit.repeat(32_768);
            assert_eq!(is_like(long.as_bytes(), &bound), unit == "\u{151}");
        }
    }

    #[test]
    fn finds_parameters_in_segments() {
        let is_found =
            |segment: &str| is_in_segment(segment, |form| is_same(form, &folded("termo_busca"), is_like));
        for segment in [
            "a;termo_busca=5",
            ";termo_busca",
            "a;;termo_busca=5",
            "a;x=1;Termo_Busca",
            "a%3Btermo_busca=5",
            "a%253Btermo_busca=5",
            "a%25253Btermo_busca%253D5",
            "a%u003Btermo_busca=5",
            "a%EF%BC%9Btermo_busca=5",
            "a%CD%BEtermo_busca=5",
            "a\u{FF1B}termo_busca",
            "a%3Ftermo_busca=5",
            "a%EF%BC%9Ftermo_busca=5",
            "a%23x&termo_busca=5",
            "a%26termo_busca",
            "a&termo.busca=5",
            "a;te%72mo_busca=5",
            "a;term%C5%91_busca=5",
            "a%C0%BBtermo_busca=5",
            "%ff",
            "a%zz",
            "a%",
            "%C2%3Btermo_busca=1",
            "a;%ff=1",
        ] {
            assert!(is_found(segment), "{segment}");
        }
        for segment in [
            "",
            "a",
            "termo_busca",
            "termo_busca=5",
            "a;x=termo_busca",
            "a%3Bx",
            "a;",
            "a&b",
            "a%20b",
            "caf%C3%A9",
            "a,termo_busca",
            "%E6%97%A5%E6%9C%AC",
            "100%25",
        ] {
            assert!(!is_found(segment), "{segment}");
        }
    }

    #[test]
    fn takes_names_for_one_that_differ_in_case_alone() {
        for (one, other) in
            [("Cpf", "cPF"), ("č", "Č"), ("\u{13A0}", "\u{AB70}"), ("ÿx", "ŸX"), ("k", "\u{212A}")]
        {
            assert_eq!(caseless(one), caseless(other));
        }
        for (one, other) in [("a", "b"), ("č", "cc"), ("日", "本"), ("é", "e")] {
            assert_ne!(caseless(one), caseless(other));
        }
    }

    #[test]
    fn compares_nested_names_by_their_parts() {
        for raw in [
            "filter[id]",
            "filter%5Bid%5D",
            "filter.id",
            "filter[id][]",
            "filter",
            "filter[id",
            "Filter[ID]",
            "filter_id",
            "filter[id]x",
            "filter[][id]",
        ] {
            assert!(spells(raw, "filter[id]"), "{raw}");
        }
        for raw in ["filter[name]", "filters", "id", "filterid"] {
            assert!(!spells(raw, "filter[id]"), "{raw}");
        }
    }
}
