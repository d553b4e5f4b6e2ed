//! Responses as they came over the wire.

/// A response head.
#[derive(Clone, Debug)]
pub struct Head {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Status code.
    pub status: u16,
    /// Fields in the order they came, names as sent.
    pub fields: Vec<(String, String)>,
    /// Bytes on the wire, the empty line included.
    pub wire_bytes: usize,
}

impl Head {
    /// Parses a head that ends in its empty line; `None` when it is not one.
    pub fn parse(bytes: &[u8]) -> Option<Head> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
        let mut lines = text.split("\r\n");
        let (version, rest) = lines.next()?.split_once(' ')?;
        let status = rest.get(..3)?.parse().ok()?;
        let fields = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.into(), value.into())))
            .collect::<Option<Vec<_>>>()?;
        let known = version == "HTTP/1.1" || version == "HTTP/1.0";
        known.then(|| Head { version: version.into(), status, fields, wire_bytes: bytes.len() })
    }

    /// The value of the first field of that name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of a field that must be there.
    #[track_caller]
    pub fn expect_field(&self, name: &str) -> &str {
        self.field(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// `Content-Length`, if it is there and a number.
    pub fn content_length(&self) -> Option<u64> {
        self.field("content-length")?.parse().ok()
    }

    /// Whether the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// Whether a response to `method` has a body at all (RFC 9112 §6.3).
    pub fn has_body(&self, method: &str) -> bool {
        method != "HEAD" && self.status >= 200 && self.status != 204 && self.status != 304
    }

    /// `Content-Range` as `(start, end exclusive, total)`.
    #[track_caller]
    pub fn content_range(&self) -> (u64, u64, u64) {
        let value = self.expect_field("content-range");
        let numbers = || {
            let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1, total.parse().ok()?))
        };
        numbers().unwrap_or_else(|| panic!("Content-Range {value:?} is not bytes A-B/N"))
    }
}

/// A response with its body.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// The body's bytes, without chunk framing.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing said; `false`: it was cut.
    pub complete: bool,
}

impl Response {
    /// Panics unless the status is `status` and the body is complete.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Response {
        assert_eq!(self.head.status, status, "status; head {:?}", self.head);
        assert!(self.complete, "cut after {} body bytes: {:?}", self.body.len(), self.head);
        self
    }
}
