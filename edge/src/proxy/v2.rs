//! Version 2: binary, with a length and optional fields (section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Parsed, ProxyFault};
use crate::limits::PROXY_HEADER_MAX_BYTES;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// Version 2 in the upper half, the command in the lower.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Families: unspecified, and what a stream may be.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
/// `PP2_TYPE_CRC32C`: of the whole header, this value taken for noughts.
const CRC32C: u8 = 0x03;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ProxyFault> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        // Told as early as can be: nothing that follows makes a wrong command right.
        return match bytes.get(12).is_some_and(|command| !matches!(*command, LOCAL | PROXY)) {
            true => Err(ProxyFault::Malformed),
            false => Ok(Parsed::Partial),
        };
    };
    let (command, family) = (fixed[12], fixed[13]);
    if !matches!(command, LOCAL | PROXY) {
        return Err(ProxyFault::Malformed);
    }
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > PROXY_HEADER_MAX_BYTES {
        return Err(ProxyFault::Large { got: len, max: PROXY_HEADER_MAX_BYTES });
    }
    let Some(body) = rest.get(..len - FIXED_BYTES) else { return Ok(Parsed::Partial) };
    let (client, address_bytes) = match family {
        // A balancer's own connection, a health check for instance: its family is to be ignored, and
        // whatever follows is passed over.
        _ if command == LOCAL => return Ok(Parsed::Header { len, client: None }),
        UNSPECIFIED => return Ok(Parsed::Header { len, client: None }),
        TCP4 => {
            let address = body.first_chunk::<12>().ok_or(ProxyFault::Malformed)?;
            let source = Ipv4Addr::new(address[0], address[1], address[2], address[3]);
            let port = u16::from_be_bytes([address[8], address[9]]);
            (Some(SocketAddr::new(source.into(), port)), 12)
        }
        TCP6 => {
            let address = body.first_chunk::<36>().ok_or(ProxyFault::Malformed)?;
            let mut source = [0; 16];
            source.copy_from_slice(&address[..16]);
            let source = Ipv6Addr::from(source).to_canonical();
            let port = u16::from_be_bytes([address[32], address[33]]);
            (Some(SocketAddr::new(source, port)), 36)
        }
        UNIX_STREAM => (None, 216),
        _ => return Err(ProxyFault::Foreign),
    };
    let fields = body.get(address_bytes..).ok_or(ProxyFault::Malformed)?;
    check(&bytes[..len], fields)?;
    Ok(Parsed::Header { len, client })
}

/// Passes over the optional fields at the end of `header`; a checksum must be right.
fn check(header: &[u8], mut fields: &[u8]) -> Result<(), ProxyFault> {
    while !fields.is_empty() {
        let [kind, high, low, rest @ ..] = fields else { return Err(ProxyFault::Malformed) };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..len).ok_or(ProxyFault::Malformed)?;
        if *kind == CRC32C {
            let told =
                value.try_into().map(u32::from_be_bytes).map_err(|_| ProxyFault::Malformed)?;
            let at = header.len() - rest.len();
            let sum = crc32c::crc32c(&header[..at]);
            let sum = crc32c::crc32c_append(sum, &[0; 4]);
            if crc32c::crc32c_append(sum, &header[at + 4..]) != told {
                return Err(ProxyFault::Checksum);
            }
        }
        fields = &rest[len..];
    }
    Ok(())
}
