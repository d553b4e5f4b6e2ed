//! The flags of TCP.

/// The sender has no more data.
pub const FIN: u64 = 0x01;
/// The first segment of each side.
pub const SYN: u64 = 0x02;
/// The connection is gone.
pub const RST: u64 = 0x04;
/// Something is acknowledged.
pub const ACK: u64 = 0x10;

/// Whether no TCP sends these flags (RFC 9293 §3.10): two of open, close and reset at once, or a
/// segment within a connection that acknowledges nothing. Scanners do.
#[inline(always)]
pub const fn impossible(flags: u64) -> bool {
    let kinds = flags & (SYN | FIN | RST);
    // More than one bit set, or none of those a segment has at least one of.
    kinds & kinds.wrapping_sub(1) != 0 || flags & (SYN | RST | ACK) == 0
}

/// Whether it asks for a connection.
#[inline(always)]
pub const fn opens(flags: u64) -> bool {
    flags & (SYN | ACK) == SYN
}

#[cfg(test)]
mod tests {
    use super::*;

    const PSH: u64 = 0x08;
    const URG: u64 = 0x20;
    const ECE_AND_CWR: u64 = 0xc0;

    #[test]
    fn what_stacks_send_is_possible() {
        for flags in [
            SYN,
            SYN | ECE_AND_CWR,
            SYN | ACK,
            SYN | ACK | 0x40,
            // Fast open (RFC 7413) may push.
            SYN | PSH,
            ACK,
            PSH | ACK,
            URG | ACK,
            FIN | ACK,
            FIN | PSH | ACK,
            RST,
            RST | ACK,
            RST | PSH | ACK,
        ] {
            assert!(!impossible(flags), "{flags:#x}");
        }
    }

    #[test]
    fn what_scanners_send_is_not() {
        for flags in [0, FIN, PSH, URG, FIN | PSH | URG, SYN | FIN, SYN | RST, FIN | RST, 0xff] {
            assert!(impossible(flags), "{flags:#x}");
        }
    }

    #[test]
    fn only_a_first_segment_opens() {
        assert!(opens(SYN) && opens(SYN | ECE_AND_CWR));
        assert!(!opens(SYN | ACK) && !opens(ACK) && !opens(0));
    }
}
