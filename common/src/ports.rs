//! The ports of this host, as the guard sees them.

/// Ports a word of the table stands for.
const WORD_BITS: usize = 64;
/// Words of a set of every port.
const WORDS: usize = 65_536 / WORD_BITS;

/// Map `ports`, its one entry: two sets of TCP ports, a bit each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Ports the node serves: limits hold here.
    pub served: [u64; WORDS],
    /// Ports on which nothing is ever dropped.
    pub exempt: [u64; WORDS],
}

impl Ports {
    /// No port is anything.
    pub const EMPTY: Ports = Ports { served: [0; WORDS], exempt: [0; WORDS] };

    /// Whether the node serves `port`.
    #[inline(always)]
    pub const fn serves(&self, port: u16) -> bool {
        has(&self.served, port)
    }

    /// Whether nothing is dropped on `port`.
    #[inline(always)]
    pub const fn exempts(&self, port: u16) -> bool {
        has(&self.exempt, port)
    }

    /// Adds to the ports the node serves.
    pub const fn serve(&mut self, port: u16) {
        self.served[port as usize / WORD_BITS] |= 1 << (port as usize % WORD_BITS);
    }

    /// Adds to the ports on which nothing is dropped.
    pub const fn exempt(&mut self, port: u16) {
        self.exempt[port as usize / WORD_BITS] |= 1 << (port as usize % WORD_BITS);
    }
}

#[inline(always)]
const fn has(set: &[u64; WORDS], port: u16) -> bool {
    // A u16 is below 65,536: the index is always within.
    set[port as usize / WORD_BITS] >> (port as usize % WORD_BITS) & 1 == 1
}

const _: () = assert!(size_of::<Ports>() == 16_384);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_in_the_set_it_was_put_in_and_no_other_is() {
        let mut ports = Ports::EMPTY;
        for port in [0, 63, 64, 8080, u16::MAX] {
            ports.serve(port);
        }
        ports.exempt(22);
        let served: [bool; 5] = [0, 63, 64, 8080, 65_535].map(|port| ports.serves(port));
        assert_eq!(served, [true; 5]);
        assert_eq!((0..=u16::MAX).filter(|port| ports.serves(*port)).count(), 5);
        assert_eq!((0..=u16::MAX).filter(|port| ports.exempts(*port)).count(), 1);
        assert!(ports.exempts(22) && !ports.serves(22));
    }
}
