//! A Unix socket that is only there while somebody answers on it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::AdminError;

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// Removes the socket when dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens at `path`, in the place of a socket that a dead node left there.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), AdminError> {
    refuse_if_used(path)?;
    let failed = |op| move |source| AdminError::Socket { op, path: path.to_owned(), source };
    // Made under another name: nobody can connect before the mode is right, and the rename puts it
    // in the place of a stale one at once.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = SocketFile(path.with_file_name(name));
    let _ = fs::remove_file(&new.0);
    let listener = UnixListener::bind(&new.0).map_err(failed("bind"))?;
    fs::set_permissions(&new.0, fs::Permissions::from_mode(MODE)).map_err(failed("chmod"))?;
    fs::rename(&new.0, path).map_err(failed("rename"))?;
    Ok((listener, SocketFile(path.to_owned())))
}

fn refuse_if_used(path: &Path) -> Result<(), AdminError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(AdminError::NotASocket { path: path.to_owned() });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) if source.kind() != io::ErrorKind::WouldBlock => {
            Err(AdminError::Socket { op: "probe", path: path.to_owned(), source })
        }
        // It answers, or is too busy to.
        _ => Err(AdminError::SocketInUse { path: path.to_owned() }),
    }
}
