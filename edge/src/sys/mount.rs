//! The BPF file system, where maps are pinned.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// Whether `path`, or where it does not exist the nearest folder above it, is on a BPF file system.
pub fn is_bpffs(path: &Path) -> io::Result<bool> {
    let existing = path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    // The field's type and sign differ by architecture; the magic is 32 bits wide.
    Ok(rustix::fs::statfs(existing)?.f_type as u64 & 0xffff_ffff == BPF_FS_MAGIC)
}

/// Mounts a BPF file system at `path`, for root only. Needs `CAP_SYS_ADMIN`.
pub fn mount_bpffs(path: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("bpf", path, "bpf", flags, c"mode=0700")?)
}

/// Whether `path` belongs to the user this process acts as.
pub fn is_ours(path: &Path) -> io::Result<bool> {
    Ok(rustix::fs::stat(path)?.st_uid == rustix::process::geteuid().as_raw())
}

/// Takes away what is mounted at `path`, once nobody uses it any more.
pub fn unmount(path: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(path, UnmountFlags::DETACH)?)
}
