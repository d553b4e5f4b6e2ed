//! Objects' heads on the volumes: written by `insert`, read by `load`, buried by `forget`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk::Stored;
use super::error::StoreError;
use super::head::{self, StoredBody};
use super::record::{HEADER_BYTES, Header, Kind};
use super::region::Pin;
use super::slices::Slices;
use super::store::Cache;
use super::vary::Variants;
use super::volume::{Need, Reserved};
use super::{Body, Key, Object};
use crate::clock::Now;

impl Cache {
    /// The object whose head is on a volume but not in memory. Blocks on the disk.
    pub fn load(&self, key: Key) -> Option<Arc<Object>> {
        if let Some(object) = self.lookup(key) {
            return Some(object);
        }
        let stored = self.disk.stored_read(key, Kind::Head)?;
        let place = stored.place();
        let (meta, body) = match read_head(&stored, key) {
            Ok(read) => read,
            Err(Unread::Buried) => {
                self.disk.index.remove_if(key, |entry| entry.place() == place);
                return None;
            }
            Err(Unread::Bad) => {
                self.disk.drop_corrupt(key, place);
                return None;
            }
        };
        if !stored.is_verified {
            self.disk.mark_verified(key, place, stored.present);
        }
        let body = match body {
            LoadedBody::Memory(bytes) => Body::Memory(bytes),
            LoadedBody::Variants(variants) => Body::Variants(Arc::new(variants)),
            LoadedBody::Slices { generation, slice_generation, len } => {
                let slice_bytes = self.slice_bytes();
                let slices = Slices::new(key, generation, slice_generation, slice_bytes, Some(len));
                Body::Slices(Arc::new(slices))
            }
        };
        let object = Arc::new(Object::new(key, meta, body));
        let Some(object) = self.expired_by_purge(&object) else {
            self.disk.metrics.purged.add(1);
            self.forget_stored(key);
            return None;
        };
        let object = self.disk.find_or_enter(object);
        // It may have been forgotten or replaced meanwhile; then what was read must not stay.
        if self.disk.index.find(key, |entry| entry.place() == place) != Some(true) {
            self.disk.objects.remove_same(&object);
            return self.lookup(key);
        }
        Some(object)
    }

    /// Like [`Cache::lookup_for`], on the volumes too. Blocks on the disk.
    pub fn load_for<'f>(
        &self,
        key: Key,
        fields: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> Option<Arc<Object>> {
        let found = self.load(key)?;
        let Body::Variants(variants) = &found.body else { return Some(found) };
        self.load(variants.select(key, fields))
    }

    /// Makes `object` the one found under its key; heads of `Slices` and `Memory` objects are
    /// written to a volume too, as far as their length is known (insert again after
    /// [`Slices::set_len`]). Blocks on the disk. What was asked for before a purge took it is not
    /// entered.
    pub fn insert(&self, object: Arc<Object>, _now: Now) {
        let Some(object) = self.enterable(&object) else { return };
        self.disk.enter(object.clone());
        let body = match &object.body {
            Body::File { .. } => return,
            Body::Memory(_) => StoredBody::Memory,
            Body::Variants(_) => StoredBody::Variants,
            Body::Slices(slices) => match slices.len() {
                None => return self.forget_stored(object.key),
                Some(len) => StoredBody::Slices {
                    generation: slices.generation(),
                    slice_generation: slices.slice_generation(),
                    len,
                },
            },
        };
        if let Err(error) = self.write_head(&object, &body) {
            tracing::warn!(key = ?object.key, %error, "head of an object not stored");
            self.forget_stored(object.key);
        }
        // A purge may have come while it was written.
        if self.is_purged(&object) {
            self.disk.objects.remove_same(&object);
            self.forget_stored(object.key);
        }
    }

    fn write_head(&self, object: &Object, body: &StoredBody) -> Result<(), StoreError> {
        let meta = head::encode(&object.meta, body);
        let list;
        let body: &[u8] = match &object.body {
            Body::Memory(bytes) => bytes,
            Body::Variants(variants) => {
                list = variants.encode();
                &list
            }
            _ => &[],
        };
        let need = Need {
            header_bytes: HEADER_BYTES as u64,
            data_bytes: (meta.len() + body.len()) as u64,
            data_align: 1,
        };
        let row = self.disk.row_of(object.key);
        self.disk.on_a_volume(object.key, |volume| {
            let reserved = self.disk.reserve(volume, need, row)?;
            let header = Header {
                kind: Kind::Head,
                record_len: reserved.record_len,
                data_offset: HEADER_BYTES as u32,
                sequence: reserved.sequence,
                key: object.key,
                generation: self.disk.volumes.next_sequence(),
                index: 0,
                slice_len: 0,
                present: 0,
                meta_len: meta.len() as u32,
                body_len: body.len() as u32,
                payload_crc: crc32c::crc32c_append(crc32c::crc32c(&meta), body),
                buried: false,
            };
            let record = [&header.encode()[..], &meta, body].concat();
            volume.write(&record, reserved.record_at)?;
            self.show_head(&reserved, &header);
            Ok(())
        })
    }

    /// Shows a head, and buries the one it takes the place of: that may outlive its successor, whose
    /// region may be emptied first.
    fn show_head(&self, reserved: &Reserved, header: &Header) {
        let _heads = self.disk.heads();
        let published = self.disk.publish(reserved, header);
        match published.before {
            Some(later) if !published.is_shown && later.present > header.generation => {
                let place = (reserved.pin.pin(), reserved.record_at);
                bury(place, header.key);
            }
            Some(before) => {
                if !published.is_shown {
                    let place = before.place();
                    self.disk.index.remove_if(header.key, |entry| entry.place() == place);
                }
                bury((&before.pin, before.record_at), header.key);
            }
            None => {}
        }
    }

    /// Forgets an object (memory and index), for the next start too. Blocks on the disk.
    pub fn forget(&self, key: Key) {
        self.disk.objects.remove(key);
        self.forget_stored(key);
    }

    fn forget_stored(&self, key: Key) {
        let _heads = self.disk.heads();
        let Some(stored) = self.disk.stored(key, Kind::Head) else { return };
        let place = stored.place();
        if self.disk.index.remove_if(key, |entry| entry.place() == place).is_some() {
            bury((&stored.pin, stored.record_at), key);
        }
    }
}

/// Marks a head as forgotten, for the next start.
pub(super) fn bury((pin, record_at): (&Pin, u64), key: Key) {
    if let Err(error) = pin.volume().bury(record_at) {
        tracing::warn!(?key, %error, "a forgotten object may come back after a restart");
    }
}

/// What a head record says of a body in slices: its generation in their keys.
pub(super) fn head_of(stored: &Stored, key: Key) -> Option<(super::Meta, u64)> {
    match read_head(stored, key).ok()? {
        (meta, LoadedBody::Slices { slice_generation, .. }) => Some((meta, slice_generation)),
        _ => None,
    }
}

enum LoadedBody {
    Memory(bytes::Bytes),
    Variants(Variants),
    Slices { generation: u64, slice_generation: u64, len: u64 },
}

/// Why a head record is none.
enum Unread {
    /// Forgotten since the checkpoint that names it.
    Buried,
    Bad,
}

/// Reads and checks a head record.
fn read_head(stored: &Stored, key: Key) -> Result<(super::Meta, LoadedBody), Unread> {
    let volume = stored.pin.volume();
    let read = |bytes: &mut [u8], at| stored.read(bytes, at).ok_or(Unread::Bad);
    let mut bytes = [0; HEADER_BYTES];
    read(&mut bytes, stored.record_at)?;
    let header = Header::decode(&bytes).ok_or(Unread::Bad)?;
    let sequence = stored.pin.region().sequence.load(Ordering::Acquire);
    let is_same = header.kind == Kind::Head && header.key == key && header.sequence == sequence;
    if !is_same || u64::from(header.record_len) > volume.layout.region_bytes {
        return Err(Unread::Bad);
    }
    if header.buried {
        return Err(Unread::Buried);
    }
    let mut payload = vec![0; header.meta_len as usize + header.body_len as usize];
    read(&mut payload, stored.record_at + u64::from(header.data_offset))?;
    if crc32c::crc32c(&payload) != header.payload_crc {
        return Err(Unread::Bad);
    }
    let (meta, body) = head::decode(&payload[..header.meta_len as usize]).ok_or(Unread::Bad)?;
    let body = match body {
        StoredBody::Memory => {
            LoadedBody::Memory(bytes::Bytes::from(payload).slice(header.meta_len as usize..))
        }
        StoredBody::Variants => {
            let list = &payload[header.meta_len as usize..];
            LoadedBody::Variants(Variants::decode(list).ok_or(Unread::Bad)?)
        }
        StoredBody::Slices { generation, slice_generation, len } => {
            LoadedBody::Slices { generation, slice_generation, len }
        }
    };
    Ok((meta, body))
}
