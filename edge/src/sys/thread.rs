//! Threads, processors and signals.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Processors this thread may run on, lowest first.
pub fn available_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Keeps this thread on one processor.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Lets every other thread go first: for work that nobody waits for (`nice` 19).
pub fn step_back() -> io::Result<()> {
    // On Linux a priority is a thread's own (setpriority(2), "C library/kernel differences").
    Ok(rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19)?)
}

/// Names this thread as `top -H` shows it; Linux keeps the first 15 bytes.
pub fn set_name(name: &str) -> io::Result<()> {
    let name: Vec<u8> = name.bytes().filter(|&byte| byte != 0).take(15).collect();
    Ok(rustix::thread::set_name(&CString::new(name)?)?)
}

/// Makes writing to a socket that is gone an error (EPIPE) in the whole process, not its end:
/// `splice` and `sendfile` have no flag for it.
pub fn ignore_sigpipe() {
    // SAFETY: SIG_IGN installs no handler, so no code of ours runs in signal context.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Keeps every signal away from this thread and those it starts; the control plane takes them.
pub fn block_signals() -> io::Result<()> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `all` is ours and filled by `sigfillset` before it is read; a null old set is allowed.
    let error = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each on a thread of its own: what is set here must not reach other tests.
    fn on_a_thread(test: fn()) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_pinned_thread_has_one_cpu() {
        on_a_thread(|| {
            let cpus = available_cpus().unwrap();
            let last = *cpus.last().unwrap();
            pin_to_cpu(last).unwrap();
            assert_eq!(available_cpus().unwrap(), [last]);
            assert!(pin_to_cpu(usize::MAX).is_err());
        });
    }

    #[test]
    fn names_are_cut_not_refused() {
        on_a_thread(|| {
            set_name("a rather long\0 thread name").unwrap();
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            assert_eq!(name.trim_end(), "a rather long t");
        });
    }

    #[test]
    fn blocked_signals_are_blocked() {
        on_a_thread(|| {
            block_signals().unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
            assert_ne!(blocked & (1 << (libc::SIGTERM - 1)), 0);
            assert_ne!(blocked & (1 << (libc::SIGHUP - 1)), 0);
        });
    }
}
