//! Variants of one URL (RFC 9111 §4.1): under the URL's key lies the list of the request fields its
//! responses hang on; each response lies under a key made of that and of the fields' values.

use super::bytes::{Reader, Writer};
use super::key::{Key, KeyBuilder, Seed};
use crate::http::selecting;
use crate::limits::{VARIANTS_MAX, VARY_FIELDS_MAX};

/// What tells the variants of one URL apart. A new list makes all variants of the old one unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants {
    generation: u64,
    /// Field names, lower-case, in order.
    names: Box<[Box<str>]>,
    /// Keys of the variants that were stored, oldest first.
    keys: Box<[Key]>,
}

impl Variants {
    /// A list without variants; `generation` must be new. `None`: more names than are told apart.
    pub fn new(generation: u64, names: impl IntoIterator<Item = String>) -> Option<Variants> {
        let mut names: Vec<Box<str>> =
            names.into_iter().map(|name| name.to_ascii_lowercase().into()).collect();
        names.sort_unstable();
        names.dedup();
        let fits = names.len() <= VARY_FIELDS_MAX;
        fits.then(|| Variants { generation, names: names.into(), keys: Box::default() })
    }

    /// Whether responses that hang on `names` are told apart by this list.
    pub fn covers<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> bool {
        names.all(|name| self.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The key of the variant, of the URL with `key`, that a request with `fields` is answered with.
    /// Allocates nothing.
    pub fn select<'f>(
        &self,
        key: Key,
        fields: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> Key {
        let mut builder = Some(KeyBuilder::new(Seed(key.0), "variant"));
        let mut add = |part: &[u8]| builder = builder.take().map(|builder| builder.part(part));
        add(&self.generation.to_le_bytes());
        for name in &self.names {
            let lines = fields.clone().filter(|(field, _)| field.eq_ignore_ascii_case(name));
            add(if lines.clone().next().is_some() { b"+" } else { b"-" });
            selecting::pieces(name, lines.map(|(_, value)| value), |piece| add(piece));
            add(b"");
        }
        builder.map_or(key, KeyBuilder::finish)
    }

    /// Whether a variant was stored under `key`.
    pub fn knows(&self, key: Key) -> bool {
        self.keys.contains(&key)
    }

    /// The list with one more variant, and the one that is too many now.
    pub fn with(&self, key: Key) -> (Variants, Option<Key>) {
        let mut keys = self.keys.to_vec();
        keys.push(key);
        let excess = (keys.len() > VARIANTS_MAX).then(|| keys.remove(0));
        (Variants { keys: keys.into(), ..self.clone() }, excess)
    }

    /// Memory it takes, bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.keys) + self.names().map(|name| name.len() + 16).sum::<usize>()
    }

    /// As bytes, for records.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u64(self.generation).u16(self.names.len() as u16);
        for name in &self.names {
            to.block(name.as_bytes());
        }
        for key in &self.keys {
            to.raw(&key.to_bytes());
        }
        to.0
    }

    /// The reverse of [`Variants::encode`].
    pub(super) fn decode(bytes: &[u8]) -> Option<Variants> {
        let mut from = Reader(bytes);
        let generation = from.u64()?;
        let count = from.u16()?;
        let names: Option<Vec<String>> =
            (0..count).map(|_| Some(from.text()?.to_owned())).collect();
        let (keys, rest) = from.0.as_chunks::<16>();
        let keys = keys.iter().take(VARIANTS_MAX).map(|bytes| Key::from_bytes(*bytes)).collect();
        let list = Variants::new(generation, names?)?;
        rest.is_empty().then_some(Variants { keys, ..list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: Key = Key([1, 2]);

    fn variants(names: &[&str]) -> Variants {
        Variants::new(7, names.iter().map(|name| name.to_string())).unwrap()
    }

    fn key(of: &Variants, fields: &[(&str, &str)]) -> Key {
        of.select(URL, fields.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn requests_are_told_apart_by_the_named_fields_alone() {
        // RFC 9111 §4.1
        let two = variants(&["Foo", "bar"]);
        let one = key(&two, &[("foo", "1"), ("Bar", "2"), ("Other", "3")]);
        assert_eq!(one, key(&two, &[("BAR", "2"), ("FOO", "1"), ("Other", "4")]));
        for other in [
            &[("foo", "1")][..],
            &[("foo", "1"), ("bar", "3")],
            &[("foo", "2"), ("bar", "1")],
            &[("foo", "1, 2")],
            &[("foo", "1"), ("bar", "2"), ("bar", "2")],
            &[("bar", "2")],
            &[],
        ] {
            assert_ne!(one, key(&two, other), "{other:?}");
        }
        // Absent on both sides is a match; empty is not absent.
        assert_eq!(key(&two, &[("x", "1")]), key(&two, &[]));
        assert_ne!(key(&two, &[("foo", "")]), key(&two, &[]));
        let anew = Variants { generation: 8, ..two.clone() };
        assert_ne!(one, key(&anew, &[("foo", "1"), ("bar", "2")]));
        assert!(two.covers(["FOO"].into_iter()) && !two.covers(["foo", "baz"].into_iter()));
    }

    #[test]
    fn variants_are_bounded() {
        let mut list = variants(&["foo"]);
        for number in 0..VARIANTS_MAX as u64 {
            let (next, excess) = list.with(Key([number, 0]));
            assert_eq!(excess, None);
            list = next;
        }
        let (list, excess) = list.with(Key([99, 99]));
        assert_eq!(excess, Some(Key([0, 0])));
        assert!(list.knows(Key([99, 99])) && !list.knows(Key([0, 0])));
        assert_eq!(Variants::decode(&list.encode()), Some(list));
        let many = (0..=VARY_FIELDS_MAX).map(|number| number.to_string());
        assert_eq!(Variants::new(1, many), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Variants::decode(&bytes);
        }
    }
}
