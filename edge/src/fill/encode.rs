//! Content codings: bytes in, bytes out.

use std::io::{self, Write};

use crate::http::Coding;

/// What a result costs once and saves at every answer: the middle of each coder's scale, beyond which
/// a byte less takes many times as long.
const GZIP_LEVEL: u32 = 6;
const BROTLI_QUALITY: u32 = 5;
const ZSTD_LEVEL: i32 = 6;
/// Of brotli: 4 MiB.
const BROTLI_WINDOW_BITS: u32 = 22;
/// Of zstd: what every client must be able to hold (RFC 9659 §3).
const ZSTD_WINDOW_BITS: u32 = 23;
const BROTLI_BUFFER_BYTES: usize = 64 * 1024;

/// The whole of `body` in `coding`.
pub fn encode(coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 3);
    match coding {
        Coding::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut coder = flate2::write::GzEncoder::new(out, level);
            coder.write_all(body)?;
            coder.finish()
        }
        Coding::Brotli => {
            let mut coder = brotli::CompressorWriter::new(
                out,
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            );
            coder.write_all(body)?;
            coder.flush()?;
            Ok(coder.into_inner())
        }
        Coding::Zstd => {
            let mut coder = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            coder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(ZSTD_WINDOW_BITS))?;
            coder.compress(body)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap(),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out).unwrap(),
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes).unwrap();
                decoder.window_log_max(ZSTD_WINDOW_BITS).unwrap();
                decoder.read_to_end(&mut out).unwrap()
            }
        };
        out
    }

    #[test]
    fn what_is_coded_is_read_back() {
        let text: Vec<u8> =
            b"the quick brown fox, ".iter().copied().cycle().take(300_000).collect();
        let noise: Vec<u8> =
            (0..70_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for coding in Coding::ALL {
            for body in [&text[..], &noise, b"x", b""] {
                let coded = encode(coding, body).unwrap();
                assert_eq!(decode(coding, &coded), body, "{coding:?} of {} bytes", body.len());
                assert_eq!(coded, encode(coding, body).unwrap(), "the same bytes each time");
            }
            assert!(encode(coding, &text).unwrap().len() * 10 < text.len(), "{coding:?}");
        }
    }

    #[test]
    fn no_window_is_larger_than_clients_must_hold() {
        let body = vec![7; 12 << 20];
        let coded = encode(Coding::Zstd, &body).unwrap();
        assert_eq!(decode(Coding::Zstd, &coded).len(), body.len());
    }
}
