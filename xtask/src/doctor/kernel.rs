//! What the kernel offers.

use std::io;
use std::path::Path;

use io_uring::{IoUring, Probe, opcode};

use super::State::{Degraded, Missing};
use super::{Finding, judge};
use crate::host;

const OLD: &str = "boot Linux 6.1 or newer (Debian 12)";

/// Every line about the kernel.
pub fn examine() -> Vec<Finding> {
    let mut findings =
        vec![version(), ring_allowed(), ring_works(), ring_operations(), buffer_rings()];
    findings.extend([bpf_rights(), bpf_jit(), bpf_types(), bpf_pins(), cgroup2()]);
    findings.extend([congestion(), ktls()]);
    findings
}

fn version() -> Finding {
    let release = host::sysctl("kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    judge("version", host::kernel() >= Some((6, 1)), Missing, release, OLD)
}

fn ring_allowed() -> Finding {
    // The switch came with Linux 6.6; before it, io_uring is allowed to all.
    let switch = host::sysctl("kernel/io_uring_disabled").unwrap_or_else(|| "0".to_owned());
    let allowed = switch == "0" || switch == "1" && host::is_root();
    judge(
        "io_uring allowed",
        allowed,
        Missing,
        format!("kernel.io_uring_disabled = {switch}"),
        "sysctl -w kernel.io_uring_disabled=0",
    )
}

fn ring_works() -> Finding {
    let ring: io::Result<IoUring> =
        IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8);
    let cure = "a container's seccomp profile may forbid io_uring: allow io_uring_setup, _enter, _register";
    let found = match &ring {
        Ok(_) => "SINGLE_ISSUER | DEFER_TASKRUN".to_owned(),
        Err(error) => error.to_string(),
    };
    judge("io_uring works", ring.is_ok(), Missing, found, cure)
}

fn ring_operations() -> Finding {
    let needed = [
        ("accept", opcode::AcceptMulti::CODE),
        ("recv", opcode::RecvMulti::CODE),
        ("send", opcode::Send::CODE),
        ("poll", opcode::PollAdd::CODE),
        ("splice", opcode::Splice::CODE),
        ("timeout", opcode::Timeout::CODE),
        ("cancel", opcode::AsyncCancel::CODE),
        ("close", opcode::Close::CODE),
    ];
    let mut probe = Probe::new();
    if IoUring::new(8).and_then(|ring| ring.submitter().register_probe(&mut probe)).is_err() {
        return judge("io_uring operations", false, Missing, "cannot be asked", OLD);
    }
    let lacking: Vec<_> = needed
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code))
        .map(|(name, _)| *name)
        .collect();
    let zero_copy =
        if probe.is_supported(opcode::SendZc::CODE) { "send_zc too" } else { "no send_zc" };
    let found = if lacking.is_empty() {
        format!("all that is needed, {zero_copy}")
    } else {
        format!("without {}", lacking.join(" "))
    };
    judge("io_uring operations", lacking.is_empty(), Missing, found, OLD)
}

fn buffer_rings() -> Finding {
    // Provided buffer rings and multishot accept: 5.19; multishot recv: 6.0. A probe does not tell.
    let known = host::kernel() >= Some((6, 0));
    judge(
        "multishot and buffers",
        known,
        Missing,
        if known { "by version" } else { "too old" },
        OLD,
    )
}

fn bpf_rights() -> Finding {
    let all = host::has_capability(host::CAP_SYS_ADMIN)
        || host::has_capability(host::CAP_BPF) && host::has_capability(host::CAP_PERFMON);
    let good = all && host::has_capability(host::CAP_NET_ADMIN);
    let found = if good { "may load and attach" } else { "may not load: the guard stays off" };
    judge(
        "bpf rights",
        good,
        Degraded,
        found,
        "run as root, or grant CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
    )
}

fn bpf_jit() -> Finding {
    // Absent where the kernel always compiles (CONFIG_BPF_JIT_ALWAYS_ON in a network namespace).
    let jit = host::sysctl("net/core/bpf_jit_enable").unwrap_or_else(|| "not shown".to_owned());
    judge("bpf jit", jit != "0", Degraded, jit.clone(), "sysctl -w net.core.bpf_jit_enable=1")
}

fn bpf_types() -> Finding {
    let there = Path::new("/sys/kernel/btf/vmlinux").exists();
    let found = if there { "/sys/kernel/btf/vmlinux" } else { "no /sys/kernel/btf/vmlinux" };
    judge("bpf types (btf)", there, Degraded, found, "boot a kernel with CONFIG_DEBUG_INFO_BTF=y")
}

fn bpf_pins() -> Finding {
    let mounted = mounts("bpf").next();
    let found =
        mounted.clone().unwrap_or_else(|| "not mounted; the node does it when root".to_owned());
    let good = mounted.is_some() || host::is_root();
    judge("bpf file system", good, Degraded, found, "mount -t bpf bpf /sys/fs/bpf")
}

fn cgroup2() -> Finding {
    let mounted = mounts("cgroup2").next();
    let found = mounted.clone().unwrap_or_else(|| "not mounted".to_owned());
    judge("cgroup2", mounted.is_some(), Degraded, found, "mount -t cgroup2 none /sys/fs/cgroup")
}

/// Where file systems of `kind` are mounted.
fn mounts(kind: &str) -> impl Iterator<Item = String> {
    let table = host::text("/proc/self/mounts").unwrap_or_default();
    let lines: Vec<String> = table.lines().map(str::to_owned).collect();
    let kind = kind.to_owned();
    lines.into_iter().filter_map(move |line| {
        let mut words = line.split_whitespace().skip(1);
        let place = words.next()?;
        (words.next()? == kind).then(|| place.to_owned())
    })
}

fn congestion() -> Finding {
    let of = |name: &str| host::sysctl(&format!("net/ipv4/tcp_{name}")).unwrap_or_default();
    let (default, all) = (of("congestion_control"), of("available_congestion_control"));
    let good = all.split_whitespace().any(|name| name == "bbr");
    judge(
        "congestion control",
        good,
        Degraded,
        format!("{default} of: {all}"),
        "modprobe tcp_bbr, if bbr is wanted",
    )
}

fn ktls() -> Finding {
    let protocols = host::sysctl("net/ipv4/tcp_available_ulp").unwrap_or_default();
    let good = protocols.split_whitespace().any(|name| name == "tls");
    let found = if good { "tls" } else { "no: TLS is encrypted by the node itself" };
    judge("kernel tls", good, Degraded, found, "modprobe tls (CONFIG_TLS)")
}
