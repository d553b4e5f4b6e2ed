//! The lists: longest-prefix tries of source addresses.

/// Maps `allow4` and `deny4`, the address in the key.
///
/// The kernel keeps a trie's value right behind its key; four more bytes align the value's 64-bit
/// counters. Prefixes are at most 32 bits long, so they are never compared.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address4 {
    /// In network order.
    pub address: [u8; 4],
    /// Always zero.
    pub zero: [u8; 4],
}

impl Address4 {
    /// The key of an address.
    #[inline(always)]
    pub const fn new(address: [u8; 4]) -> Address4 {
        Address4 { address, zero: [0; 4] }
    }
}

/// Maps `allow4` and `allow6`, value. Being there is what counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Who put it there: [`crate::reason::CONFIG`].
    pub reason: u32,
    /// Length of this prefix, bits.
    pub prefix_bits: u32,
}

/// Maps `deny4` and `deny6` (networks), and `deny_hosts` (single addresses, as flows have them), value.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deny {
    /// When it ends (`CLOCK_MONOTONIC`), ns; 0: never.
    pub until_ns: u64,
    /// Packets it judged.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// A drop reason of [`crate::reason`].
    pub reason: u32,
    /// Length of this prefix, bits: an ended entry must not hide a wider one that still holds.
    pub prefix_bits: u32,
}

impl Deny {
    /// Whether it holds at `now_ns`.
    #[inline(always)]
    pub const fn holds(&self, now_ns: u64) -> bool {
        self.until_ns == 0 || now_ns < self.until_ns
    }
}

const _: () = assert!(size_of::<Address4>() == 8);
const _: () = assert!(size_of::<Allow>() == 8);
const _: () = assert!(size_of::<Deny>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_ends_at_its_instant_and_zero_never() {
        let entry = |until_ns| Deny { until_ns, packets: 0, bytes: 0, reason: 9, prefix_bits: 32 };
        assert!(entry(0).holds(u64::MAX));
        assert!(entry(10).holds(9));
        assert!(!entry(10).holds(10));
    }
}
