//! From fields to a field block.
//!
//! Strings are not Huffman-coded: what repeats is in the table after its second time, and the rest is
//! not worth the time.

use super::table::{Dynamic, name_index};

/// Misses remembered: a field enters the table at its second time.
const SEEN_ONCE: usize = 32;

/// How a field is to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It may come again.
    Repeats,
    /// Its value is of one answer.
    Once,
    /// It is a secret, for which nobody keeps a table (RFC 7541 §7.1.3).
    Never,
}

/// One side's memory. Fields are looked up by their whole line, as it is written in HTTP/1.1.
pub struct Encoder {
    table: Dynamic<(u64, Box<[u8]>)>,
    /// The table's ceiling as the other side knows it.
    told_bytes: usize,
    seen: [u64; SEEN_ONCE],
    seen_at: usize,
}

/// The ceiling this node uses; the other side may want a lower one.
const TABLE_MAX_BYTES: usize = 4096;

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            table: Dynamic::new(TABLE_MAX_BYTES),
            told_bytes: TABLE_MAX_BYTES,
            seen: [0; SEEN_ONCE],
            seen_at: 0,
        }
    }
}

impl Encoder {
    /// The other side's SETTINGS_HEADER_TABLE_SIZE.
    pub fn set_max(&mut self, max_bytes: usize) {
        let max_bytes = max_bytes.min(TABLE_MAX_BYTES);
        // It is told of the lowest there was (RFC 7541 §4.2): entries that went are gone.
        if max_bytes < self.table.max_bytes() {
            self.table.set_max(max_bytes);
        }
    }

    /// To be called before the first field of a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if self.told_bytes != self.table.max_bytes() {
            self.told_bytes = self.table.max_bytes();
            integer(out, 0x20, 5, self.told_bytes);
        }
    }

    /// `:status`.
    pub fn status(&mut self, out: &mut Vec<u8>, status: &[u8]) {
        match status {
            b"200" => out.push(0x88),
            b"204" => out.push(0x89),
            b"206" => out.push(0x8a),
            b"304" => out.push(0x8b),
            b"400" => out.push(0x8c),
            b"404" => out.push(0x8d),
            b"500" => out.push(0x8e),
            _ => {
                out.push(0x08);
                string(out, status);
            }
        }
    }

    /// A field whose name ends at `colon` of `line` and has no upper case once it is lowered.
    pub fn field(
        &mut self,
        out: &mut Vec<u8>,
        (line, name, value): (&[u8], &[u8], &[u8]),
        keeping: Keeping,
    ) {
        if keeping != Keeping::Repeats {
            let first = if keeping == Keeping::Never { 0x10 } else { 0 };
            return literal(out, (first, 4), name, value);
        }
        let hash = hash(line);
        let found = self.table.iter().position(|(other, of)| *other == hash && **of == *line);
        if let Some(at) = found {
            return integer(out, 0x80, 7, 62 + at);
        }
        if self.seen.contains(&hash) {
            literal(out, (0x40, 6), name, value);
            self.table.insert(name.len() + value.len(), || (hash, line.into()));
        } else {
            self.seen[self.seen_at % SEEN_ONCE] = hash;
            self.seen_at += 1;
            literal(out, (0, 4), name, value);
        }
    }
}

fn literal(out: &mut Vec<u8>, (first, bits): (u8, u32), name: &[u8], value: &[u8]) {
    let mut lowered = [0; 64];
    let lowered = match lowered.get_mut(..name.len()) {
        Some(lowered) => {
            lowered.copy_from_slice(name);
            lowered.make_ascii_lowercase();
            &*lowered
        }
        None => &*name.to_ascii_lowercase(),
    };
    match name_index(lowered) {
        0 => {
            out.push(first);
            string(out, lowered);
        }
        index => integer(out, first, bits, usize::from(index)),
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

fn integer(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let max = (1_usize << bits) - 1;
    if value < max {
        return out.push(first | value as u8);
    }
    out.push(first | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Not for strangers' tables: what goes in is what this node sends.
fn hash(line: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = line.as_chunks::<8>();
    let mut sum = line.len() as u64;
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(MIX).rotate_left(29);
    }
    let tail = rest.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
    (sum ^ tail).wrapping_mul(MIX).rotate_left(29) | 1
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;

    fn field(encoder: &mut Encoder, out: &mut Vec<u8>, line: &str, keeping: Keeping) {
        let (name, value) = line.split_once(": ").unwrap();
        encoder.field(out, (line.as_bytes(), name.as_bytes(), value.as_bytes()), keeping);
    }

    #[test]
    fn a_decoder_reads_what_was_written_and_repeats_are_short() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
        let long = format!("X-Long: {}", "y".repeat(300));
        let lines = ["Content-Type: text/html", "X-A: b", &long, "Via: 1.1 edge"];
        let mut sizes = Vec::new();
        for round in 0..4 {
            let mut out = Vec::new();
            encoder.begin(&mut out);
            encoder.status(&mut out, if round == 2 { b"418" } else { b"206" });
            for line in lines {
                field(&mut encoder, &mut out, line, Keeping::Repeats);
            }
            field(&mut encoder, &mut out, "ETag: \"a\"", Keeping::Once);
            field(&mut encoder, &mut out, "Set-Cookie: a", Keeping::Never);
            sizes.push(out.len());
            let mut read = Vec::new();
            decoder
                .decode(&out, |name, value| {
                    let part = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    read.push(format!("{}: {}", part(name), part(value)));
                })
                .unwrap();
            assert_eq!(read.len(), 7, "round {round}: {read:?}");
            assert_eq!(read[1], "content-type: text/html");
            assert_eq!(read[3], format!("x-long: {}", "y".repeat(300)));
            if round == 2 {
                // Entries go, and the decoder is told before the next block.
                encoder.set_max(200);
            }
        }
        assert!(sizes[2] < sizes[0] / 8, "{sizes:?}");
    }
}
