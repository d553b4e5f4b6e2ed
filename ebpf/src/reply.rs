//! The answer to a connection attempt: the same frame, turned around.

use aya_ebpf::helpers::generated::bpf_xdp_adjust_tail;
use aya_ebpf::programs::XdpContext;
use edge_common::COOKIE_PLAIN;

use crate::frame::{Bytes, Frame, opaque};
use crate::packet::{Ipv4, Ipv6, Packet, TCP};

/// Window until the stack has taken over.
const WINDOW: u16 = u16::MAX;
const HOPS: u8 = 64;
const DO_NOT_FRAGMENT: [u8; 2] = [0x40, 0];
const SYN_AND_ACK: u8 = 0x12;
/// Kinds and lengths of options: RFC 9293 §3.2, RFC 7323 §2.2 and §3.2, RFC 2018 §2.
const NOTHING: u8 = 1;
const SEGMENT_SIZE: [u8; 2] = [2, 4];
const SCALE: [u8; 2] = [3, 3];
const SACK_PERMITTED: [u8; 2] = [4, 2];
const TIMESTAMPS: [u8; 2] = [8, 10];
const OPTIONS_MAX: usize = 16;
/// RFC 7323 §2.3.
const SCALE_MAX: u32 = 14;
const NO_SCALE: u32 = KEPT_NO_SCALE;
/// How the stack keeps what was offered in the timestamp of a cookie (`net/ipv4/syncookies.c`).
const KEPT_BITS: u32 = 0x3f;
const KEPT_NO_SCALE: u32 = 0xf;
const KEPT_SACK: u32 = 1 << 4;
const NS_PER_MS: u64 = 1_000_000;

/// Room of this CPU's for what a connection attempt says.
#[repr(C)]
pub struct Scratch {
    /// Its TCP header; the helpers want one that lies still.
    pub header: [u8; 64],
    options: Options,
}

/// What its options say.
#[repr(C)]
#[derive(Clone, Copy)]
struct Options {
    /// Where the next one is.
    at: u32,
    scale: u32,
    sack: u32,
    stamped: u32,
    echo: [u8; 4],
}

impl Options {
    const NONE: Options = Options { at: 0, scale: 0, sack: 0, stamped: 0, echo: [0; 4] };
}

/// What the answer offers.
pub struct Offer {
    mss: u16,
    /// The client's timestamp, to be echoed, and ours; without any, no other option either.
    timestamps: Option<([u8; 4], u32)>,
    scale: u8,
    sack: bool,
}

/// A header with a segment size only.
#[repr(C)]
struct Plain {
    head: Head,
    segment_size: [u8; 4],
}

/// One with everything.
#[repr(C)]
struct Full {
    head: Head,
    segment_size: [u8; 4],
    sack: [u8; 2],
    timestamps: [u8; 10],
    scale: [u8; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    ports: [u8; 4],
    sequence: [u8; 4],
    acknowledged: [u8; 4],
    length: u8,
    flags: u8,
    window: [u8; 2],
    checksum: [u8; 2],
    urgent: [u8; 2],
}

/// The addresses of Ethernet.
#[repr(C)]
#[derive(Clone, Copy)]
struct Hardware {
    destination: [u8; 6],
    source: [u8; 6],
}

// SAFETY: bytes and byte arrays only.
unsafe impl Bytes for Hardware {}
// SAFETY: as above.
unsafe impl Bytes for Plain {}
// SAFETY: as above.
unsafe impl Bytes for Full {}
// SAFETY: as above.
unsafe impl Bytes for Head {}

impl Offer {
    /// Reads what the client offered in its header of `length` bytes.
    ///
    /// All that is learnt lies in the map, and is read anew for each option: the verifier then looks at
    /// one round and not at every order of options.
    #[inline(always)]
    pub fn new(room: *mut Scratch, length: u32, scale: u32, now_ns: u64, mss: u16) -> Offer {
        let mut offer = Offer { mss, timestamps: None, scale: u8::MAX, sack: false };
        if scale == COOKIE_PLAIN {
            return offer;
        }
        // SAFETY: this CPU's own value, and nothing else refers to it.
        let options = unsafe { &raw mut (*room).options };
        // SAFETY: as above.
        unsafe { options.write_volatile(Options { at: 20, scale: NO_SCALE, ..Options::NONE }) };
        for _ in 0..OPTIONS_MAX {
            // SAFETY: as above.
            if !unsafe { step(room, length) } {
                break;
            }
        }
        // SAFETY: as above.
        let found = unsafe { options.read_volatile() };
        let mut kept = found.scale & KEPT_NO_SCALE;
        if kept != KEPT_NO_SCALE {
            offer.scale = scale as u8;
        }
        if found.sack != 0 {
            offer.sack = true;
            kept |= KEPT_SACK;
        }
        let now = (now_ns / NS_PER_MS) as u32;
        let mut stamp = now & !KEPT_BITS | kept;
        if stamp > now {
            stamp = stamp.wrapping_sub(KEPT_BITS + 1);
        }
        if found.stamped != 0 {
            offer.timestamps = Some((found.echo, stamp));
        }
        offer
    }
}

/// Reads one option; whether there may be another.
///
/// # Safety
/// `room` is this CPU's own.
#[inline(always)]
unsafe fn step(room: *mut Scratch, length: u32) -> bool {
    // SAFETY: the caller's promise; each index is below 64.
    unsafe {
        let at = (&raw const (*room).options.at).read_volatile();
        if at + 1 >= length {
            return false;
        }
        let header = (&raw const (*room).header).cast::<u8>();
        let byte = |more: u32| {
            let index = opaque(((at + more) & 63) as usize) & 63;
            header.add(index).read_volatile()
        };
        let (kind, bytes) = (byte(0), byte(1));
        let options = &raw mut (*room).options;
        match kind {
            0 => return false,
            3 => (&raw mut (*options).scale).write_volatile(u32::from(byte(2)).min(SCALE_MAX)),
            4 => (&raw mut (*options).sack).write_volatile(1),
            8 => {
                (&raw mut (*options).echo).write_volatile([byte(2), byte(3), byte(4), byte(5)]);
                (&raw mut (*options).stamped).write_volatile(1);
            }
            _ => {}
        }
        let bytes = if kind == NOTHING { 1 } else { u32::from(bytes).max(2) };
        (&raw mut (*options).at).write_volatile(at + bytes);
        true
    }
}

/// Turns the frame around; whether that could be done.
#[inline(always)]
pub fn write(context: &XdpContext, packet: &Packet, cookie: u32, offer: &Offer) -> bool {
    match offer.timestamps {
        None => write_as(context, packet, cookie, |head| Plain {
            head,
            segment_size: segment_size(offer.mss),
        }),
        Some((echo, stamp)) => write_as(context, packet, cookie, |head| {
            let [a, b, c, d] = stamp.to_be_bytes();
            let [e, f, g, h] = echo;
            Full {
                head,
                segment_size: segment_size(offer.mss),
                sack: if offer.sack { SACK_PERMITTED } else { [NOTHING; 2] },
                timestamps: [TIMESTAMPS[0], TIMESTAMPS[1], a, b, c, d, e, f, g, h],
                scale: match offer.scale {
                    u8::MAX => [NOTHING; 4],
                    scale => [NOTHING, SCALE[0], SCALE[1], scale],
                },
            }
        }),
    }
}

#[inline(always)]
fn segment_size(mss: u16) -> [u8; 4] {
    let [high, low] = mss.to_be_bytes();
    [SEGMENT_SIZE[0], SEGMENT_SIZE[1], high, low]
}

#[inline(always)]
fn write_as<T: Bytes>(
    context: &XdpContext,
    packet: &Packet,
    cookie: u32,
    header: impl FnOnce(Head) -> T,
) -> bool {
    let frame = Frame::new(context);
    let Some(asked) = frame.at::<Head>(packet.tcp_at) else { return false };
    let [a, b, c, d] = asked.ports;
    let sequence = u32::from_be_bytes(asked.sequence).wrapping_add(1);
    let head = Head {
        ports: [c, d, a, b],
        sequence: cookie.to_be_bytes(),
        acknowledged: sequence.to_be_bytes(),
        length: (size_of::<T>() as u8 / 4) << 4,
        flags: SYN_AND_ACK,
        window: WINDOW.to_be_bytes(),
        checksum: [0; 2],
        urgent: [0; 2],
    };
    let tcp = header(head);
    let wanted = packet.tcp_at + size_of::<T>();
    let change = wanted as i64 - frame.len() as i64;
    // SAFETY: the helper checks what it is told; every reference into the frame ends here.
    if unsafe { bpf_xdp_adjust_tail(context.ctx, change as i32) } != 0 {
        return false;
    }
    let frame = Frame::new(context);
    let Some(addresses) = frame.to::<Hardware>(0) else { return false };
    let Some(to) = frame.to::<T>(packet.tcp_at) else { return false };
    // SAFETY: both were just found to lie in the frame, to which nothing else refers.
    unsafe {
        let Hardware { destination, source } = *addresses;
        *addresses = Hardware { destination: source, source: destination };
        *to = tcp;
    }
    let pseudo = match packet.family {
        4 => write_ipv4(&frame, packet, size_of::<T>()),
        _ => write_ipv6(&frame, packet, size_of::<T>()),
    };
    let Some(pseudo) = pseudo else { return false };
    // SAFETY: as above.
    let checksum = fold(pseudo + unsafe { sum(&*to) });
    // SAFETY: as above; the head is the beginning of either header.
    unsafe { (*to.cast::<Head>()).checksum = checksum };
    true
}

/// Writes the IP header; the sum of the pseudo header (RFC 9293 §3.1).
#[inline(always)]
fn write_ipv4(frame: &Frame, packet: &Packet, tcp_bytes: usize) -> Option<u64> {
    let ip = frame.to::<Ipv4>(packet.ip_at)?;
    // SAFETY: just found to lie in the frame, to which nothing else refers.
    unsafe {
        let (source, destination) = ((*ip).source, (*ip).destination);
        let total = (size_of::<Ipv4>() + tcp_bytes) as u16;
        let mut header = Ipv4 {
            version_and_length: 0x45,
            service: 0,
            total_bytes: total.to_be_bytes(),
            id: [0; 2],
            fragment: DO_NOT_FRAGMENT,
            ttl: HOPS,
            protocol: TCP,
            checksum: [0; 2],
            source: destination,
            destination: source,
        };
        header.checksum = fold(sum(&header));
        *ip = header;
        Some(pair_sum(&source) + pair_sum(&destination) + pseudo(tcp_bytes))
    }
}

/// See [`write_ipv4`]; RFC 8200 §8.1.
#[inline(always)]
fn write_ipv6(frame: &Frame, packet: &Packet, tcp_bytes: usize) -> Option<u64> {
    let ip = frame.to::<Ipv6>(packet.ip_at)?;
    // SAFETY: just found to lie in the frame, to which nothing else refers.
    unsafe {
        let (source, destination) = ((*ip).source, (*ip).destination);
        *ip = Ipv6 {
            version_and_class: 0x60,
            flow: [0; 3],
            payload_bytes: (tcp_bytes as u16).to_be_bytes(),
            next_header: TCP,
            hops: HOPS,
            source: destination,
            destination: source,
        };
        Some(pair_sum(&source) + pair_sum(&destination) + pseudo(tcp_bytes))
    }
}

/// Length and protocol, as 16-bit numbers of the network.
#[inline(always)]
fn pseudo(tcp_bytes: usize) -> u64 {
    u64::from((tcp_bytes as u16).to_be()) + u64::from(u16::from(TCP).to_be())
}

/// The sum of a header's 16-bit numbers, in the order they lie in memory (RFC 1071 §2 B).
#[inline(always)]
fn sum<T: Bytes>(header: &T) -> u64 {
    let words = core::ptr::from_ref(header).cast::<[u8; 2]>();
    let mut total = 0;
    for index in 0..size_of::<T>() / 2 {
        // SAFETY: within the header, whose length is even.
        total += u64::from(u16::from_ne_bytes(unsafe { *words.add(index) }));
    }
    total
}

#[inline(always)]
fn pair_sum<const N: usize>(bytes: &[u8; N]) -> u64 {
    sum(bytes)
}

/// The checksum of a sum (RFC 1071 §1).
#[inline(always)]
fn fold(sum: u64) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(sum as u16)).to_ne_bytes()
}
