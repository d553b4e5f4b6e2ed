//! What is made of stored objects, off the data path: coded content. The client that comes first is
//! answered with the content as it is, for coding may take longer than sending, and what is asked for
//! once is not worth it; who comes later finds the result, an object like any other.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::encode::encode;
use super::filler::Filler;
use super::{object, runtime};
use crate::cache::derived::{Derivation, MADE, NOT_WORTH};
use crate::cache::{Body, Cache, FillError, Key, Lead, Object};
use crate::clock::Now;
use crate::http::{Coding, lines};
use crate::limits::{DERIVING_MAX, SMALL_OBJECT_MAX_BYTES};
use crate::session::Demand;
use crate::session::demand::Want;

/// A result must be smaller by a twentieth.
const WORTH: (u64, u64) = (19, 20);

/// Keys of what is being made by one thread.
#[derive(Default)]
pub struct Deriving(RefCell<HashSet<Key>>);

impl Deriving {
    /// Notes that `key` is being made; `None`: it is already, or too much is.
    fn begin(&self, key: Key) -> Option<Making<'_>> {
        let mut keys = self.0.borrow_mut();
        let begins = keys.len() < DERIVING_MAX && keys.insert(key);
        begins.then_some(Making { keys: &self.0, key })
    }
}

struct Making<'d> {
    keys: &'d RefCell<HashSet<Key>>,
    key: Key,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.keys.borrow_mut().remove(&self.key);
    }
}

impl Filler {
    /// Makes what `demand` wants made, unless it is there, or on its way.
    pub async fn derive(self: &Rc<Self>, demand: Demand) {
        let Want::Derive { object, how } = &demand.want else { return };
        let Some(_making) = self.deriving.begin(how.key(object)) else { return };
        if self.cache().load(how.key(object)).is_some() {
            // It lay on a volume.
            return;
        }
        // It is never closed.
        let Ok(_coder) = self.plane.coders.clone().acquire_owned().await else { return };
        let (cache, object) = (self.plane.cache.clone(), object.clone());
        let Derivation::Coded(coding) = *how;
        let made = runtime::off_thread(move || code(&cache, &object, coding)).await;
        if made.flatten().is_some() {
            self.plane.metrics.coded.add(1);
        }
    }
}

impl Filler {
    /// Answers a demand for bytes of what was made here: they are on a volume, and only to be looked at
    /// after a start, or nowhere. Then who looks again finds what it was made of.
    pub fn stored_only(&self, demand: &Demand, made: &Object, wanted: Range<u64>) {
        let mut at = wanted.start;
        while at < wanted.end && !demand.ticket.is_abandoned() {
            match self.cache().lead(made, at) {
                Ok(Lead::Present) => {
                    at = (at / self.cache().slice_bytes() + 1) * self.cache().slice_bytes()
                }
                Ok(Lead::Busy) => break,
                Ok(Lead::Writer(_)) | Err(_) => {
                    object::forget(self.cache(), made);
                    return demand.ticket.fail(FillError::Changed);
                }
            }
            demand.ticket.nudge();
        }
        demand.ticket.nudge();
    }
}

/// Codes the content of `object`, if all of it is here, and enters the result.
fn code(cache: &Cache, object: &Object, coding: Coding) -> Option<()> {
    let how = Derivation::Coded(coding);
    let body = cache.read_exact(object, 0..object.len()?)?;
    let coded = match encode(coding, &body) {
        Ok(coded) => coded,
        Err(error) => {
            tracing::warn!(%error, key = %object.meta.key_text, "content could not be coded");
            return None;
        }
    };
    let (got, plain) = (coded.len() as u64, body.len() as u64);
    drop(body);
    if got * WORTH.1 > plain * WORTH.0 {
        let nothing = Body::Memory(bytes::Bytes::new());
        let marker = Object::derived((object, how), NOT_WORTH, Box::default(), None, nothing);
        cache.insert(Arc::new(marker), Now::read());
        return Some(());
    }
    let crc = crc32c::crc32c(&coded);
    let etag = how.etag(&object.meta, crc);
    let headers = coded_fields(coding, etag.as_deref());
    let made = if got <= SMALL_OBJECT_MAX_BYTES {
        Object::derived((object, how), MADE, headers, etag, Body::Memory(coded.into()))
    } else {
        let slices = cache.new_slices(how.key(object), u64::from(crc), Some(got), &object.meta);
        let made = Object::derived((object, how), MADE, headers, etag, Body::Slices(slices));
        if let Err(error) = cache.write_whole(&made, &coded) {
            tracing::debug!(%error, key = %object.meta.key_text, "coded content not stored");
            return None;
        }
        made
    };
    cache.insert(Arc::new(made), Now::read());
    Some(())
}

/// The fields in which coded content differs.
pub fn coded_fields(coding: Coding, etag: Option<&str>) -> Box<[u8]> {
    let mut block = Vec::new();
    lines::push(&mut block, "Content-Encoding", coding.as_str().as_bytes());
    if let Some(etag) = etag {
        lines::push(&mut block, "ETag", etag.as_bytes());
    }
    block.into()
}
