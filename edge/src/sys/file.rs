//! Files: opened so that no path leads out of its directory, and their space.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, MemfdFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use rustix::fs::Advice;

/// How often an open is tried again when a rename in its path confused the kernel (`openat2(2)`).
const OPEN_ATTEMPTS_MAX: u32 = 8;

/// What `fstat(2)` says, as far as anybody here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Length in bytes.
    pub len: u64,
    /// Last change of the content, ns since 1970.
    pub mtime_ns: i64,
    /// Inode number: with `dev`, the file's identity.
    pub ino: u64,
    /// Device the inode is on.
    pub dev: u64,
    /// A regular file.
    pub is_file: bool,
    /// A directory.
    pub is_dir: bool,
}

/// Opens `path`, relative to and inside of `dir`, for reading.
///
/// `..`, absolute paths and symlinks that lead out of `dir` are refused by the kernel (`EXDEV`), at
/// whatever moment the path is changed (`openat2(2)` with `RESOLVE_BENEATH`, Linux 5.6). Never
/// blocks on a fifo. What was opened may be anything: look at [`Stat::is_file`].
pub fn open_beneath(dir: impl AsFd, path: impl AsRef<Path>) -> io::Result<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let path = path.as_ref();
    let mut attempts = 0;
    let opened = loop {
        attempts += 1;
        match rustix::fs::openat2(&dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if attempts < OPEN_ATTEMPTS_MAX => {}
            opened => break opened?,
        }
    };
    let file = File::from(opened);
    let stat = stat(&file)?;
    Ok((file, stat))
}

/// Whether an open failed because of what stands there: links that go round, a socket, a device
/// without a driver.
pub fn is_unusual_file(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NXIO | Errno::NODEV))
}

/// Whether a call failed because descriptors or memory ran out; it may do better later.
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

/// What an open file is now.
pub fn stat(file: impl AsFd) -> io::Result<Stat> {
    let stat = rustix::fs::fstat(file)?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    Ok(Stat {
        len: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: (stat.st_mtime as i64)
            .saturating_mul(1_000_000_000)
            .saturating_add(stat.st_mtime_nsec as i64),
        ino: stat.st_ino,
        dev: stat.st_dev,
        is_file: kind.is_file(),
        is_dir: kind.is_dir(),
    })
}

/// Reserves the space of `[offset, offset + len)` and lengthens the file to hold it.
pub fn fallocate(file: impl AsFd, offset: u64, len: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), offset, len)?)
}

/// Makes `[offset, offset + len)` read as zeros without writing them; the file keeps its length.
/// `Unsupported` when its file system can neither zero a range nor punch a hole.
pub fn zero_range(file: impl AsFd, offset: u64, len: u64) -> io::Result<()> {
    let keep = FallocateFlags::KEEP_SIZE;
    for flags in [FallocateFlags::ZERO_RANGE | keep, FallocateFlags::PUNCH_HOLE | keep] {
        match rustix::fs::fallocate(&file, flags, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            done => return Ok(done?),
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens the same file once more, for reading past the page cache (`O_DIRECT`): offsets, lengths and
/// addresses must be multiples of the disk's block. Some file systems refuse.
pub fn open_direct(file: impl AsFd) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// A file in memory alone; `name` shows in `/proc/PID/fd`.
pub fn memfd(name: &str) -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create(CString::new(name)?, MemfdFlags::CLOEXEC)?))
}

/// Tells the kernel how `[offset, offset + len)` will be used; a `len` of zero means to the end.
pub fn fadvise(file: impl AsFd, offset: u64, len: u64, advice: Advice) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(len), advice)?)
}

/// Takes the file for this process until it is closed; `WouldBlock` when another has it.
pub fn lock_exclusive(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, symlink};

    use super::*;

    #[test]
    fn no_path_leads_out() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        std::fs::write(inside.join("sub/file"), "hello").unwrap();
        symlink("../secret", inside.join("escape")).unwrap();
        symlink("/etc/passwd", inside.join("absolute")).unwrap();
        symlink("sub/file", inside.join("within")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        let dir = File::open(&inside).unwrap();

        for path in ["../secret", "sub/../../secret", "/etc/passwd", "escape", "absolute", "magic"]
        {
            assert!(open_beneath(&dir, path).is_err(), "{path}");
        }
        assert!(open_beneath(&dir, "missing").is_err());
        assert!(open_beneath(&dir, "nul\0nul").is_err());
        for path in ["sub/file", "within", "sub/../sub/file"] {
            let (_, stat) = open_beneath(&dir, path).unwrap();
            assert!(stat.is_file && !stat.is_dir && stat.len == 5, "{path}");
        }
        let (_, stat) = open_beneath(&dir, "sub").unwrap();
        assert!(stat.is_dir && !stat.is_file);
    }

    #[test]
    fn a_fifo_does_not_hold_us_up() {
        let root = tempfile::tempdir().unwrap();
        let dir = File::open(root.path()).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(&dir, "fifo", fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (_, stat) = open_beneath(&dir, "fifo").unwrap();
        assert!(!stat.is_file && !stat.is_dir);
    }

    #[test]
    fn zeroed_ranges_read_zero_and_keep_the_length() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 9_000], 0).unwrap();
        zero_range(&file, 100, 8_000).unwrap();
        let mut bytes = [1; 9_000];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..100].iter().chain(&bytes[8_100..]).all(|&byte| byte == 7));
        assert!(bytes[100..8_100].iter().all(|&byte| byte == 0));
        zero_range(&file, 0, 1 << 20).unwrap();
        assert_eq!(stat(&file).unwrap().len, 9_000);
        fallocate(&file, 0, 1 << 20).unwrap();
        assert_eq!(stat(&file).unwrap().len, 1 << 20);
        fadvise(&file, 0, 0, Advice::DontNeed).unwrap();
    }

    #[test]
    fn a_locked_file_is_locked_for_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = file.reopen().unwrap();
        lock_exclusive(file.as_file()).unwrap();
        assert_eq!(lock_exclusive(&other).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(file);
        lock_exclusive(&other).unwrap();
    }

    #[test]
    fn a_memory_file_is_a_file() {
        let file = memfd("edge test").unwrap();
        file.write_all_at(b"abc", 4).unwrap();
        assert_eq!(stat(&file).unwrap().len, 7);
        assert!(memfd("nul\0").is_err());
    }
}
