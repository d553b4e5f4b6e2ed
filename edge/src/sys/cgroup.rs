//! The control group this process is in.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// Opens the folder of this process's own group of the unified hierarchy (cgroup v2), wherever it is
/// mounted or not: a private mount nobody else sees gives it (Linux 5.2). Needs `CAP_SYS_ADMIN`.
pub fn own_cgroup() -> io::Result<OwnedFd> {
    let groups = std::fs::read_to_string("/proc/self/cgroup")?;
    // cgroups(7): the unified hierarchy is number 0, without controllers.
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = own.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let context = rustix::mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let root = rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::empty())?;
    let own = if own.is_empty() { "." } else { own };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&root, own, flags, Mode::empty())?)
}
