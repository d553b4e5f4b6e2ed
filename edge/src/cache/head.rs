//! A head's payload: [`Meta`] and where the body is, as bytes.

use super::bytes::{Reader, Writer};
use super::key::Key;
use super::object::Meta;
use super::purge::Stamp;
use super::reuse::Reuse;

const VERSION: u8 = 2;
const NONE: u32 = u32::MAX;

/// What a head record says of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredBody {
    /// It follows in the record.
    Memory,
    /// It lies in slices.
    Slices { generation: u64, slice_generation: u64, len: u64 },
    /// A list of variants follows in the record.
    Variants,
}

pub(super) fn encode(meta: &Meta, body: &StoredBody) -> Vec<u8> {
    let mut to = Writer::default();
    to.u8(VERSION);
    match body {
        StoredBody::Memory => to.u8(0),
        StoredBody::Slices { generation, slice_generation, len } => {
            to.u8(1).u64(*generation).u64(*slice_generation).u64(*len)
        }
        StoredBody::Variants => to.u8(2),
    };
    to.u16(meta.status).u64(meta.received_unix_ms);
    to.u64(meta.initial_age_ms).u64(meta.lifetime_ms);
    encode_reuse(&mut to, &meta.reuse);
    match meta.variant_of {
        Some(url) => to.u8(1).raw(&url.to_bytes()),
        None => to.u8(0),
    };
    match meta.last_modified_unix_s {
        Some(seconds) => to.u8(1).u64(seconds as u64),
        None => to.u8(0),
    };
    match &meta.etag {
        Some(etag) => to.block(etag.as_bytes()),
        None => to.u32(NONE),
    };
    to.block(&meta.headers).block(meta.key_text.as_bytes());
    to.block(meta.tags.as_bytes()).u64(meta.stamp.sequence());
    to.0
}

pub(super) fn decode(bytes: &[u8]) -> Option<(Meta, StoredBody)> {
    let mut from = Reader(bytes);
    if from.u8()? != VERSION {
        return None;
    }
    let body = match from.u8()? {
        0 => StoredBody::Memory,
        1 => StoredBody::Slices {
            generation: from.u64()?,
            slice_generation: from.u64()?,
            len: from.u64()?,
        },
        2 => StoredBody::Variants,
        _ => return None,
    };
    let (status, received_unix_ms) = (from.u16()?, from.u64()?);
    let (initial_age_ms, lifetime_ms) = (from.u64()?, from.u64()?);
    let reuse = decode_reuse(&mut from)?;
    let variant_of = match from.u8()? {
        0 => None,
        _ => Some(Key::from_bytes(from.take(16)?.try_into().ok()?)),
    };
    let last_modified_unix_s = match from.u8()? {
        0 => None,
        _ => Some(from.u64()? as i64),
    };
    let etag = match from.0.first_chunk() {
        Some(len) if u32::from_le_bytes(*len) == NONE => {
            from.u32()?;
            None
        }
        _ => Some(from.text()?.into()),
    };
    let (headers, key_text) = (from.block()?.into(), from.text()?.into());
    let (tags, stamp) = (from.text()?.into(), Stamp::new(from.u64()?));
    let meta = Meta {
        status,
        headers,
        etag,
        last_modified_unix_s,
        received_unix_ms,
        initial_age_ms,
        lifetime_ms,
        reuse,
        variant_of,
        key_text,
        tags,
        stamp,
    };
    from.0.is_empty().then_some((meta, body))
}

fn encode_reuse(to: &mut Writer, reuse: &Reuse) {
    let flags = [reuse.no_cache, reuse.no_stale, reuse.immutable, reuse.if_error_ms.is_some()];
    let bits = flags.iter().enumerate().map(|(bit, flag)| u8::from(*flag) << bit);
    to.u8(bits.sum()).u64(reuse.while_revalidate_ms).u64(reuse.if_error_ms.unwrap_or(0));
}

fn decode_reuse(from: &mut Reader<'_>) -> Option<Reuse> {
    let (bits, while_revalidate_ms, if_error_ms) = (from.u8()?, from.u64()?, from.u64()?);
    let flag = |bit: u8| bits >> bit & 1 == 1;
    Some(Reuse {
        no_cache: flag(0),
        no_stale: flag(1),
        immutable: flag(2),
        while_revalidate_ms,
        if_error_ms: flag(3).then_some(if_error_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta {
            status: 200,
            headers: (*b"Content-Type: a/b\r\n").into(),
            etag: Some("\"x\"".into()),
            last_modified_unix_s: Some(-5),
            received_unix_ms: 1,
            initial_age_ms: 2,
            lifetime_ms: 3,
            reuse: Reuse { immutable: true, if_error_ms: Some(4), ..Reuse::default() },
            variant_of: Some(Key([5, 6])),
            key_text: "site /path".into(),
            tags: "one two".into(),
            stamp: Stamp::new(9),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_shorter() {
        let slices = StoredBody::Slices { generation: 1, slice_generation: 2, len: 3 };
        let bare = Meta { etag: None, last_modified_unix_s: None, variant_of: None, ..meta() };
        for (meta, body) in [(meta(), slices.clone()), (bare, StoredBody::Memory)] {
            let bytes = encode(&meta, &body);
            assert_eq!(decode(&bytes), Some((meta, body)));
            for len in 0..bytes.len() {
                assert_eq!(decode(&bytes[..len]), None, "{len}");
            }
            assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, at in 0usize..80, value: u8) {
            let _ = decode(&bytes);
            let mut near = encode(&meta(), &StoredBody::Memory);
            if let Some(byte) = near.get_mut(at) {
                *byte = value;
            }
            let _ = decode(&near);
        }
    }
}
