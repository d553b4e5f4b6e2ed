//! What the fields of a head say about the message itself: its host, how its body ends, whether the
//! connection goes on (RFC 9112 §3.2, §6 and §9.3, RFC 9110 §10.1.1).

use super::fault::RequestError;
use super::host::host;
use super::request::{BodyLength, Version};
use super::token::{decimal, members};

/// Collected field by field, in order, so that a head is refused at the line that is wrong.
#[derive(Debug)]
pub struct Framing<'b> {
    version: Version,
    host: Option<&'b str>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
}

/// What a whole head says.
#[derive(Debug)]
pub struct Framed<'b> {
    pub host: Option<&'b str>,
    pub body: BodyLength,
    pub keep_alive: bool,
    pub expect_continue: bool,
}

impl<'b> Framing<'b> {
    pub fn new(version: Version) -> Framing<'b> {
        Framing {
            version,
            host: None,
            length: None,
            chunked: false,
            close: false,
            keep_alive: false,
            expect_continue: false,
        }
    }

    /// Takes the next field.
    pub fn field(&mut self, name: &str, value: &'b [u8]) -> Result<(), RequestError> {
        // By length first: most fields are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.host(value),
            6 if name.eq_ignore_ascii_case("expect") => self.expect(value),
            10 if name.eq_ignore_ascii_case("connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case("content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// The head is whole.
    pub fn finish(self) -> Result<Framed<'b>, RequestError> {
        if self.host.is_none() && self.version == Version::Http11 {
            return Err(RequestError::HostMissing);
        }
        let body = match self.length {
            _ if self.chunked => BodyLength::Chunked,
            None | Some(0) => BodyLength::Empty,
            Some(length) => BodyLength::Length(length),
        };
        Ok(Framed {
            host: self.host,
            body,
            keep_alive: !self.close && (self.keep_alive || self.version == Version::Http11),
            // Nothing to wait for: nothing to be told to go on with.
            expect_continue: self.expect_continue && body != BodyLength::Empty,
        })
    }

    fn host(&mut self, value: &'b [u8]) -> Result<(), RequestError> {
        if self.host.is_some() {
            return Err(RequestError::HostRepeated);
        }
        let name = std::str::from_utf8(value).ok().and_then(host);
        self.host = Some(name.ok_or(RequestError::HostInvalid)?);
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        if self.chunked {
            return Err(RequestError::LengthAndCoding);
        }
        if self.length.is_some() {
            return Err(RequestError::LengthRepeated);
        }
        self.length = Some(decimal(value).ok_or(RequestError::LengthInvalid)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), RequestError> {
        if self.version == Version::Http10 {
            return Err(RequestError::CodingInHttp10);
        }
        if self.length.is_some() {
            return Err(RequestError::LengthAndCoding);
        }
        if self.chunked {
            return Err(RequestError::CodingInvalid);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(other_coding(value));
        }
        self.chunked = true;
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), RequestError> {
        for option in members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), RequestError> {
        // An HTTP/1.0 expectation is to be ignored (RFC 9110 §10.1.1).
        if self.version == Version::Http11 {
            for expectation in members(value) {
                if !expectation.eq_ignore_ascii_case(b"100-continue") {
                    return Err(RequestError::ExpectationUnknown);
                }
                self.expect_continue = true;
            }
        }
        Ok(())
    }
}

/// A length is known only when `chunked` is the last coding and stands once (RFC 9112 §6.3, §7.1).
fn other_coding(value: &[u8]) -> RequestError {
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let last = members(value).last().is_some_and(chunked);
    let alone = members(value).count() == 1;
    if last && !alone && members(value).filter(|coding| chunked(coding)).count() == 1 {
        RequestError::CodingUnknown
    } else {
        RequestError::CodingInvalid
    }
}
