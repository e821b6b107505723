//! Traces of calls (W3C Trace Context).

use super::Headers;

/// The header field of a trace.
pub const TRACEPARENT: &str = "traceparent";

/// The trace that a call belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace<'a> {
    id: &'a str,
    is_sampled: bool,
}

impl<'a> Trace<'a> {
    /// A new, unsampled trace. `id` is 32 hexadecimal digits.
    #[must_use]
    pub const fn new(id: &'a str) -> Self {
        Self { id, is_sampled: false }
    }

    /// The trace in a request's `traceparent`; `None` where the field is invalid, or not the only
    /// one.
    #[must_use]
    pub fn read(headers: &Headers<'a>) -> Option<Self> {
        let mut values = headers.iter().filter(|(name, _)| *name == TRACEPARENT).map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() { None } else { Self::parse(value) }
    }

    /// Reads a field value (§3.2.2, and §3.2.4 for later versions).
    fn parse(value: &'a str) -> Option<Self> {
        let mut parts = value.splitn(5, '-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let has_sound_end = match parts.next() {
            None => true,
            // The runtime joins several fields of this name by commas.
            Some(more) => version != "00" && !more.contains(','),
        };
        let is_sound = has_sound_end
            && is_hex(version, 2)
            && version != "ff"
            && is_hex(id, 32)
            && !is_zero(id)
            && is_hex(parent, 16)
            && !is_zero(parent)
            && is_hex(flags, 2);
        let flags = u8::from_str_radix(flags, 16).ok().filter(|_| is_sound)?;
        Some(Self { id, is_sampled: flags & 1 == 1 })
    }

    /// The trace's id: 32 hexadecimal digits.
    #[must_use]
    pub const fn id(self) -> &'a str {
        self.id
    }

    /// The same trace, unsampled.
    #[must_use]
    pub const fn unsampled(self) -> Self {
        Self::new(self.id)
    }

    /// The value of `traceparent`, in parts, for a request of the call `request_id`, 32 hexadecimal
    /// digits: the first half is the parent id of the first request, the second half that of the
    /// replay.
    #[must_use]
    pub fn traceparent(self, request_id: &'a str, is_replay: bool) -> [&'a str; 5] {
        let (first, second) = request_id.split_at_checked(16).unwrap_or_default();
        let parent = if is_replay { second } else { first };
        let end = if self.is_sampled { "-01" } else { "-00" };
        // An id of zeros is invalid.
        let id = if is_zero(self.id) { "00000000000000000000000000000001" } else { self.id };
        ["00-", id, "-", if is_zero(parent) { "0000000000000001" } else { parent }, end]
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|b| b == b'0')
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";
    const REQUEST: &str = "00112233445566778899aabbccddeeff";

    fn read(lines: &str) -> Option<(&str, bool)> {
        Trace::read(&Headers::new(lines)).map(|trace| (trace.id, trace.is_sampled))
    }

    #[test]
    fn reads_what_the_standard_allows() {
        for (version, flags, sampled) in [
            ("00", "00", false),
            ("00", "01", true),
            ("00", "ff", true),
            ("00", "02", false),
            ("fe", "03", true),
        ] {
            let lines = format!("accept:*/*\ntraceparent:{version}-{ID}-{PARENT}-{flags}");
            assert_eq!(read(&lines), Some((ID, sampled)), "{lines}");
        }
        for end in ["-", "-x", "-what-comes-later"] {
            let lines = format!("traceparent:01-{ID}-{PARENT}-01{end}");
            assert_eq!(read(&lines), Some((ID, true)), "{lines}");
        }
    }

    #[test]
    fn reads_nothing_else() {
        let sound = format!("00-{ID}-{PARENT}-01");
        let changed = |from: &str, to: &str| sound.replace(from, to);
        let zeros = |count: usize| "0".repeat(count);
        let mut wrong = vec![
            String::new(),
            "00".to_owned(),
            "-".repeat(55),
            changed("00-0af", "ff-0af"),
            changed("00-0af", "0-0af"),
            changed("00-0af", "000-0af"),
            changed("00-0af", "0x-0af"),
            changed("00-0af", "0A-0af"),
            changed(ID, &zeros(32)),
            changed(PARENT, &zeros(16)),
            changed(ID, &ID.to_uppercase()),
            changed(PARENT, &PARENT.to_uppercase()),
            changed(ID, &ID[1..]),
            changed(PARENT, &PARENT[1..]),
            changed("-01", "-1"),
            changed("-01", "-001"),
            changed("-01", "-0A"),
            changed("-01", "-+1"),
            changed("-01", ""),
            changed("-", "_"),
            format!("{sound}-"),
            format!("{sound}-x"),
            format!("{sound} "),
            format!(" {sound}"),
            format!("{sound}, {sound}"),
            format!("{}, {sound}", changed("00-0af", "01-0af")),
            format!("{}-x, {sound}", changed("00-0af", "01-0af")),
            format!("{}é", &sound[..53]),
        ];
        // No character may stand in another's place.
        wrong.extend((0..sound.len()).map(|at| format!("{}g{}", &sound[..at], &sound[at + 1..])));
        for value in wrong {
            assert_eq!(read(&format!("traceparent:{value}")), None, "{value:?}");
        }
        assert_eq!(read(&format!("traceparent:{sound}\ntraceparent:{sound}")), None);
        assert_eq!(read(&format!("x-traceparent:{sound}")), None);
    }

    #[test]
    fn writes_what_it_would_read() {
        let sampled = Trace { id: ID, is_sampled: true };
        for (trace, is_replay, expected) in [
            (sampled, false, format!("00-{ID}-0011223344556677-01")),
            (sampled, true, format!("00-{ID}-8899aabbccddeeff-01")),
            (sampled.unsampled(), false, format!("00-{ID}-0011223344556677-00")),
            (Trace::new(REQUEST), true, format!("00-{REQUEST}-8899aabbccddeeff-00")),
        ] {
            let value = trace.traceparent(REQUEST, is_replay).concat();
            assert_eq!(value, expected);
            assert_eq!(Trace::parse(&value), Some(trace));
        }
    }

    #[test]
    fn writes_no_id_of_zeros() {
        let zeros = "0".repeat(32);
        for is_replay in [false, true] {
            let value = Trace::new(&zeros).traceparent(&zeros, is_replay).concat();
            assert!(Trace::parse(&value).is_some(), "{value}");
        }
    }
}
