//! The truth about connections, told by the kernel's TCP: what was delivered, how long a round trip
//! takes, who holds how many. A finished handshake proves that a client is where it says it is.

use core::ptr::read_volatile;

use aya_ebpf::bindings::{
    BPF_ANY, BPF_NOEXIST, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RTT_CB,
    BPF_SOCK_OPS_RTT_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
};
use aya_ebpf::btf_maps::LruHashMap;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::SockOpsContext;
use edge_common::{
    CONNS_DEFAULT, Conn, FlowKey, STATE_CLOSED, STATE_CLOSING, STATE_ESTABLISHED, STATE_FIN_WAIT_2,
    STATE_LAST_ACK, mapped,
};

use crate::{clients, flows, packet::TCP, settings};

const AF_INET: u32 = 2;

/// The node sets the size it was configured with when it loads the program.
#[btf_map(name = "conns")]
static CONNS: LruHashMap<FlowKey, Conn, { CONNS_DEFAULT as usize }> = LruHashMap::new();

/// Follows a connection that a client made to a port of the node.
#[inline(always)]
pub fn follow(context: &SockOpsContext) {
    let op = context.op();
    if op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
        && op != BPF_SOCK_OPS_STATE_CB
        && op != BPF_SOCK_OPS_RTT_CB
    {
        return;
    }
    if !settings::serves(context.local_port() as u16) {
        return;
    }
    let key = key(context);
    // SAFETY: a helper without arguments, known to these programs since Linux 5.11.
    let now_ns = unsafe { bpf_ktime_get_coarse_ns() };
    match op {
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => established(context, &key, now_ns),
        // The old state is the first argument, the new one the second.
        BPF_SOCK_OPS_STATE_CB => changed(context, &key, [context.arg(0), context.arg(1)], now_ns),
        _ => changed(context, &key, [STATE_ESTABLISHED; 2], now_ns),
    }
}

#[inline(always)]
fn established(context: &SockOpsContext, key: &FlowKey, now_ns: u64) {
    let flags = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG;
    // Without callbacks its end would not be told, and it would be counted as live for ever.
    if context.set_cb_flags(flags as i32).is_err() {
        return;
    }
    let conn = Conn { opened_ns: now_ns, ..state(context, STATE_ESTABLISHED, now_ns) };
    if CONNS.insert(*key, conn, BPF_ANY.into()).is_ok() {
        clients::opened(key, now_ns);
        flows::promote(key, now_ns);
    }
}

#[inline(always)]
fn changed(context: &SockOpsContext, key: &FlowKey, [before, now]: [u32; 2], now_ns: u64) {
    let end_bytes = u64::from(now == STATE_CLOSED && is_end_acked(context, before));
    let Some(conn) = CONNS.get_ptr_mut(*key) else {
        // Pushed out by newer ones: what is known goes in again, unless it has ended.
        if now == STATE_CLOSED {
            let conn = state(context, now, now_ns);
            clients::closed(key, &Conn { acked_bytes: conn.acked_bytes - end_bytes, ..conn });
        } else {
            let _ = CONNS.insert(*key, state(context, now, now_ns), BPF_NOEXIST.into());
        }
        return;
    };
    // SAFETY: the look-up gave a whole, aligned value; the socket's lock is held, so nobody else
    // writes this connection.
    unsafe {
        let opened_ns = (*conn).opened_ns;
        let told = state(context, now, now_ns);
        *conn = Conn { opened_ns, acked_bytes: told.acked_bytes - end_bytes, ..told };
    }
    if now == STATE_CLOSED {
        // SAFETY: as above.
        clients::closed(key, unsafe { &*conn });
    }
}

/// Whether the client has acknowledged the end of the stream: TCP counts that among the bytes. It is
/// what leads out of all these states, but for the last two, which a reset ends as well.
#[inline(always)]
fn is_end_acked(context: &SockOpsContext, before: u32) -> bool {
    let ops = context.ops;
    // SAFETY: as in `state`.
    let all = unsafe {
        read_volatile(&raw const (*ops).snd_una) == read_volatile(&raw const (*ops).snd_nxt)
    };
    before == STATE_FIN_WAIT_2 || (before == STATE_LAST_ACK || before == STATE_CLOSING) && all
}

#[inline(always)]
fn state(context: &SockOpsContext, state: u32, now_ns: u64) -> Conn {
    let ops = context.ops;
    // SAFETY: the kernel hands a whole context to the program. Each field is read by itself, as
    // wide as it is: the verifier knows no other way into this structure.
    unsafe {
        Conn {
            acked_bytes: read_volatile(&raw const (*ops).bytes_acked),
            received_bytes: read_volatile(&raw const (*ops).bytes_received),
            opened_ns: 0,
            seen_ns: now_ns,
            srtt_eighths_us: read_volatile(&raw const (*ops).srtt_us),
            retransmits: read_volatile(&raw const (*ops).total_retrans),
            state,
            sent_segments: read_volatile(&raw const (*ops).segs_out),
            received_segments: read_volatile(&raw const (*ops).segs_in),
            zero: 0,
        }
    }
}

/// The same key as the connection's packets have.
#[inline(always)]
fn key(context: &SockOpsContext) -> FlowKey {
    let ops = context.ops;
    let mut key = FlowKey::EMPTY;
    if context.family() == AF_INET {
        key.remote = mapped(context.remote_ip4().to_ne_bytes());
        key.local = mapped(context.local_ip4().to_ne_bytes());
    } else {
        // SAFETY: both fields lie in the context that the kernel hands to the program.
        unsafe {
            key.remote = address(&raw const (*ops).remote_ip6);
            key.local = address(&raw const (*ops).local_ip6);
        }
    }
    // The one in network order, the other not.
    key.remote_port = u32::from_be(context.remote_port()) as u16;
    key.local_port = context.local_port() as u16;
    key.protocol = TCP;
    key
}

/// Word by word: the verifier refuses wider loads of a context.
///
/// # Safety
/// `words` points to an address in a context.
#[inline(always)]
unsafe fn address(words: *const [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for index in 0..4 {
        // SAFETY: within the four words, by the caller's promise.
        let word = unsafe { read_volatile(words.cast::<u32>().add(index)) };
        bytes[index * 4..index * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}
