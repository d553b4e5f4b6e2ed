//! Walking a region by its headers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{HEADER_BYTES, Header, Kind, RECORD_ALIGN};

/// Heads stand close together and are read many at once; from slice to slice it is a jump.
const WINDOW_HEADS_BYTES: usize = 64 * 1024;
const WINDOW_SLICES_BYTES: usize = 4 * 1024;

/// Shows every record of the region's life `sequence` in `region_at .. end` to `visit`, in order, and
/// returns where the row ends. Reads headers alone.
pub(super) fn walk(
    file: &File,
    region_at: u64,
    end: u64,
    sequence: u64,
    mut visit: impl FnMut(u64, &Header),
) -> io::Result<u64> {
    let mut window = Window { file, end, at: 0, bytes: Vec::new() };
    let mut size = WINDOW_SLICES_BYTES;
    let mut at = region_at;
    while let Some(header) = window.header(at, size)? {
        let next = at + u64::from(header.record_len);
        if header.sequence != sequence || next > end {
            break;
        }
        visit(at, &header);
        size = match header.kind {
            Kind::Head => WINDOW_HEADS_BYTES,
            Kind::Slice => WINDOW_SLICES_BYTES,
        };
        at = next;
    }
    Ok(at)
}

struct Window<'a> {
    file: &'a File,
    end: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn header(&mut self, at: u64, size: usize) -> io::Result<Option<Header>> {
        if at + RECORD_ALIGN > self.end {
            return Ok(None);
        }
        let inside = at.checked_sub(self.at).and_then(|from| {
            let from = usize::try_from(from).ok()?;
            self.bytes.get(from..from.checked_add(HEADER_BYTES)?)
        });
        if let Some(bytes) = inside {
            return Ok(Header::decode(bytes));
        }
        self.at = at;
        self.bytes.resize(size.min((self.end - at) as usize), 0);
        let mut filled = 0;
        while filled < self.bytes.len() {
            match self.file.read_at(&mut self.bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.truncate(filled);
        Ok(Header::decode(&self.bytes))
    }
}
