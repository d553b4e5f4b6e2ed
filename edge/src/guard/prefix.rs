//! Address prefixes as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An IPv4 or IPv6 prefix without host bits. IPv4-mapped IPv6 is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Not of that form.
    #[error(
        "{text:?} is no address or prefix: write it like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
    )]
    Form {
        /// What was written.
        text: String,
    },
    /// Longer than an address.
    #[error("{text:?}: a prefix of this family has at most {max} bits")]
    Length {
        /// What was written.
        text: String,
        /// Bits of an address.
        max: u8,
    },
    /// Bits beyond the length.
    #[error("{text:?} has bits beyond its length: write {network} for the network, or {address}")]
    HostBits {
        /// What was written.
        text: String,
        /// The prefix it lies in.
        network: Prefix,
        /// The single address.
        address: IpAddr,
    },
}

impl Prefix {
    /// One address.
    pub fn host(address: IpAddr) -> Prefix {
        let address = address.to_canonical();
        Prefix { address, bits: address_bits(address) }
    }

    /// The network of `bits` bits that holds `address`; lengths beyond the family's mean one address.
    pub fn network(address: IpAddr, bits: u8) -> Prefix {
        let bits = bits.min(address_bits(address));
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        match address {
            IpAddr::V6(v6) if bits >= 96 && v6.to_ipv4_mapped().is_some() => {
                Prefix { address: address.to_canonical(), bits: bits - 96 }
            }
            _ => Prefix { address, bits },
        }
    }

    /// Whether it covers `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Prefix::network(address, self.bits) == *self
    }

    /// Whether it is a single address.
    pub fn is_host(&self) -> bool {
        self.bits == address_bits(self.address)
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Its length, bits.
    pub fn bits(&self) -> u8 {
        self.bits
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let form = || PrefixError::Form { text: text.to_owned() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let Some(length) = length else {
            return Ok(Prefix::host(address));
        };
        if length.is_empty() || length.len() > 3 || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let max = address_bits(address);
        let bits: u16 = length.parse().map_err(|_| form())?;
        let bits = u8::try_from(bits).ok().filter(|bits| *bits <= max);
        let bits = bits.ok_or_else(|| PrefixError::Length { text: text.to_owned(), max })?;
        let network = Prefix::network(address, bits);
        if network.address != address.to_canonical() && network.address != address {
            return Err(PrefixError::HostBits { text: text.to_owned(), network, address });
        }
        Ok(network)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == address_bits(self.address) {
            return self.address.fmt(f);
        }
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_cure() {
        for (text, message) in [
            ("", "is no address or prefix"),
            ("example.com", "is no address or prefix"),
            ("192.0.2", "is no address or prefix"),
            ("192.0.2.0/", "is no address or prefix"),
            ("192.0.2.0/+8", "is no address or prefix"),
            ("192.0.2.0/33", "at most 32 bits"),
            ("2001:db8::/129", "at most 128 bits"),
            ("2001:db8::/999", "at most 128 bits"),
            ("192.0.2.7/24", "write 192.0.2.0/24 for the network, or 192.0.2.7"),
            ("2001:db8::1/64", "write 2001:db8::/64 for the network, or 2001:db8::1"),
            ("::ffff:192.0.2.7/120", "write 192.0.2.0/24"),
        ] {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn shown_and_read_again_it_is_the_same(bits4: u32, bits6: u128, length: u8) {
            for address in [IpAddr::V4(bits4.into()), IpAddr::V6(bits6.into())] {
                let prefix = Prefix::network(address, length);
                assert_eq!(prefix.to_string().parse(), Ok(prefix));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = text.parse::<Prefix>();
        }
    }
}
