//! The static Huffman code (RFC 7541 §5.2, Appendix B). It is canonical: lengths tell everything.

/// Code lengths of the 256 bytes and of the end of string, bits.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LENGTH_MIN: usize = 5;
const LENGTH_MAX: usize = 30;
const END: u16 = 256;

/// Symbols in the order of their codes, and for each length the first code beyond it (left-aligned in
/// 32 bits) and what leads from a code to its symbol's place.
struct Codes {
    symbols: [u16; 257],
    beyond: [u64; LENGTH_MAX + 1],
    first: [u32; LENGTH_MAX + 1],
    place: [u16; LENGTH_MAX + 1],
    /// Symbol and length of codes of up to eight bits, by the first eight bits; length 0: longer.
    short: [(u8, u8); 256],
}

const CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes = Codes {
        symbols: [0; 257],
        beyond: [0; LENGTH_MAX + 1],
        first: [0; LENGTH_MAX + 1],
        place: [0; LENGTH_MAX + 1],
        short: [(0, 0); 256],
    };
    let (mut length, mut code, mut place) = (LENGTH_MIN, 0_u32, 0_usize);
    while length <= LENGTH_MAX {
        codes.first[length] = code;
        codes.place[length] = place as u16;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[place] = symbol as u16;
                if length <= 8 {
                    let from = (code << (8 - length)) as usize;
                    let mut at = from;
                    while at < from + (1 << (8 - length)) {
                        codes.short[at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        codes.beyond[length] = (code as u64) << (32 - length);
        code <<= 1;
        length += 1;
    }
    codes
}

/// Appends what `coded` says to `out`; `None`: it is not in this code, holds the end of string, or its
/// padding is wrong (RFC 7541 §5.2).
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut count) = (0_u64, 0_usize);
    let mut rest = coded.iter();
    loop {
        while count <= 56
            && let Some(byte) = rest.next()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        if count == 0 {
            return Some(());
        }
        let (symbol, length) = CODES.short[(bits >> 56) as usize];
        let (symbol, length) = match length {
            0 => long(bits)?,
            length => (u16::from(symbol), usize::from(length)),
        };
        if length > count || symbol == END {
            // Padding: less than a byte of ones, the beginning of the end of string.
            let ones = !0_u64 << (64 - count);
            return (count < 8 && bits == ones).then_some(());
        }
        out.push(symbol as u8);
        bits <<= length;
        count -= length;
    }
}

/// Symbol and length of a code of more than eight bits at the front of `bits`.
fn long(bits: u64) -> Option<(u16, usize)> {
    let front = bits >> 32;
    let length = (9..=LENGTH_MAX).find(|length| front < CODES.beyond[*length])?;
    let code = (front >> (32 - length)) as u32;
    let place = usize::from(CODES.place[length]) + code.checked_sub(CODES.first[length])? as usize;
    Some((*CODES.symbols.get(place)?, length))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The slow and plain way.
    pub fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let (start, first) = (usize::from(CODES.place[length]), CODES.first[length]);
            let place = CODES.symbols.iter().position(|s| *s == u16::from(*byte)).unwrap();
            let code = first + (place - start) as u32;
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while bits.len() % 8 != 0 {
            bits.push(true);
        }
        bits.chunks(8)
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
            .collect()
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [&all[..], b"", b"www.example.com", b"0", b"\xff\xff\xff"] {
            let mut out = Vec::new();
            assert_eq!(decode(&encode(text), &mut out), Some(()));
            assert_eq!(out, text);
        }
    }

    #[test]
    fn the_rfcs_example_and_bad_padding() {
        // RFC 7541 §C.4.1.
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        let mut out = Vec::new();
        assert_eq!(decode(&coded, &mut out), Some(()));
        assert_eq!(out, b"www.example.com");
        for (bad, why) in [
            (&[0b0001_1000_u8][..], "padded with zeros"),
            (&[0x1f, 0xff], "padding of more than seven bits"),
            (&[0xff, 0xff, 0xff, 0xff], "the end of string"),
            (&[0xff], "a byte of padding"),
        ] {
            assert_eq!(decode(bad, &mut Vec::new()), None, "{why}");
        }
    }
}
