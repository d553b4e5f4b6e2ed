//! Who reads an object.

use std::ops::Deref;
use std::sync::Arc;

use super::object::{Body, Object};

/// An object that an answer is made of, for as long as the answer goes on. A fill that has no more of
/// them, and no demand, has lost its clients.
#[derive(Debug)]
pub struct Reading(Arc<Object>);

impl Reading {
    /// Begins to read `object`.
    pub fn new(object: Arc<Object>) -> Reading {
        if let Body::Slices(slices) = &object.body {
            slices.join();
        }
        Reading(object)
    }
}

impl Deref for Reading {
    type Target = Arc<Object>;

    fn deref(&self) -> &Arc<Object> {
        &self.0
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Body::Slices(slices) = &self.0.body {
            slices.leave();
        }
    }
}
