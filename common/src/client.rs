//! Clients: what is kept of a source prefix, and where.

/// Maps `proven` (by prefix) and `unproven` (by [`slot`]), value. Counts and buckets are written
/// atomically, from any CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Bucket of connection attempts: theoretical arrival time (`CLOCK_MONOTONIC`), ns.
    pub syn_ns: u64,
    /// Bucket of packets.
    pub packet_ns: u64,
    /// Bucket of bytes.
    pub byte_ns: u64,
    /// Live connections, as a number with a sign: ends of connections from before the count began
    /// may take it below nought.
    pub conns: u64,
    /// Packets over a limit, dropped or only observed.
    pub limited_packets: u64,
    /// When the last of them came, ns.
    pub limited_ns: u64,
    /// Why, a number of [`crate::reason`].
    pub limited_reason: u64,
    /// When its last connection was established, ns.
    pub proven_ns: u64,
    /// Connections it has established.
    pub handshakes: u64,
    /// Packets received from it, as far as its flows have been settled.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments sent to it on connections that have ended.
    pub sent_segments: u64,
    /// Bytes it acknowledged on them.
    pub acked_bytes: u64,
    /// Segments sent again on them.
    pub retransmits: u64,
    /// Smoothed round trip of the last one to end, 1/8 µs.
    pub srtt_eighths_us: u64,
    /// Always zero.
    pub zero: u64,
}

impl Client {
    /// Live connections.
    #[inline(always)]
    pub const fn live_conns(&self) -> u64 {
        let conns = self.conns as i64;
        if conns < 0 { 0 } else { conns as u64 }
    }
}

/// The prefix of an address as flows have it, a client's identity. `mask` is as long as the address:
/// for IPv4 its first 96 bits are ones.
#[inline(always)]
pub const fn prefix(address: [u8; 16], mask: [u8; 16]) -> [u8; 16] {
    (u128::from_ne_bytes(address) & u128::from_ne_bytes(mask)).to_ne_bytes()
}

/// The mask of a prefix of `bits`; more than 128 are 128.
pub const fn mask(bits: u32) -> [u8; 16] {
    match u128::MAX.checked_shl(128u32.saturating_sub(bits)) {
        Some(mask) => mask.to_be_bytes(),
        None => [0; 16],
    }
}

/// Where an unproven prefix is kept among `slots`: strangers may share a place, so that no number of
/// them evicts anybody. `seed` keeps the places from being foretold.
#[inline(always)]
pub const fn slot(prefix: [u8; 16], seed: u64, slots: u32) -> u32 {
    let [a, b, c, d, e, f, g, h, rest @ ..] = prefix;
    let mut mixed = seed ^ u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    mixed = mix(mixed) ^ u64::from_ne_bytes(rest);
    // The upper half, scaled to the table.
    (((mix(mixed) >> 32) * slots as u64) >> 32) as u32
}

/// The finaliser of MurmurHash3: every bit of the input changes half of the output's.
#[inline(always)]
const fn mix(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

const _: () = assert!(size_of::<Client>() == 128);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapped;

    #[test]
    fn prefixes_are_cut_where_the_mask_ends() {
        let v4 = mapped([192, 0, 2, 77]);
        assert_eq!(prefix(v4, mask(96 + 32)), v4);
        assert_eq!(prefix(v4, mask(96 + 24)), mapped([192, 0, 2, 0]));
        let v6 = [0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(prefix(v6, mask(64)), [0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(prefix(v6, mask(0)), [0; 16]);
        assert_eq!(prefix(v6, mask(200)), v6);
    }

    #[test]
    fn neighbours_are_spread_over_the_table() {
        const SLOTS: u32 = 1_024;
        let mut used = [0u32; SLOTS as usize];
        for address in 0..10_240u32 {
            let place = slot(mapped(address.to_be_bytes()), 42, SLOTS);
            used[place as usize] += 1;
        }
        let most = used.iter().max().unwrap();
        assert!(*most < 30, "{most} addresses of 10 share a place");
    }

    proptest::proptest! {
        #[test]
        fn a_place_is_always_in_the_table(prefix: [u8; 16], seed: u64, slots in 1u32..) {
            proptest::prop_assert!(slot(prefix, seed, slots) < slots);
        }
    }
}
