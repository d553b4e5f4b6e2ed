//! The kernel program: every packet is parsed, judged, counted and accounted for.
//!
//! Outcome → action, and nothing else, is here; one file per concern beside it. The program passes
//! what it cannot judge: losing it, or fooling it, never stops the node.
#![no_std]
#![no_main]
// Atomics: `core::sync::atomic` has no read-modify-write on this target.
#![feature(asm_experimental_arch)]

mod atomic;
mod budget;
mod clients;
mod conns;
mod cookies;
mod events;
mod flows;
mod frame;
mod lists;
mod packet;
mod reply;
mod settings;
mod strays;
mod totals;
mod verdict;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::{sock_ops, xdp};
use aya_ebpf::programs::{SockOpsContext, XdpContext};
use edge_common::{MODE_ENFORCE, MODE_OFF, reason};

use crate::{frame::Frame, verdict::Input};

/// Judges one packet.
#[xdp]
pub fn edge(context: XdpContext) -> u32 {
    let Some(settings) = settings::settings() else { return XDP_PASS };
    if settings.mode == MODE_OFF {
        return XDP_PASS;
    }
    let frame = Frame::new(&context);
    let bytes = frame.len();
    let Some(packet) = packet::read(&frame) else { return XDP_PASS };
    // SAFETY: a helper without arguments, known to XDP programs since Linux 5.11.
    let now_ns = unsafe { bpf_ktime_get_coarse_ns() };

    let shape = packet.shape;
    let input = Input { context: &context, packet, shape, bytes, now_ns, settings };
    let flow = flows::known(&input);
    let verdict = verdict::of(&input, flow);
    let enforced = settings.mode == MODE_ENFORCE;
    let drops = reason::drops(verdict);
    totals::count(&input, verdict, drops && enforced);
    if drops && enforced {
        flows::dropped(flow);
        return XDP_DROP;
    }
    if verdict == reason::SYN_COOKIE && enforced {
        return cookies::answer(&context, packet, now_ns, settings.cookie_scale);
    }
    if shape == reason::PASSED || shape == reason::FRAGMENT {
        flows::account(&input, flow);
    }
    XDP_PASS
}

/// Follows one connection.
#[sock_ops]
pub fn edge_conns(context: SockOpsContext) -> u32 {
    conns::follow(&context);
    1
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never linked in: the verifier refuses an endless loop.
    loop {}
}

// What the kernel calls MIT.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
