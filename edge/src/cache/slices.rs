//! The body of one generation of an object as a map of slices, and who is filling which.

/// The slices of one generation.
#[derive(Debug)]
pub struct Slices {}
impl Slices {
    /// Length of the whole body; `None` while it is not known.
    pub fn len(&self) -> Option<u64> {
        todo!()
    }
    /// The generation, part of every slice's key.
    pub fn generation(&self) -> u64 {
        todo!()
    }
    /// The origin finished (or said so late): the body is `len` bytes. Wakes every waiter.
    pub fn set_len(&self, _len: u64) {
        todo!()
    }
    /// The body can never be completed (an origin of unknown length broke off). Wakes every waiter.
    pub fn fail(&self, _error: super::FillError) {
        todo!()
    }
}
