//! HTTP/1.1 as bytes and as meaning: RFC 9110, 9111 and 9112 without a socket, a clock or, on the
//! path of a request, an allocation.
//!
//! [`request`] reads heads and is as strict as it can be: what two parsers could read differently is
//! refused. [`response`] writes heads. The rest are the meanings of single fields.
#![forbid(unsafe_code)]

pub mod accept_encoding;
pub mod cache_control;
pub mod chunked;
pub mod conditional;
pub mod date;
pub mod etag;
pub mod hop;
pub mod lines;
pub mod mime;
pub mod path;
pub mod range;
pub mod request;
pub mod response;
pub mod selecting;
pub mod targeted;
pub mod trailers;

mod fault;
mod framing;
mod host;
mod request_line;
pub(crate) mod token;

pub use accept_encoding::Coding;
pub use token::is_token_byte;

#[cfg(test)]
mod smuggling;
