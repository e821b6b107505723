//! The readings of a part of an address by upstream servers: decoded repeatedly, decoded leniently,
//! normalised.

/// The largest number of decoding rounds; no client encodes a text more often.
const MOST_ROUNDS: usize = 8;

/// A placeholder for a byte that is not UTF-8, which some servers drop.
pub(super) const LEFT_OUT: u8 = 0xFF;

/// The lengths of `%XX` and of `%uXXXX`.
const SHORT: usize = 3;
const LONG: usize = 6;

/// A text that servers may read differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ambiguous;

/// The readings of `text`: itself and the result of each decoding round, all normalised, until
/// nothing is left to decode.
///
/// # Errors
/// [`Ambiguous`] where a reading has an overlong form of a character, or after too many rounds.
pub(super) fn readings(text: &[u8]) -> Result<Vec<Vec<u8>>, Ambiguous> {
    let mut rounds = vec![normalised(text)?];
    while let Some(last) = rounds.last().filter(|last| last.contains(&b'%')) {
        let next = normalised(&decoded(last))?;
        if next == *last {
            break;
        }
        if rounds.len() > MOST_ROUNDS {
            return Err(Ambiguous);
        }
        rounds.push(next);
    }
    Ok(rounds)
}

/// One round of percent-decoding, including the non-standard `%uXXXX` of some servers.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        let Some((c, length)) = escape(rest) else {
            out.push(*first);
            rest = behind;
            continue;
        };
        match u8::try_from(c) {
            // A byte of UTF-8 or of another encoding.
            Ok(byte) if length == SHORT => out.push(byte),
            _ => {
                let c = char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// The character code and the length of the escape at the start of `text`.
fn escape(text: &[u8]) -> Option<(u32, usize)> {
    match *text {
        [b'%', b'u' | b'U', a, b, c, d, ..] => number(&[a, b, c, d]).map(|unit| (unit, LONG)),
        [b'%', a, b, ..] => number(&[a, b]).map(|byte| (byte, SHORT)),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// Maps characters to the ASCII that a normalising server reads (NFKC, or the best fit of a code
/// page). Other characters are unchanged; a byte that is not UTF-8 becomes [`LEFT_OUT`].
fn normalised(bytes: &[u8]) -> Result<Vec<u8>, Ambiguous> {
    if bytes.is_ascii() {
        return Ok(bytes.to_vec());
    }
    if bytes.windows(2).any(is_overlong) {
        return Err(Ambiguous);
    }
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii() || !is_special(c) {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.extend_from_slice(ascii(c).as_bytes());
            }
        }
        out.extend(chunk.invalid().iter().map(|_| LEFT_OUT));
    }
    Ok(out)
}

/// Whether two bytes begin an overlong UTF-8 form of an ASCII character, which lenient decoders
/// accept as that character (RFC 3629 §10).
fn is_overlong(pair: &[u8]) -> bool {
    matches!(pair, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F])
}

/// Whether normalisation maps or drops the character.
const fn is_special(c: char) -> bool {
    is_ignorable(c) || !ascii(c).is_empty()
}

/// The ASCII that `c` normalises to, for characters that matter in paths and parameter names; else
/// empty.
const fn ascii(c: char) -> &'static str {
    match c {
        '\u{2024}' | '\u{FE52}' | '\u{FF0E}' | '\u{FF61}' | '\u{3002}' => ".",
        '\u{2025}' | '\u{FE30}' => "..",
        '\u{2026}' | '\u{FE19}' => "...",
        '\u{2044}' | '\u{2215}' | '\u{29F8}' | '\u{FF0F}' => "/",
        '\u{2216}' | '\u{29F5}' | '\u{29F9}' | '\u{FE68}' | '\u{FF3C}' => "\\",
        '\u{FF05}' | '\u{FE6A}' => "%",
        '\u{037E}' | '\u{FE14}' | '\u{FE54}' | '\u{FF1B}' => ";",
        '\u{FE16}' | '\u{FE56}' | '\u{FF1F}' | '\u{2047}' | '\u{2048}' => "?",
        '\u{FE5F}' | '\u{FF03}' => "#",
        '\u{FE33}' | '\u{FE34}' | '\u{FE4D}' | '\u{FE4E}' | '\u{FE4F}' | '\u{FF3F}' => "_",
        '\u{FF3B}' => "[",
        '\u{FF3D}' => "]",
        '\u{FF10}'..='\u{FF19}' | '\u{FF21}'..='\u{FF3A}' | '\u{FF41}'..='\u{FF5A}' => wide(c),
        c if is_blank(c) => " ",
        _ => "",
    }
}

/// The ASCII of a full-width letter or digit.
const fn wide(c: char) -> &'static str {
    const ASCII: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let at = match c {
        '\u{FF10}'..='\u{FF19}' => c as usize - 0xFF10,
        '\u{FF21}'..='\u{FF3A}' => c as usize - 0xFF21 + 10,
        _ => (c as usize).saturating_sub(0xFF41) + 36,
    };
    match ASCII.split_at_checked(at) {
        Some((_, rest)) => match rest.split_at_checked(1) {
            Some((letter, _)) => letter,
            None => "",
        },
        None => "",
    }
}

const fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{A0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200A}' | '\u{2028}' | '\u{2029}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
    )
}

/// Zero-width characters, which some normalisations drop.
const fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFD}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    fn last(text: &str) -> Result<String, Ambiguous> {
        let last = readings(text.as_bytes())?.pop().unwrap();
        Ok(String::from_utf8_lossy(&last).into_owned())
    }

    #[test]
    fn decodes_until_nothing_is_left() {
        for (text, read) in [
            ("a", "a"),
            ("%2525", "%"),
            ("%%32%65", "."),
            ("%2%65", "."),
            ("%u002e%U002F", "./"),
            ("%uff0e", "."),
            ("%25u002e", "."),
            ("%zz%", "%zz%"),
            ("%C3%A9", "é"),
            ("%e9", "\u{FFFD}"),
            ("%ud800.", "."),
        ] {
            assert_eq!(last(text).as_deref(), Ok(read), "{text}");
        }
        assert_eq!(readings(b"%2525").unwrap(), [&b"%2525"[..], b"%25", b"%"]);
        let often = |count: usize| format!("%{}41", "25".repeat(count));
        assert_eq!(last(&often(7)).as_deref(), Ok("A"));
        assert_eq!(last(&often(9)), Err(Ambiguous));
    }

    #[test]
    fn normalises_what_stands_for_ascii() {
        for (text, read) in [
            ("\u{FF0E}\u{2024}", ".."),
            ("\u{2025}", ".."),
            ("\u{FF0F}\u{FF3C}", "/\\"),
            ("\u{FF05}\u{FF12}\u{FF45}", "."),
            (".\u{200B}.\u{FEFF}", ".."),
            ("..\u{A0}\u{3000}", "..  "),
            ("a\u{85}", "a "),
            ("\u{FF41}\u{FF3F}\u{FF3A}", "a_Z"),
            ("é日本", "é日本"),
        ] {
            assert_eq!(last(text).as_deref(), Ok(read), "{text}");
        }
        for overlong in ["%c0%ae", "%C1%9C", "%e0%80%ae", "%f0%80%80%ae", "%25c0%25ae"] {
            assert_eq!(last(overlong), Err(Ambiguous), "{overlong}");
        }
    }
}
