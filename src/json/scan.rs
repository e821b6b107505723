//! The words of a JSON text (RFC 8259).

use serde_json::Number;

/// Whether `text` is JSON, however deep it nests. Numbers may be out of range, and surrogates lone.
#[must_use]
pub fn is_json(text: &str) -> bool {
    Scanner::new(text).skip().is_some()
}

/// A text, and how far it is read.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> Option<&'a str> {
        self.text.get(self.at..)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += 1;
        byte
    }

    /// The next byte that is no blank, unread.
    #[inline(never)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    /// Reads the byte that is next after blanks, if it is `byte`.
    pub(super) fn accept(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Reads `word`.
    pub(super) fn word(&mut self, word: &str) -> Option<()> {
        self.rest()?.starts_with(word).then(|| self.at += word.len())
    }

    /// The notation of a number, and whether it is that of an integer.
    fn notation(&mut self) -> Option<(&'a str, bool)> {
        let begin = self.at;
        let _ = self.word("-");
        let before = self.at;
        let has_zero = self.word("0").is_some();
        if !has_zero {
            self.digits()?;
        }
        debug_assert!(self.at > before);
        let end = self.at;
        if self.word(".").is_some() {
            self.digits()?;
        }
        if self.word("e").or_else(|| self.word("E")).is_some() {
            let _ = self.word("+").or_else(|| self.word("-"));
            self.digits()?;
        }
        Some((self.text.get(begin..self.at)?, self.at == end))
    }

    /// Reads one digit or more.
    fn digits(&mut self) -> Option<()> {
        let rest = self.rest()?;
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        self.at += length;
        (length > 0).then_some(())
    }

    /// A number. It is a float where it has a fraction or an exponent, or is too large for an integer.
    pub(super) fn number(&mut self) -> Option<Number> {
        let (text, is_integer) = self.notation()?;
        // Negative zero is a float.
        let integer = match text.strip_prefix('-') {
            _ if !is_integer || text == "-0" => None,
            Some(_) => text.parse().ok().map(|number: i64| number.into()),
            None => text.parse().ok().map(|number: u64| number.into()),
        };
        integer.or_else(|| Number::from_f64(text.parse().ok()?))
    }

    /// The length of what follows in a string up to a quotation mark or a backslash, which is read, too.
    fn run(&mut self) -> Option<(&'a str, u8)> {
        let rest = self.rest()?;
        let length = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        self.at += length;
        Some((rest.get(..length)?, self.byte()?))
    }

    /// The string whose quotation mark is read.
    pub(super) fn string(&mut self) -> Option<String> {
        let mut string = String::new();
        loop {
            let (run, end) = self.run()?;
            string.push_str(run);
            match end {
                b'"' => return Some(string),
                b'\\' => string.push(self.escaped()?),
                _ => return None,
            }
        }
    }

    /// The character whose backslash is read.
    fn escaped(&mut self) -> Option<char> {
        let mut unit = self.unit()?;
        if let 0xD800..0xDC00 = unit {
            self.word("\\")?;
            let low = self.unit()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
            unit = 0x1_0000 + ((unit - 0xD800) << 10) + low;
        }
        char::from_u32(unit)
    }

    /// The code unit whose backslash is read: a surrogate stands in hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        Some(match self.byte()? {
            letter @ (b'"' | b'\\' | b'/') => letter.into(),
            b'b' => 0x8,
            b'f' => 0xC,
            b'n' => 0xA,
            b'r' => 0xD,
            b't' => 0x9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                return digits.chars().try_fold(0, |unit, digit| Some(unit << 4 | digit.to_digit(16)?));
            }
            _ => return None,
        })
    }

    /// Reads the string whose quotation mark is read.
    fn skip_string(&mut self) -> Option<()> {
        loop {
            match self.run()?.1 {
                b'"' => return Some(()),
                b'\\' => drop(self.unit()?),
                _ => return None,
            }
        }
    }

    fn skip_name(&mut self) -> Option<()> {
        self.accept(b'"')?;
        self.skip_string()?;
        self.accept(b':')
    }

    /// Reads a text to its end.
    fn skip(&mut self) -> Option<()> {
        // What closes each open array and object.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    self.skip_string()?;
                }
                b'[' => {
                    self.at += 1;
                    if self.accept(b']').is_none() {
                        open.push(b']');
                        continue;
                    }
                }
                b'{' => {
                    self.at += 1;
                    if self.accept(b'}').is_none() {
                        open.push(b'}');
                        self.skip_name()?;
                        continue;
                    }
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => drop(self.notation()?),
            }
            loop {
                let Some(end) = open.last().copied() else { return self.peek().is_none().then_some(()) };
                match self.next()? {
                    b',' => break,
                    byte if byte == end => drop(open.pop()),
                    _ => return None,
                }
            }
            if open.last() == Some(&b'}') {
                self.skip_name()?;
            }
        }
    }
}
