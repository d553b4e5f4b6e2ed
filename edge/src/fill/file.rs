//! `file://` origins: a regular file beneath a directory becomes an object that is sent as it is.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::object::key_text;
use super::{beside, listing, runtime};
use crate::cache::{Body, Cache, FillError, Meta, Object, Reuse, Stamp};
use crate::clock::Now;
use crate::http::mime;
use crate::http::path::safe_relative;
use crate::limits::SMALL_OBJECT_MAX_BYTES;
use crate::metrics::Outcome;
use crate::session::Demand;
use crate::session::demand::Want;
use crate::sys::file::{Stat, is_exhausted, is_unusual_file, open_beneath};

/// How long a file is believed to be as it was, ms.
const BELIEVED_MS: u64 = 1_000;

/// What a target names.
pub enum Found {
    /// A file, or where it is.
    Object(Arc<Object>, Outcome),
    /// A directory that is to be shown.
    Directory(Directory),
}

/// See [`Found::Directory`].
pub struct Directory {
    root: File,
    path: PathBuf,
    dir: File,
    asked: Now,
}

/// Opens what `demand` names beneath `root`. A file that is what it was goes on with the descriptor that
/// is open already.
pub fn open(cache: &Cache, demand: &Demand, root: &Path) -> Result<Found, FillError> {
    let Want::Open { key, stale, .. } = &demand.want else { return Err(FillError::Broken) };
    let asked = Now::read();
    let content = &demand.site.config.content;
    let path = relative_path(&demand.target)?;
    let names_directory =
        path.as_os_str().is_empty() || path.as_os_str().as_bytes().ends_with(b"/");
    let root = File::open(root).map_err(|error| blame(&error))?;
    let index = demand.site.config.index.as_deref();
    let file_path = match (names_directory, index) {
        (false, _) => Some(path.clone()),
        (true, index) => index.map(|index| path.join(index)),
    };
    let opened = match &file_path {
        Some(path) => open_beneath(&root, path).map_err(|error| blame(&error)),
        None => Err(FillError::NotFound),
    };
    let (file, stat) = match opened {
        Err(FillError::NotFound) if names_directory && content.listing => {
            let dot = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            let (dir, stat) = open_beneath(&root, dot).map_err(|error| blame(&error))?;
            if !stat.is_dir {
                return Err(FillError::NotFound);
            }
            return Ok(Found::Directory(Directory { root, path, dir, asked }));
        }
        opened => opened?,
    };
    match stat {
        Stat { is_dir: true, .. } if !names_directory => {
            let stamp = cache.stamp_at(asked);
            let object = listing::with_slash(demand, file, (Now::read(), stamp));
            cache.insert(object.clone(), Now::read());
            return Ok(Found::Object(object, Outcome::Miss));
        }
        Stat { is_dir: true, .. } => return Err(FillError::NotFound),
        Stat { is_file: false, .. } => return Err(FillError::Forbidden),
        Stat { .. } => {}
    }
    let path = file_path.unwrap_or(path);
    let now = Now::read();
    let meta = meta(&path, &stat, demand, now, cache.stamp_at(asked));
    let before = stale.as_ref().filter(|stale| stale.meta.etag == meta.etag);
    let before = before.filter(|before| !cache.is_purged(before));
    let (body, outcome) = match before.map(|before| &before.body) {
        Some(body @ Body::File { .. }) => (body.clone(), Outcome::Hit),
        _ => (whole(file, stat.len), Outcome::Miss),
    };
    let object = Arc::new(Object::new(*key, meta, body));
    cache.insert(object.clone(), now);
    if let Some(compress) = content.compress.as_ref().filter(|compress| compress.precompressed) {
        beside::enter(cache, &compress.codings, (&root, &path), &object, &stat);
    }
    Ok(Found::Object(object, outcome))
}

/// Shows a directory; `None` when it cannot be read.
pub async fn list(cache: &Cache, demand: &Demand, found: Directory) -> Option<Arc<Object>> {
    let form = listing::form(&demand.target, &demand.fields);
    let Directory { root, path, dir, asked } = found;
    let shown = runtime::off_thread(move || {
        let body = listing::show(&root, &path, &dir, form);
        body.map(|body| (dir, body))
    });
    let shown = match shown.await? {
        Ok(shown) => shown,
        Err(error) => {
            tracing::warn!(%error, target = &*demand.target, "directory not shown");
            return None;
        }
    };
    let (now, stamp) = (Now::read(), cache.stamp_at(asked));
    let object = listing::object(cache, demand, shown, form, (now, stamp));
    cache.insert(object.clone(), now);
    Some(object)
}

/// An open file as a body; a short one is read at once.
fn whole(file: File, len: u64) -> Body {
    let mut content = None;
    if len <= SMALL_OBJECT_MAX_BYTES {
        let mut bytes = vec![0; len as usize];
        // One that shrinks at this moment is sent as a file, and cut where it ends.
        content = file.read_exact_at(&mut bytes, 0).is_ok().then(|| bytes.into());
    }
    Body::File { file: Arc::new(file), len, content }
}

/// The path beneath the root; one that ends in `/` names a directory, as does an empty one.
fn relative_path(target: &str) -> Result<PathBuf, FillError> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let mut relative = Vec::new();
    safe_relative(path, &mut relative).map_err(|_| FillError::NotFound)?;
    Ok(OsString::from_vec(relative).into())
}

fn blame(error: &io::Error) -> FillError {
    use io::ErrorKind::*;
    match error.kind() {
        NotFound | NotADirectory | InvalidFilename | InvalidInput => FillError::NotFound,
        // `CrossesDevices`: a link that leads out of the directory.
        PermissionDenied | CrossesDevices => FillError::Forbidden,
        _ if is_unusual_file(error) => FillError::Forbidden,
        _ if is_exhausted(error) => FillError::Overloaded,
        _ => FillError::Disk,
    }
}

fn meta(path: &Path, stat: &Stat, demand: &Demand, now: Now, stamp: Stamp) -> Meta {
    let modified_unix_s = stat.mtime_ns.div_euclid(1_000_000_000);
    let etag = format!("\"{:x}-{:x}-{:x}\"", stat.mtime_ns, stat.len, stat.ino);
    let mut headers = format!("Content-Type: {}\r\n", mime::content_type(&path.to_string_lossy()));
    let dates = [("Date", (now.unix_ms / 1_000) as i64), ("Last-Modified", modified_unix_s)];
    for (name, unix_s) in dates {
        // A file from before 1970 has no date that a client would understand.
        if let Ok(unix_s) = u64::try_from(unix_s) {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix_s);
            headers.push_str(&format!("{name}: {}\r\n", httpdate::fmt_http_date(time)));
        }
    }
    headers.push_str(&format!("ETag: {etag}\r\n"));
    Meta {
        status: 200,
        headers: headers.into_bytes().into(),
        etag: Some(etag.into()),
        last_modified_unix_s: Some(modified_unix_s).filter(|unix_s| *unix_s >= 0),
        received_unix_ms: now.unix_ms,
        initial_age_ms: 0,
        lifetime_ms: BELIEVED_MS,
        reuse: Reuse::default(),
        variant_of: None,
        key_text: key_text(demand),
        tags: "".into(),
        stamp,
    }
}
