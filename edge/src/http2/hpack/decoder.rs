//! From a field block to fields.

use std::ops::Range;

use super::huffman;
use super::table::{Dynamic, STATIC};

/// The block cannot be read: both sides' tables differ from here on (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression;

/// A learnt field: its name's length, name and value.
struct Learnt {
    name_len: usize,
    text: Box<[u8]>,
}

/// One side's memory.
pub struct Decoder {
    table: Dynamic<Learnt>,
    /// The largest table the other side may ask for.
    max_bytes: usize,
    /// Strings of the field at hand that were coded.
    text: Vec<u8>,
}

/// Where a name or value lies.
enum Text {
    /// In the static table.
    Known(&'static str),
    /// In the dynamic table's entry; the name or the value of it.
    Learnt(usize, bool),
    /// In the block.
    Plain(Range<usize>),
    /// In [`Decoder::text`].
    Coded(Range<usize>),
}

impl Decoder {
    /// With the table that SETTINGS_HEADER_TABLE_SIZE allows.
    pub fn new(max_bytes: usize) -> Decoder {
        Decoder { table: Dynamic::new(max_bytes), max_bytes, text: Vec::new() }
    }

    /// Hands each field of a whole block to `take`.
    ///
    /// # Errors
    /// The connection is over.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut take: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Compression> {
        let (mut at, mut is_front) = (0, true);
        while let Some(first) = block.get(at).copied() {
            self.text.clear();
            let at = &mut at;
            match first {
                0x80.. => {
                    let index = integer(block, at, 7)?;
                    let (name, value) = (self.indexed(index, false)?, self.indexed(index, true)?);
                    take(self.resolve(&name, block), self.resolve(&value, block));
                }
                0x20..0x40 => {
                    let size = integer(block, at, 5)?;
                    // Only in front, and never above what was allowed (RFC 7541 §4.2, §6.3).
                    if !is_front || size > self.max_bytes {
                        return Err(Compression);
                    }
                    self.table.set_max(size);
                    continue;
                }
                _ => {
                    let keep = first & 0x40 != 0;
                    let name = match integer(block, at, if keep { 6 } else { 4 })? {
                        0 => self.string(block, at)?,
                        index => self.indexed(index, false)?,
                    };
                    let value = self.string(block, at)?;
                    let (name, value) = (self.resolve(&name, block), self.resolve(&value, block));
                    take(name, value);
                    if keep {
                        let learnt =
                            Learnt { name_len: name.len(), text: [name, value].concat().into() };
                        self.table.insert(learnt.text.len(), || learnt);
                    }
                }
            }
            is_front = false;
        }
        Ok(())
    }

    fn indexed(&self, index: usize, value: bool) -> Result<Text, Compression> {
        match index.checked_sub(1).ok_or(Compression)? {
            at if at < STATIC.len() => {
                Ok(Text::Known(if value { STATIC[at].1 } else { STATIC[at].0 }))
            }
            at if self.table.find(at - STATIC.len()).is_some() => {
                Ok(Text::Learnt(at - STATIC.len(), value))
            }
            _ => Err(Compression),
        }
    }

    fn string(&mut self, block: &[u8], at: &mut usize) -> Result<Text, Compression> {
        let is_coded = block.get(*at).ok_or(Compression)? & 0x80 != 0;
        let len = integer(block, at, 7)?;
        let end = at.checked_add(len).filter(|end| *end <= block.len()).ok_or(Compression)?;
        let raw = std::mem::replace(at, end)..end;
        if !is_coded {
            return Ok(Text::Plain(raw));
        }
        let start = self.text.len();
        huffman::decode(&block[raw], &mut self.text).ok_or(Compression)?;
        Ok(Text::Coded(start..self.text.len()))
    }

    fn resolve<'a>(&'a self, text: &Text, block: &'a [u8]) -> &'a [u8] {
        match text {
            Text::Known(known) => known.as_bytes(),
            Text::Learnt(at, value) => self.table.find(*at).map_or(&[], |learnt| match value {
                false => &learnt.text[..learnt.name_len],
                true => &learnt.text[learnt.name_len..],
            }),
            Text::Plain(range) => &block[range.clone()],
            Text::Coded(range) => &self.text[range.clone()],
        }
    }
}

/// An integer whose first `bits` bits are in the byte at `at` (RFC 7541 §5.1); moves `at` behind it.
fn integer(block: &[u8], at: &mut usize, bits: u32) -> Result<usize, Compression> {
    let max = (1 << bits) - 1;
    let mut value = usize::from(*block.get(*at).ok_or(Compression)?) & max;
    *at += 1;
    if value < max {
        return Ok(value);
    }
    // Four bytes more are beyond any length this node takes.
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(*at).ok_or(Compression)?;
        *at += 1;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<String, Compression> {
        let mut text = String::new();
        decoder.decode(block, |name, value| {
            let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            text += &format!("{}: {}\n", part(name), part(value));
        })?;
        Ok(text)
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    #[test]
    fn the_rfcs_requests_are_read() {
        // RFC 7541 §C.3 and §C.4: the same three requests, plain and Huffman-coded.
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        let expected = [
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n",
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n",
            ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::new(4096);
            for (block, expected) in blocks.iter().zip(expected) {
                assert_eq!(decoded(&mut decoder, &hex(block)).as_deref(), Ok(expected));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_connection() {
        for (block, why) in [
            ("80", "index 0 (§6.1)"),
            ("c6", "an index beyond both tables (§2.3.3)"),
            ("7e00", "a name beyond both tables"),
            ("3fe2 1f", "a table larger than allowed (§6.3)"),
            ("8220", "a table's size behind a field (§4.2)"),
            ("0005 61", "a name cut short"),
            ("00", "no name"),
            ("40 0161", "no value"),
            ("ffff ffff ffff", "an integer without end"),
            ("0082 ffff 00", "a coded string of ones"),
        ] {
            assert_eq!(decoded(&mut Decoder::new(4096), &hex(block)), Err(Compression), "{why}");
        }
        // Down to nothing and up again, in front.
        assert_eq!(
            decoded(&mut Decoder::new(4096), &hex("203fe11f82")).as_deref(),
            Ok(":method: GET\n")
        );
    }
}
