//! Segments of no connection that was followed: the last of a handshake, those of connections older
//! than this program, and floods. Few pass unasked; above the budget the stack must know them, or they
//! must bring a valid cookie.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::bpf_sock_tuple;
use aya_ebpf::helpers::generated::{
    bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_raw_check_syncookie_ipv4,
    bpf_tcp_raw_check_syncookie_ipv6,
};
use edge_common::reason;

use crate::frame::Frame;
use crate::packet::{Ipv4, Ipv6};
use crate::{budget, verdict::Input};

/// `TCP_LISTEN`
const LISTEN: u32 = 10;
/// The network namespace the packet came in.
const HERE: u64 = u64::MAX;

/// Source and destination as the kernel looks sockets up by, in network order.
#[repr(C)]
pub struct Tuple4 {
    source: [u8; 4],
    destination: [u8; 4],
    source_port: [u8; 2],
    destination_port: [u8; 2],
}

/// See [`Tuple4`].
#[repr(C)]
pub struct Tuple6 {
    source: [u8; 16],
    destination: [u8; 16],
    source_port: [u8; 2],
    destination_port: [u8; 2],
}

/// The reason why a segment within a connection is dropped, if it is.
#[inline(always)]
pub fn judge(input: &Input<'_>) -> Option<u32> {
    if budget::strays(input) || has_connection(input) || has_cookie(input) {
        return None;
    }
    Some(reason::STRAY)
}

/// The packet's addresses.
#[inline(always)]
pub fn tuple4(input: &Input<'_>) -> Tuple4 {
    let key = &input.packet.key;
    let [.., a, b, c, d] = key.remote;
    let [.., e, f, g, h] = key.local;
    Tuple4 {
        source: [a, b, c, d],
        destination: [e, f, g, h],
        source_port: key.remote_port.to_be_bytes(),
        destination_port: key.local_port.to_be_bytes(),
    }
}

/// See [`tuple4`].
#[inline(always)]
pub fn tuple6(input: &Input<'_>) -> Tuple6 {
    let key = &input.packet.key;
    Tuple6 {
        source: key.remote,
        destination: key.local,
        source_port: key.remote_port.to_be_bytes(),
        destination_port: key.local_port.to_be_bytes(),
    }
}

/// Whether the stack has a socket of this very connection, if only of its beginning or end.
#[inline(always)]
fn has_connection(input: &Input<'_>) -> bool {
    if input.packet.family == 4 {
        has_socket(input, tuple4(input))
    } else {
        has_socket(input, tuple6(input))
    }
}

#[inline(always)]
fn has_socket<T>(input: &Input<'_>, mut tuple: T) -> bool {
    let tuple_bytes = size_of::<T>() as u32;
    let tuple = (&raw mut tuple).cast::<bpf_sock_tuple>();
    // SAFETY: the helper reads the tuple, of the length it is told; what it returns is either null, or a
    // socket whose state may be read until it is given back, which is done once.
    unsafe {
        let socket = bpf_skc_lookup_tcp(input.context.as_ptr(), tuple, tuple_bytes, HERE, 0);
        if socket.is_null() {
            return false;
        }
        let state = (&raw const (*socket).state).read_volatile();
        bpf_sk_release(socket.cast());
        state != LISTEN
    }
}

#[inline(always)]
fn has_cookie(input: &Input<'_>) -> bool {
    let (packet, frame) = (input.packet, Frame::new(input.context));
    let Some(tcp) = frame.to::<[u8; 20]>(packet.tcp_at) else { return false };
    // SAFETY: both headers were found to lie in the frame; the helpers read them only.
    unsafe {
        if packet.family == 4 {
            let Some(ip) = frame.to::<Ipv4>(packet.ip_at) else { return false };
            bpf_tcp_raw_check_syncookie_ipv4(ip.cast(), tcp.cast()) == 0
        } else {
            let Some(ip) = frame.to::<Ipv6>(packet.ip_at) else { return false };
            bpf_tcp_raw_check_syncookie_ipv6(ip.cast(), tcp.cast()) == 0
        }
    }
}
