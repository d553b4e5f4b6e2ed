//! Frames (RFC 9113 §4.1).

use super::Code;

/// Length, type, flags and stream of every frame.
pub const HEADER_BYTES: usize = 9;

/// Largest payload this node takes: what the protocol starts with.
pub const PAYLOAD_MAX_BYTES: usize = 16_384;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// RFC 9218 §7.1.
pub const PRIORITY_UPDATE: u8 = 16;

/// The stream ends with this frame.
pub const END_STREAM: u8 = 0x1;
/// Of SETTINGS and PING.
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
/// HEADERS begin with a dependency (deprecated, RFC 9113 §5.3.2).
pub const PRIORITISED: u8 = 0x20;

pub const SETTINGS_HEADER_TABLE_SIZE: u16 = 1;
pub const SETTINGS_ENABLE_PUSH: u16 = 2;
pub const SETTINGS_MAX_CONCURRENT_STREAMS: u16 = 3;
pub const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;
pub const SETTINGS_MAX_FRAME_SIZE: u16 = 5;
pub const SETTINGS_MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 9218 §2.1.
pub const SETTINGS_NO_RFC7540_PRIORITIES: u16 = 9;

/// The first nine bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub len: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHeader {
    /// Reads one; `None`: it is not all there.
    pub fn read(bytes: &[u8]) -> Option<FrameHeader> {
        let [a, b, c, kind, flags, rest @ ..] = bytes.get(..HEADER_BYTES)? else { return None };
        Some(FrameHeader {
            len: usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            kind: *kind,
            flags: *flags,
            // The highest bit means nothing (RFC 9113 §4.1).
            stream: number(rest)? & 0x7fff_ffff,
        })
    }

    /// As it is written.
    pub fn bytes(self) -> [u8; HEADER_BYTES] {
        let [_, a, b, c] = (self.len as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Four bytes, the most significant first.
pub fn number(bytes: &[u8]) -> Option<u32> {
    bytes.get(..4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Appends a frame's first nine bytes.
pub fn write_header(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&FrameHeader { len, kind, flags, stream }.bytes());
}

/// Sets the length of the frame whose header is at `at` and that reaches to the end of `out`.
pub fn set_len(out: &mut [u8], at: usize) {
    let len = (out.len() - at - HEADER_BYTES) as u32;
    out[at..at + 3].copy_from_slice(&[(len >> 16) as u8, (len >> 8) as u8, len as u8]);
}

pub fn write_reset(out: &mut Vec<u8>, stream: u32, code: Code) {
    write_header(out, 4, RST_STREAM, 0, stream);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    write_header(out, 4, WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    write_header(out, settings.len() * 6, SETTINGS, 0, 0);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub fn write_ping(out: &mut Vec<u8>, flags: u8, payload: &[u8]) {
    write_header(out, payload.len(), PING, flags, 0);
    out.extend_from_slice(payload);
}

pub fn write_goaway(out: &mut Vec<u8>, last: u32, code: Code, debug: &str) {
    write_header(out, 8 + debug.len(), GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
    out.extend_from_slice(debug.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_written() {
        let mut out = Vec::new();
        write_header(&mut out, 0x01_02_03, DATA, END_STREAM | PADDED, 0x7fff_fffe);
        let read = FrameHeader::read(&out).unwrap();
        assert_eq!((read.len, read.kind, read.stream), (0x01_02_03, DATA, 0x7fff_fffe));
        assert!(read.has(END_STREAM) && read.has(PADDED) && !read.has(END_HEADERS));
        out[5] |= 0x80;
        assert_eq!(FrameHeader::read(&out).unwrap().stream, 0x7fff_fffe, "reserved bit");
        assert_eq!(FrameHeader::read(&out[..8]), None);
        out.extend_from_slice(b"hello");
        set_len(&mut out, 0);
        assert_eq!(FrameHeader::read(&out).unwrap().len, 5);
    }
}
