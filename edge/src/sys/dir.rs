//! What a directory holds.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType};

use super::file::{Stat, open_beneath};

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is on the disk, perhaps not UTF-8.
    pub name: Vec<u8>,
    /// A directory; otherwise a regular file.
    pub is_dir: bool,
    /// Length of a file, bytes.
    pub len: u64,
    /// Last change, ns since 1970.
    pub mtime_ns: i64,
}

/// Files and directories of `dir`, which is `path` beneath `root`, in no order; `most` at most, and
/// whether there were more. Left out are names that begin with a dot, what is neither, and links that
/// lead out of `root` or nowhere. Blocks on the disk.
pub fn entries(
    root: impl AsFd,
    path: &Path,
    dir: &File,
    most: usize,
) -> io::Result<(Vec<Entry>, bool)> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.starts_with(b".") {
            continue;
        }
        if found.len() == most {
            return Ok((found, true));
        }
        let stat = match rustix::fs::statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It went meanwhile, or nobody may know.
            Err(_) => continue,
        };
        let entry = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = path.join(std::ffi::OsStr::from_bytes(name));
                open_beneath(&root, target).ok().and_then(|(_, stat)| of_stat(name, &stat))
            }
            kind => Some(Entry {
                name: name.to_vec(),
                is_dir: kind.is_dir(),
                len: u64::try_from(stat.st_size).unwrap_or(0),
                mtime_ns: (stat.st_mtime as i64)
                    .saturating_mul(1_000_000_000)
                    .saturating_add(stat.st_mtime_nsec as i64),
            })
            .filter(|_| kind.is_dir() || kind.is_file()),
        };
        found.extend(entry);
    }
    Ok((found, false))
}

fn of_stat(name: &[u8], stat: &Stat) -> Option<Entry> {
    let Stat { is_dir, is_file, len, mtime_ns, .. } = *stat;
    (is_dir || is_file).then(|| Entry { name: name.to_vec(), is_dir, len, mtime_ns })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_shown_and_what_not() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("root");
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::write(top.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("top"), "four").unwrap();
        std::fs::write(root.join("sub/file"), "12345").unwrap();
        std::fs::write(root.join("sub/.hidden"), "").unwrap();
        for (to, name) in [
            ("../../secret", "out"),
            ("/etc/passwd", "abs"),
            ("nowhere", "gone"),
            ("../top", "in"),
            (".", "self"),
        ] {
            symlink(to, root.join("sub").join(name)).unwrap();
        }
        let fifo = FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, root.join("sub/fifo"), fifo, mode, 0).unwrap();
        let root = File::open(&root).unwrap();
        let (dir, _) = open_beneath(&root, "sub").unwrap();
        let (mut found, more) = entries(&root, Path::new("sub"), &dir, 100).unwrap();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let shown: Vec<_> = found.iter().map(|it| (&it.name[..], it.is_dir, it.len)).collect();
        let expected = [(&b"deep"[..], true), (b"file", false), (b"in", false), (b"self", true)];
        assert_eq!(shown.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(), expected);
        assert_eq!((shown[1].2, shown[2].2, more), (5, 4, false));
        let (dir, _) = open_beneath(&root, "sub").unwrap();
        let (few, more) = entries(&root, Path::new("sub"), &dir, 2).unwrap();
        assert_eq!((few.len(), more), (2, true));
    }
}
