//! Bodies as a whole, for who works on them beside the data path. Blocks on the disk.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::{Body, Cache, Lead, Object, Read, StoreError};

impl Cache {
    /// The bytes `range` of `object`, verified where they were stored before the start; `None` when not
    /// all of them are here.
    pub fn read_exact(&self, object: &Object, range: Range<u64>) -> Option<Vec<u8>> {
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let mut bytes = Vec::with_capacity(len);
        let mut verified_at = None;
        while bytes.len() < len {
            let at = range.start + bytes.len() as u64;
            match self.read(object, at, range.end) {
                Read::Bytes(some) => bytes.extend_from_slice(&some),
                Read::Span(span) => {
                    let start = bytes.len();
                    bytes.resize(start + usize::try_from(span.len).ok()?, 0);
                    span.file.read_exact_at(&mut bytes[start..], span.offset).ok()?;
                }
                // Stored, perhaps, but not yet looked at.
                Read::Absent if verified_at != Some(at) => {
                    verified_at = Some(at);
                    if !matches!(self.lead(object, at), Ok(Lead::Present)) {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        Some(bytes)
    }

    /// Stores `body` as that of `object`, which is in slices of that length and not entered yet.
    pub fn write_whole(&self, object: &Object, body: &[u8]) -> Result<(), StoreError> {
        let Body::Slices(_) = &object.body else { return Ok(()) };
        let len = body.len() as u64;
        let mut lead = self.lead(object, 0)?;
        let mut at = 0;
        while at < len {
            lead = match lead {
                Lead::Writer(mut writer) => {
                    at = writer.offset();
                    while at < len.min(writer.end()) {
                        let taken = writer.write(&body[at as usize..])? as u64;
                        if taken == 0 {
                            return Err(StoreError::NoRoom);
                        }
                        at += taken;
                    }
                    if at.is_multiple_of(self.slice_bytes()) && at < len {
                        self.lead_next(writer)?
                    } else {
                        writer.finish()?;
                        self.lead(object, at)?
                    }
                }
                Lead::Present => {
                    at = (at / self.slice_bytes() + 1) * self.slice_bytes();
                    self.lead(object, at)?
                }
                Lead::Busy => return Err(StoreError::NoRoom),
            };
        }
        Ok(())
    }
}
