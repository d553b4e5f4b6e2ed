//! What can be wrong with a request.

use crate::limits;

/// Why a request is refused. The connection cannot be used afterwards: where the next request
/// would begin is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestError {
    /// More than the body this node takes (413). Not found by the parser: for its callers.
    #[error("request body too large; this node takes no uploads")]
    BodyTooLarge,
    /// CR or LF that is not part of CRLF (RFC 9112 §2.2).
    #[error("bare CR or LF in the head; lines end in CRLF")]
    BareLineBreak,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 §6.1).
    #[error("Transfer-Encoding in an HTTP/1.0 request; send Content-Length")]
    CodingInHttp10,
    /// `Transfer-Encoding` twice, or its last coding is not `chunked` (RFC 9112 §6.3).
    #[error("Transfer-Encoding does not end in a single chunked")]
    CodingInvalid,
    /// A transfer coding besides `chunked` (RFC 9112 §6.1).
    #[error("transfer coding not implemented; send chunked alone")]
    CodingUnknown,
    /// More than two empty lines before the request line (RFC 9112 §2.2).
    #[error("empty lines where a request line was expected")]
    EmptyLines,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("expectation not known; send 100-continue or none")]
    ExpectationUnknown,
    /// White space before the colon, folding, no colon, no name (RFC 9112 §5).
    #[error("malformed field name; send name, colon, value on one line")]
    FieldName,
    /// A control byte in a field value (RFC 9110 §5.5).
    #[error("control byte in a field value")]
    FieldValue,
    /// More fields than `limits::REQUEST_HEADERS_MAX`.
    #[error("more than {} fields in the head", limits::REQUEST_HEADERS_MAX)]
    FieldsTooMany,
    /// The head did not arrive in time (408). Not found by the parser: for its callers.
    #[error("request head not complete in time")]
    HeadTimeout,
    /// A head longer than `limits::REQUEST_HEAD_MAX_BYTES`.
    #[error("head longer than {} bytes", limits::REQUEST_HEAD_MAX_BYTES)]
    HeadTooLarge,
    /// A `Host` that is not a host and an optional port (RFC 9112 §3.2).
    #[error("malformed Host; send a name or an address and an optional port")]
    HostInvalid,
    /// No `Host` in HTTP/1.1 (RFC 9112 §3.2).
    #[error("no Host in an HTTP/1.1 request")]
    HostMissing,
    /// More than one `Host` (RFC 9112 §3.2).
    #[error("more than one Host")]
    HostRepeated,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.3).
    #[error("both Content-Length and Transfer-Encoding; send one")]
    LengthAndCoding,
    /// A `Content-Length` that is not one number of 64 bits (RFC 9110 §8.6).
    #[error("malformed Content-Length; send one decimal number")]
    LengthInvalid,
    /// More than one `Content-Length`, the same or not (RFC 9112 §6.3).
    #[error("more than one Content-Length")]
    LengthRepeated,
    /// The method is not a token (RFC 9110 §9.1).
    #[error("malformed method")]
    MethodInvalid,
    /// `CONNECT`, or a name longer than any method's (RFC 9110 §9.1).
    #[error("method not implemented")]
    MethodUnsupported,
    /// A target with a byte no URI has, or of a form the method does not take (RFC 9112 §3.2).
    #[error("malformed request target; percent-encode what is not plain ASCII")]
    TargetInvalid,
    /// A target longer than `limits::REQUEST_TARGET_MAX_BYTES`.
    #[error("request target longer than {} bytes", limits::REQUEST_TARGET_MAX_BYTES)]
    TargetTooLong,
    /// No well-formed version at the end of the request line (RFC 9112 §2.3).
    #[error("malformed HTTP version")]
    VersionInvalid,
    /// A version other than 1.0 and 1.1, the HTTP/2 preface among them (RFC 9110 §15.6.6).
    #[error("HTTP version not supported; use 1.1 or 1.0")]
    VersionUnsupported,
}

impl RequestError {
    /// The status code it is answered with.
    pub fn status(&self) -> u16 {
        use RequestError::*;
        match self {
            HeadTimeout => 408,
            BodyTooLarge => 413,
            TargetTooLong => 414,
            ExpectationUnknown => 417,
            FieldsTooMany | HeadTooLarge => 431,
            CodingUnknown | MethodUnsupported => 501,
            VersionUnsupported => 505,
            BareLineBreak | CodingInHttp10 | CodingInvalid | EmptyLines | FieldName
            | FieldValue | HostInvalid | HostMissing | HostRepeated | LengthAndCoding
            | LengthInvalid | LengthRepeated | MethodInvalid | TargetInvalid | VersionInvalid => {
                400
            }
        }
    }

    /// A stable name: log field and metric label.
    pub fn as_str(&self) -> &'static str {
        use RequestError::*;
        match self {
            BodyTooLarge => "body_too_large",
            BareLineBreak => "bare_line_break",
            CodingInHttp10 => "coding_in_http10",
            CodingInvalid => "coding_invalid",
            CodingUnknown => "coding_unknown",
            EmptyLines => "empty_lines",
            ExpectationUnknown => "expectation_unknown",
            FieldName => "field_name",
            FieldValue => "field_value",
            FieldsTooMany => "fields_too_many",
            HeadTimeout => "head_timeout",
            HeadTooLarge => "head_too_large",
            HostInvalid => "host_invalid",
            HostMissing => "host_missing",
            HostRepeated => "host_repeated",
            LengthAndCoding => "length_and_coding",
            LengthInvalid => "length_invalid",
            LengthRepeated => "length_repeated",
            MethodInvalid => "method_invalid",
            MethodUnsupported => "method_unsupported",
            TargetInvalid => "target_invalid",
            TargetTooLong => "target_too_long",
            VersionInvalid => "version_invalid",
            VersionUnsupported => "version_unsupported",
        }
    }
}

impl From<httparse::Error> for RequestError {
    /// Of the field block; request lines are not read by `httparse`.
    fn from(error: httparse::Error) -> RequestError {
        match error {
            httparse::Error::HeaderValue => RequestError::FieldValue,
            httparse::Error::NewLine => RequestError::BareLineBreak,
            httparse::Error::TooManyHeaders => RequestError::FieldsTooMany,
            _ => RequestError::FieldName,
        }
    }
}
