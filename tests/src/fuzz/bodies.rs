//! Bodies in chunks.

use edge::http::chunked::{ChunkedError, Decoder};

/// Data and length of a body, or why it is none; `piece` bytes are shown at a time.
fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Option<usize>), ChunkedError> {
    let (mut decoder, mut data, mut at) = (Decoder::default(), Vec::new(), 0);
    while at < bytes.len() && !decoder.is_done() {
        let shown = &bytes[at..bytes.len().min(at + piece)];
        let decoded = decoder.decode(shown)?;
        assert!(decoded.consumed > 0, "no progress at {at}");
        assert!(decoded.consumed <= shown.len() && decoded.data.end <= decoded.consumed);
        data.extend_from_slice(&shown[decoded.data]);
        at += decoded.consumed;
        assert_eq!(decoded.done, decoder.is_done());
    }
    Ok((data, decoder.is_done().then_some(at)))
}

/// However a body is cut into packets, it is the same body.
pub fn chunked(bytes: &[u8]) {
    let whole = decode(bytes, usize::MAX - bytes.len());
    for piece in [1, 2, 7] {
        assert_eq!(decode(bytes, piece), whole, "in pieces of {piece}");
    }
}
