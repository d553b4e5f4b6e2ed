//! Making a ring, on the best rung this kernel has.

use io_uring::{IoUring, opcode};

use super::{Io, Ring, RingConfig, RingError};
use crate::sys::residency;

/// Threads the kernel may use for one ring's cold reads. Pipes count as unbounded work, which is
/// otherwise limited by `RLIMIT_NPROC` alone.
const IO_THREADS_MAX: u32 = 64;

/// Completions there is room for, for each submission: ops that answer many times need it.
const COMPLETIONS_PER_ENTRY: u32 = 8;

/// Enough to see what works.
const SMALL: RingConfig =
    RingConfig { entries: 8, buffers: 8, buffer_bytes: 4096, pipes_max: 1, pipe_bytes: 64 * 1024 };

/// When the kernel finishes what it has begun for a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskWork {
    /// When the worker waits (`DEFER_TASKRUN`, Linux 6.1): the cheapest.
    Deferred,
    /// At the worker's next system call, by its only thread (`SINGLE_ISSUER`, 6.0).
    CooperativeSingle,
    /// At the worker's next system call (`COOP_TASKRUN`, 5.19).
    Cooperative,
}

impl TaskWork {
    /// All, best first.
    pub const LADDER: [TaskWork; 3] =
        [TaskWork::Deferred, TaskWork::CooperativeSingle, TaskWork::Cooperative];

    /// As `edge doctor` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskWork::Deferred => "deferred",
            TaskWork::CooperativeSingle => "cooperative, single issuer",
            TaskWork::Cooperative => "cooperative",
        }
    }

    fn build(self, config: &RingConfig) -> std::io::Result<IoUring> {
        let mut builder = IoUring::builder();
        // The flag tells a worker that only submits of completions that wait to be run.
        builder
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(config.entries.saturating_mul(COMPLETIONS_PER_ENTRY));
        match self {
            TaskWork::Deferred => builder.setup_single_issuer().setup_defer_taskrun(),
            TaskWork::CooperativeSingle => builder.setup_single_issuer().setup_coop_taskrun(),
            TaskWork::Cooperative => builder.setup_coop_taskrun(),
        };
        builder.dontfork().build(config.entries)
    }
}

/// What a ring found on this host. Multishot accept and receive and provided buffers are not
/// listed: without them there is no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The rung it stands on.
    pub task_work: TaskWork,
    /// Residency is exact (`cachestat(2)`, Linux 6.5) rather than sampled.
    pub cachestat: bool,
    /// Zero-copy sends exist (6.0); not used yet.
    pub send_zero_copy: bool,
    /// Threads for cold reads are capped (5.15), at this many.
    pub io_threads_max: Option<u32>,
}

impl Features {
    /// What a ring would find, by making a small one.
    pub fn probe() -> Result<Features, RingError> {
        Ok(Ring::new(&SMALL)?.features())
    }
}

/// Builds a ring on the first rung that holds.
pub(super) fn build(config: &RingConfig) -> Result<(IoUring, Features), RingError> {
    if config.entries == 0 {
        let rule = "must be at least 1";
        return Err(RingError::Config { name: "entries", got: 0, rule });
    }
    let (ring, task_work) = climb(config)?;
    let features = Features {
        task_work,
        cachestat: residency::has_cachestat(),
        send_zero_copy: supports(&ring, opcode::SendZc::CODE),
        io_threads_max: cap_threads(&ring),
    };
    Ok((ring, features))
}

fn climb(config: &RingConfig) -> Result<(IoUring, TaskWork), RingError> {
    for task_work in TaskWork::LADDER {
        match task_work.build(config) {
            Ok(ring) if ring.params().is_feature_ext_arg() => return Ok((ring, task_work)),
            Ok(_) => return Err(RingError::missing("waiting with a timeout")),
            // An unknown flag is EINVAL; nothing else gets better further down.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(RingError::of_setup(error)),
        }
    }
    Err(RingError::missing("io_uring with cooperative task work"))
}

fn supports(ring: &IoUring, code: u8) -> bool {
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe).is_ok() && probe.is_supported(code)
}

fn cap_threads(ring: &IoUring) -> Option<u32> {
    let mut bounded_unbounded = [IO_THREADS_MAX; 2];
    ring.submitter().register_iowq_max_workers(&mut bounded_unbounded).ok()?;
    Some(IO_THREADS_MAX)
}

/// Receives one byte to see that provided buffers and multishot receive work: no probe tells.
/// (Multishot accept is older than multishot receive.)
pub(super) fn try_multishot(ring: &mut Ring) -> Result<(), RingError> {
    let call = |op| move |source| RingError::Setup { op, source };
    let (near, far) = std::os::unix::net::UnixStream::pair().map_err(call("make a socket pair"))?;
    rustix::io::write(&far, b"?").map_err(|error| call("write to a socket pair")(error.into()))?;
    let socket = super::Socket::new(near.into()).map_err(call("make a socket nonblocking"))?;
    let op = ring.receive(&socket, 0).map_err(call("submit a receive"))?;
    let works = answers_twice(ring).map_err(call("receive a byte"))?;
    ring.cancel(op);
    ring.close(socket);
    ring.drain().map_err(call("cancel a receive"))?;
    if works { Ok(()) } else { Err(RingError::missing("multishot receive into provided buffers")) }
}

fn answers_twice(ring: &mut Ring) -> std::io::Result<bool> {
    for _ in 0..8 {
        ring.wait(Some(std::time::Duration::from_secs(1)))?;
        let Some(event) = ring.next() else { continue };
        let super::EventKind::Received(Ok(buffer)) = event.kind else { return Ok(false) };
        let whole = ring.bytes(&buffer) == b"?";
        ring.recycle(buffer);
        return Ok(whole && event.more);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_of_this_kernel_makes_a_working_ring() {
        let best = Features::probe().unwrap();
        let from = TaskWork::LADDER.iter().position(|&rung| rung == best.task_work).unwrap();
        for rung in &TaskWork::LADDER[from..] {
            let ring = rung.build(&SMALL).unwrap();
            let mut ring = Ring::over(ring, Features { task_work: *rung, ..best }, &SMALL).unwrap();
            try_multishot(&mut ring).unwrap();
        }
    }

    #[test]
    fn impossible_sizes_are_named() {
        for (config, name) in [
            (RingConfig { entries: 0, ..SMALL }, "entries"),
            (RingConfig { buffers: 0, ..SMALL }, "buffers is 0"),
            (RingConfig { buffers: 12, ..SMALL }, "buffers is 12"),
            (RingConfig { buffers: 65_535, ..SMALL }, "buffers"),
            (RingConfig { buffer_bytes: 0, ..SMALL }, "buffer_bytes"),
        ] {
            let error = Ring::new(&config).err().unwrap().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
