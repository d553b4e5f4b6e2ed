//! PROXY headers.

use edge::proxy::{Parsed, parse};

/// However a header is cut, it is the same header; what follows changes nothing.
pub fn header(bytes: &[u8]) {
    let whole = parse(bytes);
    for cut in 0..bytes.len().min(300) {
        match parse(&bytes[..cut]) {
            Ok(Parsed::Partial) => {}
            told => assert_eq!(told, whole, "of {cut} bytes"),
        }
    }
    if let Ok(Parsed::Header { len, .. }) = whole {
        assert!(len <= bytes.len());
        assert_eq!(parse(&bytes[..len]), whole);
    }
}
