//! The fields both sides know, and those they have learnt (RFC 7541 §2.3, Appendix A).

use std::collections::VecDeque;

/// What an entry costs beside its bytes (RFC 7541 §4.1).
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

/// Field `index` of the static table, from 1.
#[rustfmt::skip]
pub const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

/// The index of a response field's name; 0: it has none.
pub fn name_index(name: &[u8]) -> u8 {
    match name {
        b"accept-ranges" => 18,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"date" => 33,
        b"etag" => 34,
        b"expires" => 36,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => 0,
    }
}

/// What was learnt, the newest first, with a ceiling.
pub struct Dynamic<T> {
    entries: VecDeque<(usize, T)>,
    size_bytes: usize,
    max_bytes: usize,
}

impl<T> Dynamic<T> {
    pub fn new(max_bytes: usize) -> Dynamic<T> {
        Dynamic { entries: VecDeque::new(), size_bytes: 0, max_bytes }
    }

    /// The entry at `index`, from 0.
    pub fn find(&self, index: usize) -> Option<&T> {
        self.entries.get(index).map(|(_, entry)| entry)
    }

    /// Entries from the newest on.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// Adds an entry whose name and value are `bytes` long; one that is larger than the table only
    /// empties it (RFC 7541 §4.4).
    pub fn insert(&mut self, bytes: usize, entry: impl FnOnce() -> T) {
        let cost = bytes + ENTRY_OVERHEAD_BYTES;
        self.evict(self.max_bytes.saturating_sub(cost));
        if cost <= self.max_bytes {
            self.entries.push_front((cost, entry()));
            self.size_bytes += cost;
        }
    }

    pub fn set_max(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        self.evict(max_bytes);
    }

    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    fn evict(&mut self, down_to: usize) {
        while self.size_bytes > down_to {
            let Some((cost, _)) = self.entries.pop_back() else { break };
            self.size_bytes -= cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_places() {
        for (at, (name, _)) in STATIC.iter().enumerate() {
            let index = name_index(name.as_bytes());
            assert!(index == 0 || usize::from(index) == at + 1, "{name}");
        }
        assert_eq!(STATIC[name_index(b"etag") as usize - 1].0, "etag");
    }

    #[test]
    fn the_oldest_make_room() {
        let mut table = Dynamic::new(100);
        table.insert(10, || 'a');
        table.insert(10, || 'b');
        table.insert(10, || 'c');
        assert_eq!(table.iter().collect::<String>(), "cb");
        table.set_max(42);
        assert_eq!(table.iter().collect::<String>(), "c");
        table.insert(11, || 'd');
        assert_eq!(table.find(0), None);
    }
}
