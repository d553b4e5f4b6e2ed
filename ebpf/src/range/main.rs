//! A shooting range: programs that make packets from a template, each from another address, and hand
//! them to the program under test or send them out of an interface.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::btf_maps::{Array, ProgramArray};
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_redirect, bpf_xdp_adjust_tail};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use edge_common::range::{Aim, SOURCE_AT, TEMPLATE_BYTES};

/// IPv4 and TCP checksums in the template, an Ethernet frame without tags or IP options.
const IP_CHECKSUM_AT: usize = 24;
/// Of an Ethernet frame without tags.
const DESTINATION_AT: usize = 30;
const TCP_CHECKSUM_AT: usize = 50;

#[btf_map(name = "aim")]
static AIM: Array<Aim, 1> = Array::new();
#[btf_map(name = "target")]
static TARGET: ProgramArray<1> = ProgramArray::new();

/// Makes a packet and hands it to the target.
#[xdp]
pub fn shuffle(context: XdpContext) -> u32 {
    if make(&context).is_none() {
        return XDP_ABORTED;
    }
    // SAFETY: the entry is a program of the same kind, put there by who runs this one.
    let _ = unsafe { TARGET.tail_call(&context, 0) };
    XDP_ABORTED
}

/// Makes a packet and sends it out.
#[xdp]
pub fn shoot(context: XdpContext) -> u32 {
    match make(&context) {
        // SAFETY: a helper that notes an interface.
        Some(interface) => unsafe { bpf_redirect(interface, 0) as u32 },
        None => XDP_ABORTED,
    }
}

/// Drops what is sent to the sources of the template, which nobody has; the rest passes.
#[xdp]
pub fn sift(context: XdpContext) -> u32 {
    let Some(aim) = AIM.get(0) else { return XDP_PASS };
    let start = context.data();
    if start + DESTINATION_AT + 4 > context.data_end() {
        return XDP_PASS;
    }
    // SAFETY: the four bytes were just found to lie in the frame.
    let to = u32::from_be_bytes(unsafe { *((start + DESTINATION_AT) as *const [u8; 4]) });
    let span = u64::from(aim.sources) * u64::from(aim.step);
    match u64::from(to.wrapping_sub(aim.first_source)) < span {
        true => XDP_DROP,
        false => XDP_PASS,
    }
}

/// What everything is compared with, and what a receiving end needs to take packets at all.
#[xdp]
pub fn empty(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Writes the template with a source of its own; the interface it is to leave by.
#[inline(always)]
fn make(context: &XdpContext) -> Option<u32> {
    let aim = AIM.get(0)?;
    let missing = TEMPLATE_BYTES as i64 - (context.data_end() as i64 - context.data() as i64);
    // SAFETY: a helper that checks what it is told; no reference into the frame is held.
    if missing != 0 && unsafe { bpf_xdp_adjust_tail(context.ctx, missing as i32) } != 0 {
        return None;
    }
    let (start, end) = (context.data(), context.data_end());
    if start + TEMPLATE_BYTES > end {
        return None;
    }
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    let index = (u64::from(random) * u64::from(aim.sources)) >> 32;
    let source = aim.first_source + index as u32 * aim.step;
    let words = (u64::from(source >> 16)) + u64::from(source & 0xffff);
    // SAFETY: the whole template's length was just found to lie in the frame.
    unsafe {
        *(start as *mut [u8; TEMPLATE_BYTES]) = aim.template;
        *((start + SOURCE_AT) as *mut [u8; 4]) = source.to_be_bytes();
        *((start + IP_CHECKSUM_AT) as *mut [u8; 2]) = fold(u64::from(aim.ip_sum) + words);
        *((start + TCP_CHECKSUM_AT) as *mut [u8; 2]) = fold(u64::from(aim.tcp_sum) + words);
    }
    Some(aim.interface)
}

#[inline(always)]
fn fold(sum: u64) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(sum as u16)).to_be_bytes()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never linked in: the verifier refuses an endless loop.
    loop {}
}

// What the kernel calls MIT.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
