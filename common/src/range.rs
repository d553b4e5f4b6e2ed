//! What the shooting range of tests and measurements shares with its programs.

/// Length of a packet that it makes: Ethernet, IPv4 and TCP without tags and IP options.
pub const TEMPLATE_BYTES: usize = 74;
/// Where its source address is.
pub const SOURCE_AT: usize = 26;

/// Map `aim`, its one entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The packet; its source and its checksums are written anew each time.
    pub template: [u8; TEMPLATE_BYTES],
    /// Always zero.
    pub zero: [u8; 2],
    /// The lowest source address.
    pub first_source: u32,
    /// How many there are, each as likely as any other.
    pub sources: u32,
    /// From each to the next.
    pub step: u32,
    /// Sum of the 16-bit numbers of the IPv4 header, source and checksum left out.
    pub ip_sum: u32,
    /// Sum of those of TCP and its pseudo header, source and checksum left out.
    pub tcp_sum: u32,
    /// Interface that packets are sent out of.
    pub interface: u32,
}

impl Aim {
    /// At `interface`, with `template`, from `sources` addresses.
    pub fn new(
        template: [u8; TEMPLATE_BYTES],
        first_source: u32,
        sources: u32,
        step: u32,
        interface: u32,
    ) -> Aim {
        let sum = |part: &[u8], without: usize| -> u32 {
            let words = part.chunks(2).enumerate();
            let words = words.filter(|(index, _)| index * 2 != without);
            words.map(|(_, word)| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum()
        };
        let ip = &template[14..34];
        let tcp = &template[34..];
        let source = sum(&template[26..30], 99);
        Aim {
            template,
            zero: [0; 2],
            first_source,
            sources,
            step,
            ip_sum: sum(ip, 10) - source,
            tcp_sum: sum(tcp, 16) + sum(&template[30..34], 99) + 6 + tcp.len() as u32,
            interface,
        }
    }
}

const _: () = assert!(size_of::<Aim>() == 100);
