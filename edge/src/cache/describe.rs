//! What is there of an object, for people.

use super::record::Kind;
use super::{Body, Cache, Object};
use crate::limits::EXPLAINED_SLICES_MAX;

/// The slices of an object that are on a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Slices the body has; as far as was looked, [`EXPLAINED_SLICES_MAX`].
    pub slices: u32,
    /// Of those, such as any byte is there of.
    pub held: u32,
    /// Bytes there, to a 64th of a slice.
    pub bytes: u64,
}

impl Cache {
    /// What the index knows of the body of `object`; `None` when it does not lie in slices, or its
    /// length is not known yet.
    pub fn held(&self, object: &Object) -> Option<Held> {
        let Body::Slices(slices) = &object.body else { return None };
        let len = slices.len()?;
        let count = len.div_ceil(self.slice_bytes()).min(u64::from(EXPLAINED_SLICES_MAX)) as u32;
        let mut held = Held { slices: count, ..Held::default() };
        for index in 0..count {
            let present = self.disk.index.find(slices.slice_key(index), |entry| {
                if entry.kind() == Kind::Slice { entry.present } else { 0 }
            });
            let blocks = present.unwrap_or(0).count_ones();
            held.held += u32::from(blocks > 0);
            held.bytes += u64::from(blocks) * self.block_bytes();
        }
        held.bytes = held.bytes.min(len);
        Some(held)
    }
}
