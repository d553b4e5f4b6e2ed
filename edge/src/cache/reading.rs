//! Who reads an object.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use super::object::{Body, Object};

/// An object that an answer is made of, for as long as the answer goes on. A fill that has no more of
/// them, and no demand, has lost its clients.
#[derive(Debug)]
pub struct Reading {
    object: Arc<Object>,
    /// The slice it came to last.
    slice: Cell<Option<u64>>,
    has_missed: Cell<bool>,
}

impl Reading {
    /// Begins to read `object`.
    pub fn new(object: Arc<Object>) -> Reading {
        if let Body::Slices(slices) = &object.body {
            slices.join();
        }
        Reading { object, slice: Cell::new(None), has_missed: Cell::new(false) }
    }

    /// Whether finding something stored in slice `slice` now is a hit: an answer hits a slice once,
    /// however many turns it takes, and not at all what was brought in for it.
    pub(super) fn hits(&self, slice: u64) -> bool {
        self.slice.replace(Some(slice)) != Some(slice) && !self.has_missed.get()
    }

    /// It had to wait for an origin.
    pub(super) fn miss(&self) {
        self.has_missed.set(true);
    }
}

impl Deref for Reading {
    type Target = Arc<Object>;

    fn deref(&self) -> &Arc<Object> {
        &self.object
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Body::Slices(slices) = &self.object.body {
            slices.leave();
        }
    }
}
