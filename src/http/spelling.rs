//! The spellings of a parameter's name that upstream servers take for one another.
//!
//! PHP writes `.`, blanks and an unclosed `[` as `_` and skips leading blanks; Rack, qs, Spring and
//! ASP.NET read what stands before a `[` or a `.` as the parameter, and drop brackets around it;
//! ASP.NET ignores case; some servers end a name at a NUL character, or decode before they split.

use super::reading::{Ambiguous, readings};

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

/// Whether a server could take one folded name for the other. Names that nest are compared by their
/// parts: `filter` and `filter[id]` conflict, `filter[id]` and `filter[name]` do not.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut parts = parts(one).zip(parts(other)).peekable();
    let nests = parts.peek().is_some() && parts.all(|(one, other)| one == other);
    nests
        || is_flat(one, other)
        || is_base(one, other)
        || is_base(other, one)
        || is_flat(trimmed(one, is_mark), trimmed(other, is_mark))
}

/// Whether the first part of `nested` between brackets is `name`, as PHP reads it: that part alone
/// has its marks written as `_`.
fn is_base(nested: &[u8], name: &[u8]) -> bool {
    let is_bracket = |b: &u8| matches!(*b, b'[' | b']');
    let base = nested.split(is_bracket).find(|part| !part.is_empty()).unwrap_or_default();
    !name.iter().any(is_bracket) && is_flat(base, name)
}

/// Whether a server that reads what nests names as `_` takes one for the other.
fn is_flat(one: &[u8], other: &[u8]) -> bool {
    let flat = |b: &u8| if is_mark(b) { b'_' } else { *b };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| flat(one) == flat(other))
}

fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(is_mark).filter(|part| !part.is_empty())
}

/// `name`, decoded already, without the differences that servers ignore; the characters that nest
/// names remain.
pub(super) fn folded(name: &str) -> Vec<u8> {
    fold(name.as_bytes())
}

/// `c` in lower case, for the letters of western scripts and those that fold to ASCII (Unicode
/// `CaseFolding.txt`).
pub fn lower_case(c: char) -> char {
    let moved = |by| char::from_u32(u32::from(c) + by).unwrap_or(c);
    match c {
        '\u{212A}' => 'k',
        '\u{17F}' => 's',
        '\u{130}' | '\u{131}' => 'i',
        '\u{D7}' => c,
        '\u{C0}'..='\u{DE}' | '\u{391}'..='\u{3A9}' | '\u{410}'..='\u{42F}' => moved(0x20),
        '\u{400}'..='\u{40F}' => moved(0x50),
        _ => c.to_ascii_lowercase(),
    }
}

/// The folded forms of a name as sent.
fn forms(raw: &str) -> Result<Vec<Vec<u8>>, Ambiguous> {
    let mut forms = Vec::new();
    for reading in readings(raw.as_bytes())? {
        for piece in reading.split(|b| matches!(b, b'&' | b';')) {
            let name = piece.split(|b| *b == b'=').next().unwrap_or_default();
            let name = trimmed(name, u8::is_ascii_control);
            forms.push(fold(name));
            if name.contains(&0) {
                forms.push(fold(name.split(|b| *b == 0).next().unwrap_or_default()));
            }
        }
    }
    Ok(forms)
}

fn fold(name: &[u8]) -> Vec<u8> {
    // The letters that U+00E0 to U+00FF have without their accents.
    const BASE: &[u8; 32] = b"aaaaaaaceeeeiiiidnooooo/ouuuuyty";
    let mut out = Vec::with_capacity(name.len());
    // Some servers drop bytes that are not UTF-8.
    for c in name.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        match lower_case(c) {
            '\u{300}'..='\u{36F}' => {}
            c @ '\u{E0}'..='\u{FF}' => out.extend(BASE.get((c as usize).wrapping_sub(0xE0))),
            ' ' | '+' | '\t' | '\n' | '\r' | '\u{C}' => out.push(b' '),
            '-' => out.push(b'_'),
            c if c.is_ascii_control() => {}
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
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
        is_read_as(raw, |form| is_same(form, &folded(name)))
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
        ] {
            assert!(!spells(raw, "termo_busca"), "{raw}");
        }
        assert!(spells("K", "\u{212A}") && spells("%e2%84%aa", "k") && spells("C%C3%93DIGO", "código"));
        assert!(spells("%D0%98", "и") && spells("%CE%A9", "ω"));
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
