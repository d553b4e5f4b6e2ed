//! `CDN-Cache-Control` (RFC 9213): cache directives for this node alone, as a dictionary of
//! structured fields (RFC 9651 §3.2), which is read strictly or not at all.

use super::cache_control::{CacheControl, DELTA_MAX_S};

/// What a member of a dictionary is, as far as directives go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Flag(bool),
    Integer(i64),
    Other,
}

/// The directives in the lines of the field. `None`: absent, empty or malformed; `Cache-Control` and
/// `Expires` then decide (RFC 9213 §2.2).
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<CacheControl> {
    let lines: Vec<&[u8]> = lines.into_iter().collect();
    let text = lines.join(&b","[..]);
    let mut from = Reader(text.trim_ascii());
    let mut control = CacheControl::default();
    from.peek()?;
    loop {
        let key = from.key()?;
        let value = match from.take(b'=') {
            true => from.value()?,
            false => Value::Flag(true),
        };
        from.parameters()?;
        set(&mut control, key, value);
        from.space();
        if from.0.is_empty() {
            return Some(control);
        }
        if !from.take(b',') {
            return None;
        }
        from.space();
    }
}

/// The last member of a name holds (RFC 9651 §3.2); one of another type says nothing.
fn set(control: &mut CacheControl, key: &[u8], value: Value) {
    let is_set = value != Value::Flag(false);
    match key {
        b"no-store" => control.no_store = is_set,
        b"no-cache" => control.no_cache = is_set,
        b"private" => control.private = is_set,
        b"public" => control.public = is_set,
        b"must-revalidate" => control.must_revalidate = is_set,
        b"proxy-revalidate" => control.proxy_revalidate = is_set,
        b"must-understand" => control.must_understand = is_set,
        b"immutable" => control.immutable = is_set,
        _ => {}
    }
    let Value::Integer(seconds) = value else { return };
    let seconds = Some(u64::try_from(seconds).unwrap_or(0).min(DELTA_MAX_S));
    match key {
        b"max-age" => control.max_age = seconds,
        b"s-maxage" => control.s_maxage = seconds,
        b"stale-while-revalidate" => control.stale_while_revalidate = seconds,
        b"stale-if-error" => control.stale_if_error = seconds,
        _ => {}
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    fn while_in(&mut self, belongs: impl Fn(&u8) -> bool) -> &'a [u8] {
        let len = self.0.iter().take_while(|byte| belongs(byte)).count();
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn space(&mut self) {
        self.while_in(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// RFC 9651 §4.2.3.3
    fn key(&mut self) -> Option<&'a [u8]> {
        self.peek().filter(|first| first.is_ascii_lowercase() || *first == b'*')?;
        Some(self.while_in(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte)
        }))
    }

    /// An item or an inner list, without its parameters.
    fn value(&mut self) -> Option<Value> {
        if !self.take(b'(') {
            return self.item();
        }
        loop {
            self.while_in(|byte| *byte == b' ');
            if self.take(b')') {
                return Some(Value::Other);
            }
            self.item()?;
            self.parameters()?;
            self.peek().filter(|next| matches!(next, b' ' | b')'))?;
        }
    }

    /// RFC 9651 §4.2.3.2
    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.while_in(|byte| *byte == b' ');
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    /// RFC 9651 §4.2.3.1
    fn item(&mut self) -> Option<Value> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => {
                self.take(b'?');
                let flag = self.take(b'1');
                (flag || self.take(b'0')).then_some(Value::Flag(flag))
            }
            b':' => {
                self.take(b':');
                self.while_in(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
                self.take(b':').then_some(Value::Other)
            }
            b'@' => {
                self.take(b'@');
                matches!(self.number()?, Value::Integer(_)).then_some(Value::Other)
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                self.while_in(|byte| {
                    super::token::is_token_byte(*byte) || matches!(byte, b':' | b'/')
                });
                Some(Value::Other)
            }
            _ => None,
        }
    }

    /// RFC 9651 §4.2.4
    fn number(&mut self) -> Option<Value> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.while_in(u8::is_ascii_digit);
        if whole.is_empty() || whole.len() > 15 {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.while_in(u8::is_ascii_digit);
            let fits = whole.len() <= 12 && (1..=3).contains(&fraction.len());
            return fits.then_some(Value::Other);
        }
        let number = super::token::decimal(whole)?;
        Some(Value::Integer(sign * i64::try_from(number).ok()?))
    }

    /// RFC 9651 §4.2.5
    fn string(&mut self) -> Option<Value> {
        self.take(b'"');
        loop {
            self.while_in(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
            if self.take(b'"') {
                return Some(Value::Other);
            }
            if !(self.take(b'\\') && (self.take(b'"') || self.take(b'\\'))) {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn max_age(seconds: u64) -> Option<CacheControl> {
        Some(CacheControl { max_age: Some(seconds), ..CacheControl::default() })
    }

    #[test]
    fn table() {
        let none = CacheControl::default();
        for (value, expected) in [
            // RFC 9213 §2.1
            ("max-age=60", max_age(60)),
            ("max-age=60;x=1, foo;bar", max_age(60)),
            ("a=(1 2;b \"c\"), max-age=60", max_age(60)),
            ("a=:aGk=:, b=@5, c=1.5, d=t/x, max-age=60", max_age(60)),
            ("max-age=1|max-age=60", max_age(60)),
            ("max-age=99999999999", max_age(DELTA_MAX_S)),
            ("max-age=-1", max_age(0)),
            ("no-store, private", Some(CacheControl { no_store: true, private: true, ..none })),
            ("no-store=?0", Some(none)),
            ("private=\"a\"", Some(CacheControl { private: true, ..none })),
            // A wrong type says nothing.
            ("max-age=\"60\"", Some(none)),
            ("max-age=6.5", Some(none)),
            // §2.2: what is malformed or empty is as if it were absent.
            ("", None),
            (" ", None),
            ("max-age =60", None),
            ("max-age= 60", None),
            ("Max-Age=60", None),
            ("max-age=60, &&", None),
            ("max-age=60,", None),
            ("max-age=60 foo", None),
            ("max-age=9999999999999999", None),
            ("a=\"x", None),
            ("a=(1", None),
            ("a=(1\"x\")", None),
        ] {
            assert_eq!(parse(value.split('|').map(str::as_bytes)), expected, "{value}");
        }
        assert_eq!(parse([]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            value in prop_oneof![
                any::<Vec<u8>>(),
                "[a=;,()\"? @:.0-9-]{0,30}".prop_map(String::into_bytes),
            ],
        ) {
            let _ = parse([&value[..]]);
        }
    }
}
