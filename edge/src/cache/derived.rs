//! Objects that the node makes out of others: the same content, coded. Such an object lies under a key
//! of its own, made of the other's key and version; it is found through the other alone, so that it
//! goes out of use with it. Its fields are those in which it differs.

use super::{Body, Key, KeyBuilder, Meta, Object, Seed};
use crate::http::Coding;
use crate::http::etag;

/// The status in the head of what was made of another object (RFC 3229 §10.4.1, "IM Used"); nobody is
/// sent it.
pub const MADE: u16 = 226;
/// The status in the head of what was found not to be worth making.
pub const NOT_WORTH: u16 = 204;

/// What is made of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// The content, coded.
    Coded(Coding),
}

impl Derivation {
    /// What the result is found by.
    pub fn key(self, of: &Object) -> Key {
        let key = KeyBuilder::new(Seed(of.key.0), "derived");
        let key = match &of.body {
            Body::Slices(slices) => key.part(&slices.generation().to_le_bytes()),
            // The same bytes again only when something says so.
            _ => match &of.meta.etag {
                Some(tag) => key.part(tag.as_bytes()),
                None => key.part(&of.meta.received_unix_ms.to_le_bytes()),
            },
        };
        match self {
            Derivation::Coded(coding) => {
                key.part(b"coded").part(coding.as_str().as_bytes()).finish()
            }
        }
    }

    /// The entity tag of a result with the checksum `crc`: strong where the other's is, and another
    /// than the other's (RFC 9110 §8.8.3.3). The checksum is in it, for the next version of a coder
    /// may write other bytes.
    pub fn etag(self, of: &Meta, crc: u32) -> Option<Box<str>> {
        let tag = of.etag.as_deref()?;
        etag::parse(tag.as_bytes())?;
        let opaque = tag.strip_suffix('"')?;
        match self {
            Derivation::Coded(coding) => {
                Some(format!("{opaque}-{}-{crc:08x}\"", coding.as_str()).into())
            }
        }
    }
}

impl Object {
    /// What is made of `of`: its own fields are `headers`, and all that is said about purges is as of
    /// the other.
    pub fn derived(
        (of, how): (&Object, Derivation),
        status: u16,
        headers: Box<[u8]>,
        etag: Option<Box<str>>,
        body: Body,
    ) -> Object {
        let meta = Meta { status, headers, etag, variant_of: None, ..of.meta.clone() };
        Object::new(how.key(of), meta, body)
    }

    /// Whether it was made of another: no origin has its bytes.
    pub fn is_derived(&self) -> bool {
        self.meta.status == MADE
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn object(etag: Option<&str>, received_unix_ms: u64) -> Object {
        let meta = Meta { etag: etag.map(Into::into), received_unix_ms, ..Meta::example() };
        Object::new(Key([1, 2]), meta, Body::Memory(Bytes::from_static(b"a")))
    }

    #[test]
    fn versions_and_codings_are_told_apart() {
        let gzip = Derivation::Coded(Coding::Gzip);
        let keys = [
            gzip.key(&object(Some("\"a\""), 1)),
            gzip.key(&object(Some("\"b\""), 1)),
            gzip.key(&object(None, 1)),
            gzip.key(&object(None, 2)),
            Derivation::Coded(Coding::Brotli).key(&object(Some("\"a\""), 1)),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
        assert_eq!(
            keys[0],
            gzip.key(&object(Some("\"a\""), 9)),
            "the same version, asked for anew"
        );
    }

    #[test]
    fn tags_of_what_is_made() {
        let gzip = Derivation::Coded(Coding::Gzip);
        for (tag, expected) in [
            (Some("\"a\""), Some("\"a-gzip-0000002a\"")),
            (Some("W/\"a\""), Some("W/\"a-gzip-0000002a\"")),
            (Some("\"\""), Some("\"-gzip-0000002a\"")),
            (Some("bad"), None),
            (None, None),
        ] {
            assert_eq!(gzip.etag(&object(tag, 1).meta, 42).as_deref(), expected, "{tag:?}");
        }
    }
}
