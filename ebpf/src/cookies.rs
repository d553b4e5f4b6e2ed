//! SYN cookies (RFC 4987 §3.6): above the budget of strangers, connection attempts are answered here,
//! and nothing is kept. The stack checks the cookie that comes back.
//!
//! It accepts cookies only at a listening socket that was seen to overflow, so the first answer in a
//! while is made with its help, which tells; where it refuses, its queue has room and the attempt passes.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::bpf_sock_tuple;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_TX};
use aya_ebpf::btf_maps::{LruHashMap, PerCpuArray};
use aya_ebpf::helpers::generated::{
    bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_gen_syncookie, bpf_tcp_raw_gen_syncookie_ipv4,
    bpf_tcp_raw_gen_syncookie_ipv6, bpf_xdp_load_bytes,
};
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use edge_common::{LISTENERS_MAX, PrimeKey, reason};

use crate::frame::{Frame, opaque};
use crate::packet::{Ipv4, Ipv6, Packet};
use crate::reply::{self, Offer, Scratch};
use crate::strays::{tuple4, tuple6};
use crate::{budget, verdict::Input};

/// The network namespace the packet came in.
const HERE: u64 = u64::MAX;
/// The stack believes in an overflow for two minutes (`TCP_SYNCOOKIE_VALID`).
const PRIMED_NS: u64 = 10_000_000_000;
const TCP_HEADER_MIN_BYTES: usize = 20;

/// Until when a listening address takes cookies.
#[btf_map(name = "primed")]
static PRIMED: LruHashMap<PrimeKey, u64, { LISTENERS_MAX as usize }> = LruHashMap::new();
#[btf_map(name = "scratch")]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// What becomes of a stranger's connection attempt: `None`, it passes.
#[inline(always)]
pub fn judge(input: &Input<'_>) -> Option<u32> {
    if budget::begins(input) {
        return None;
    }
    let packet = input.packet;
    let ip_bytes = if packet.family == 4 { size_of::<Ipv4>() } else { size_of::<Ipv6>() };
    if packet.tcp_at != packet.ip_at + ip_bytes {
        // With options or extension headers, which nobody who means well sends here.
        return Some(reason::SYN_BUDGET);
    }
    let key = prime_key(packet);
    if let Some(until_ns) = PRIMED.get_ptr(&key) {
        // SAFETY: one aligned value of the map.
        if input.now_ns < unsafe { until_ns.read_volatile() } {
            return Some(reason::SYN_COOKIE);
        }
    }
    if !prime(input) {
        return None;
    }
    let _ = PRIMED.insert(&key, input.now_ns + PRIMED_NS, 0);
    Some(reason::SYN_COOKIE)
}

/// Turns the attempt into its answer, and sends it back.
#[inline(always)]
pub fn answer(context: &XdpContext, packet: &Packet, now_ns: u64, scale: u32) -> u32 {
    let Some((tcp, length)) = load_header(context, packet) else { return XDP_DROP };
    let frame = Frame::new(context);
    // SAFETY: the headers lie in the frame and in the scratch room; the helpers read them only.
    let cookie = unsafe {
        if packet.family == 4 {
            let Some(ip) = frame.to::<Ipv4>(packet.ip_at) else { return XDP_DROP };
            bpf_tcp_raw_gen_syncookie_ipv4(ip.cast(), tcp.cast(), length)
        } else {
            let Some(ip) = frame.to::<Ipv6>(packet.ip_at) else { return XDP_DROP };
            bpf_tcp_raw_gen_syncookie_ipv6(ip.cast(), tcp.cast(), length)
        }
    };
    if cookie < 0 {
        return XDP_DROP;
    }
    let mss = (cookie >> 32) as u16;
    let offer = Offer::new(tcp, length, scale, now_ns, mss);
    match reply::write(context, packet, cookie as u32, &offer) {
        true => XDP_TX,
        false => XDP_DROP,
    }
}

/// Has the stack make a cookie: it then knows that its listener overflows. Whether it did.
#[inline(always)]
fn prime(input: &Input<'_>) -> bool {
    if input.packet.family == 4 {
        prime_with(input, tuple4(input), size_of::<Ipv4>() as u32)
    } else {
        prime_with(input, tuple6(input), size_of::<Ipv6>() as u32)
    }
}

#[inline(always)]
fn prime_with<T>(input: &Input<'_>, mut tuple: T, ip_bytes: u32) -> bool {
    let Some((tcp, length)) = load_header(input.context, input.packet) else { return false };
    let frame = Frame::new(input.context);
    let ip_at = input.packet.ip_at;
    let tuple_bytes = size_of::<T>() as u32;
    let tuple = (&raw mut tuple).cast::<bpf_sock_tuple>();
    // SAFETY: the helpers read the tuple and the headers, of the lengths they are told; the socket is
    // given back once.
    unsafe {
        let ip = if ip_bytes == size_of::<Ipv4>() as u32 {
            frame.to::<Ipv4>(ip_at).map(|ip| ip.cast::<u8>())
        } else {
            frame.to::<Ipv6>(ip_at).map(|ip| ip.cast::<u8>())
        };
        let Some(ip) = ip else { return false };
        let socket = bpf_skc_lookup_tcp(input.context.as_ptr(), tuple, tuple_bytes, HERE, 0);
        if socket.is_null() {
            return false;
        }
        let cookie = bpf_tcp_gen_syncookie(socket.cast(), ip.cast(), ip_bytes, tcp.cast(), length);
        bpf_sk_release(socket.cast());
        cookie >= 0
    }
}

/// The TCP header in this CPU's scratch room, and its length.
#[inline(always)]
fn load_header(context: &XdpContext, packet: &Packet) -> Option<(*mut Scratch, u32)> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    let frame = Frame::new(context);
    let [offset] = *frame.at::<[u8; 1]>(packet.tcp_at + 12)?;
    // Four bits of words: 60 at most, which the verifier sees. Asked for both bounds at once the compiler
    // would subtract first, and Linux 6.1 would lose the lower one.
    let length = opaque(usize::from(offset >> 4) * 4);
    if length < TCP_HEADER_MIN_BYTES {
        return None;
    }
    // SAFETY: the helper writes `length` bytes, at most 60, to the 64 of this CPU's scratch room.
    let loaded = unsafe {
        let at = opaque(packet.tcp_at) as u32;
        bpf_xdp_load_bytes(context.ctx, at, scratch.cast(), length as u32)
    };
    (loaded == 0).then_some((scratch, length as u32))
}

#[inline(always)]
fn prime_key(packet: &Packet) -> PrimeKey {
    PrimeKey { local: packet.key.local, port: packet.key.local_port, zero: [0; 6] }
}
