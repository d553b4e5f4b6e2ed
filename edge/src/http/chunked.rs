//! Chunked bodies (RFC 9112 §7.1), sans-io: bytes in, where the data lies out.

use std::ops::Range;

use super::token::{is_field_byte, is_token_byte};

/// Hexadecimal digits of a chunk's size: as many as a `u64` has.
const SIZE_DIGITS_MAX: u8 = 16;
/// Bytes of chunk extensions in a whole body; nobody needs any.
const EXTENSIONS_MAX_BYTES: u32 = 4 * 1024;
/// Bytes of trailer fields.
const TRAILERS_MAX_BYTES: u32 = 8 * 1024;

/// The last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Why a chunked body cannot be read on; where the next request begins is then not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// No size, or a byte in it that is no hexadecimal digit.
    #[error("malformed chunk size; send hexadecimal digits")]
    Size,
    /// A size beyond 64 bits.
    #[error("chunk size longer than {SIZE_DIGITS_MAX} digits")]
    SizeTooLarge,
    /// CR or LF that is not part of CRLF, or none where a chunk's data ended.
    #[error("chunk line does not end in CRLF")]
    LineBreak,
    /// A control byte in an extension, or something before it.
    #[error("malformed chunk extension")]
    Extension,
    /// More extensions than anybody needs.
    #[error("chunk extensions longer than {EXTENSIONS_MAX_BYTES} bytes")]
    ExtensionsTooLarge,
    /// A trailer line that is no field.
    #[error("malformed trailer field")]
    Trailer,
    /// More trailers than anybody needs.
    #[error("trailers longer than {TRAILERS_MAX_BYTES} bytes")]
    TrailersTooLarge,
}

/// What [`Decoder::decode`] made of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes taken; what follows them was not looked at.
    pub consumed: usize,
    /// Where in the bytes the data lies; may be empty.
    pub data: Range<usize>,
    /// Whether the body, trailers and all, has ended behind `consumed`.
    pub done: bool,
}

/// Reads one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Of the chunk: its size while that is read, then what is left of it.
    remaining: u64,
    size_digits: u8,
    extension_bytes: u32,
    trailer_bytes: u32,
    /// The trailer section, if it is wanted.
    trailers: Option<Vec<u8>>,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// White space between size and extension (RFC 9112 §7.1.1).
    SizeSpace,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    EndLineFeed,
    Done,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            state: State::Size,
            remaining: 0,
            size_digits: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailers: None,
        }
    }
}

impl Decoder {
    /// Takes bytes up to the end of the first run of data, the end of the body, or all of them:
    /// to be called until all are consumed or it is done. Always takes at least one byte if there
    /// is one and the body has not ended.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, ChunkedError> {
        let mut consumed = 0;
        while self.state != State::Done && consumed < bytes.len() {
            if self.state == State::Data {
                let left = bytes.len() - consumed;
                let len = usize::try_from(self.remaining).map_or(left, |size| size.min(left));
                self.remaining -= len as u64;
                if self.remaining == 0 {
                    self.state = State::DataReturn;
                }
                let data = consumed..consumed + len;
                return Ok(Decoded { consumed: data.end, data, done: false });
            }
            let trailing = self.is_trailing();
            self.state = self.step(bytes[consumed])?;
            if trailing && let Some(trailers) = &mut self.trailers {
                trailers.push(bytes[consumed]);
            }
            consumed += 1;
        }
        let done = self.state == State::Done;
        Ok(Decoded { consumed, data: consumed..consumed, done })
    }

    /// One that keeps the trailer section for [`Decoder::take_trailers`].
    pub fn keeping_trailers() -> Decoder {
        Decoder { trailers: Some(Vec::new()), ..Decoder::default() }
    }

    /// The trailer fields of a body that has ended, whole lines each with its CRLF.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        let mut lines = self.trailers.take().unwrap_or_default();
        // The empty line that ended them.
        lines.truncate(lines.len().saturating_sub(2));
        lines
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the next byte is of the trailer section.
    fn is_trailing(&self) -> bool {
        use State::{EndLineFeed, TrailerLineFeed, TrailerName, TrailerStart, TrailerValue};
        matches!(
            self.state,
            TrailerStart | TrailerName | TrailerValue | TrailerLineFeed | EndLineFeed
        )
    }

    /// One byte that is not data.
    fn step(&mut self, byte: u8) -> Result<State, ChunkedError> {
        match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => self.size_digit(byte),
            (State::Size, _) if self.size_digits == 0 => Err(ChunkedError::Size),
            (State::Size | State::SizeSpace, b';') | (State::Extension, _) => self.extension(byte),
            (State::Size | State::SizeSpace, b' ' | b'\t') => {
                self.extension(byte).map(|_| State::SizeSpace)
            }
            (State::Size, b'\r') => Ok(State::SizeLineFeed),
            (State::Size, b'\n') => Err(ChunkedError::LineBreak),
            (State::Size, _) => Err(ChunkedError::Size),
            (State::SizeSpace, _) => Err(ChunkedError::Extension),
            (State::SizeLineFeed, b'\n') => Ok(self.begin_chunk()),
            (State::DataReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(State::Size),
            (State::EndLineFeed, b'\n') => Ok(State::Done),
            (
                State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLineFeed,
                _,
            ) => self.trailer(byte),
            _ => Err(ChunkedError::LineBreak),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, ChunkedError> {
        if self.size_digits == SIZE_DIGITS_MAX {
            return Err(ChunkedError::SizeTooLarge);
        }
        let digit = char::from(byte).to_digit(16).ok_or(ChunkedError::Size)?;
        self.size_digits += 1;
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn begin_chunk(&mut self) -> State {
        self.size_digits = 0;
        if self.remaining == 0 { State::TrailerStart } else { State::Data }
    }

    /// Extensions mean nothing here; a bare LF in one is how requests are smuggled.
    fn extension(&mut self, byte: u8) -> Result<State, ChunkedError> {
        self.extension_bytes += 1;
        match byte {
            b'\r' => Ok(State::SizeLineFeed),
            b'\n' => Err(ChunkedError::LineBreak),
            _ if self.extension_bytes > EXTENSIONS_MAX_BYTES => {
                Err(ChunkedError::ExtensionsTooLarge)
            }
            _ if is_field_byte(byte) => Ok(State::Extension),
            _ => Err(ChunkedError::Extension),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkedError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILERS_MAX_BYTES {
            return Err(ChunkedError::TrailersTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLineFeed),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLineFeed),
            (State::TrailerLineFeed, b'\n') => Ok(State::TrailerStart),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerLineFeed, _) | (_, b'\r' | b'\n') => Err(ChunkedError::LineBreak),
            (State::TrailerValue, _) if is_field_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                Ok(State::TrailerName)
            }
            _ => Err(ChunkedError::Trailer),
        }
    }
}

/// Appends the line that begins a chunk of `size` bytes; CRLF follows its data. A size of zero ends
/// the body, so it is not written: [`LAST_CHUNK`] does that.
pub fn write_size(buffer: &mut Vec<u8>, size: u64) {
    if size == 0 {
        return;
    }
    let digits = 16 - size.leading_zeros() / 4;
    for place in (0..digits).rev() {
        let digit = (size >> (place * 4) & 0xf) as usize;
        buffer.push(b"0123456789abcdef"[digit]);
    }
    buffer.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data and how many bytes the body took; `None`: it has not ended.
    fn decode(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, ChunkedError> {
        let (mut decoder, mut data, mut taken) = (Decoder::default(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !decoder.is_done() {
                let decoded = decoder.decode(rest)?;
                assert!(decoded.consumed > 0 && decoded.data.end <= decoded.consumed);
                assert_eq!(decoded.done, decoder.is_done());
                data.extend_from_slice(&rest[decoded.data]);
                rest = &rest[decoded.consumed..];
                taken += decoded.consumed;
            }
        }
        Ok(decoder.is_done().then_some((data, taken)))
    }

    #[test]
    fn bodies_are_read_strictly() {
        use ChunkedError::*;
        let ok = |data: &str| Ok(Some(data.to_owned()));
        for (body, expected) in [
            // RFC 9112 §7.1
            ("0\r\n\r\n", ok("")),
            ("3\r\nabc\r\n0\r\n\r\n", ok("abc")),
            ("3\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n", ok("abc0123456789")),
            ("0000000000000001\r\na\r\n0\r\n\r\n", ok("a")),
            ("00000000000000001\r\n", Err(SizeTooLarge)),
            ("fffffffffffffffff", Err(SizeTooLarge)),
            ("ffffffffffffffff\r\nabc", Ok(None)),
            ("\r\n", Err(Size)),
            ("-1\r\n", Err(Size)),
            ("+1\r\n", Err(Size)),
            ("0x1\r\n", Err(Size)),
            (" 1\r\n", Err(Size)),
            ("g\r\n", Err(Size)),
            ("1\na", Err(LineBreak)),
            ("1\r\r\na", Err(LineBreak)),
            ("1\r\nab", Err(LineBreak)),
            ("1\r\na\n0\r\n", Err(LineBreak)),
            ("1\r\na\r\r\n", Err(LineBreak)),
            ("1\r\na0\r\n\r\n", Err(LineBreak)),
            // §7.1.1 extensions, white space before them among it
            ("1;a=b;c=\"d\"\r\na\r\n0;e\r\n\r\n", ok("a")),
            ("1 \t; a\r\na\r\n0\r\n\r\n", ok("a")),
            ("1 \r\na", Err(Extension)),
            ("1 2\r\n", Err(Extension)),
            ("1;a\n", Err(LineBreak)),
            ("1;a\rb", Err(LineBreak)),
            ("1;\0\r\n", Err(Extension)),
            // §7.1.2 trailers
            ("0\r\nA: b\r\nC:\r\n\r\n", ok("")),
            ("0\r\n: b\r\n\r\n", Err(Trailer)),
            ("0\r\nA : b\r\n\r\n", Err(Trailer)),
            ("0\r\n A: b\r\n\r\n", Err(Trailer)),
            ("0\r\nA: b\r\n c\r\n\r\n", Err(Trailer)),
            ("0\r\nA\r\n\r\n", Err(LineBreak)),
            ("0\r\nA: b\n\r\n", Err(LineBreak)),
            ("0\r\nA: \x01\r\n\r\n", Err(Trailer)),
            ("0\r\n\n", Err(LineBreak)),
            ("0\r\n\rx", Err(LineBreak)),
            // Not ended
            ("", Ok(None)),
            ("3\r\nab", Ok(None)),
            ("3\r\nabc\r\n0\r\n", Ok(None)),
        ] {
            let got = decode(&[body.as_bytes()])
                .map(|done| done.map(|(data, _)| String::from_utf8(data).unwrap()));
            assert_eq!(got, expected, "{body:?}");
        }
    }

    #[test]
    fn what_is_not_data_is_bounded() {
        let extended = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(len));
        assert!(decode(&[extended(4000).as_bytes()]).is_ok());
        assert_eq!(decode(&[extended(4096).as_bytes()]), Err(ChunkedError::ExtensionsTooLarge));
        let many = "1;xxxxxxx\r\na\r\n".repeat(1000);
        assert_eq!(decode(&[many.as_bytes()]), Err(ChunkedError::ExtensionsTooLarge));
        let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(2000));
        assert_eq!(decode(&[trailers.as_bytes()]), Err(ChunkedError::TrailersTooLarge));
    }

    #[test]
    fn trailers_are_kept_for_who_wants_them() {
        for (body, expected) in
            [("1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\nGET", "A: b\r\nC:\r\n"), ("0\r\n\r\n", "")]
        {
            let mut decoder = Decoder::keeping_trailers();
            let mut rest = body.as_bytes();
            while !decoder.is_done() {
                rest = &rest[decoder.decode(rest).unwrap().consumed..];
            }
            assert_eq!(decoder.take_trailers(), expected.as_bytes());
        }
    }

    #[test]
    fn the_end_of_the_body_is_where_it_is() {
        let body = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        assert_eq!(decode(&[body]), Ok(Some((b"a".to_vec(), 11))));
    }

    fn encode(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            write_size(&mut body, chunk.len() as u64);
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(LAST_CHUNK);
        body
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for size in [1, 0xf, 0x10, 0xabc, u64::MAX] {
            let mut line = Vec::new();
            write_size(&mut line, size);
            assert_eq!(line, format!("{size:x}\r\n").as_bytes());
        }
        let mut line = Vec::new();
        write_size(&mut line, 0);
        assert!(line.is_empty());
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding_however_it_is_split(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let body = encode(&chunks);
            let mut ends: Vec<usize> = cuts.drain(..).map(|cut| cut.index(body.len())).collect();
            ends.sort_unstable();
            ends.push(body.len());
            let mut start = 0;
            let pieces: Vec<&[u8]> = ends
                .into_iter()
                .map(|end| &body[std::mem::replace(&mut start, end)..end])
                .collect();
            prop_assert_eq!(decode(&pieces), Ok(Some((chunks.concat(), body.len()))));
        }

        #[test]
        fn any_bytes_mean_the_same_however_they_are_split(
            body in prop_oneof![any::<Vec<u8>>(), "[0-3]?[\r\n;a: ]{0,40}".prop_map(String::into_bytes)],
        ) {
            let bytewise: Vec<&[u8]> = body.chunks(1).collect();
            prop_assert_eq!(decode(&bytewise), decode(&[&body]));
        }
    }
}
