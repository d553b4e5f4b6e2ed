//! `file://` origins: a regular file beneath a directory becomes an object that is sent as it is.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::object::key_text;
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

/// Opens the file that `demand` names beneath `root`. A file that is what it was goes on with the
/// descriptor that is open already.
pub fn open(
    cache: &Cache,
    demand: &Demand,
    root: &Path,
) -> Result<(Arc<Object>, Outcome), FillError> {
    let Want::Open { key, stale, .. } = &demand.want else { return Err(FillError::Broken) };
    let asked = Now::read();
    let path = relative_path(&demand.target, demand.site.config.index.as_deref())?;
    let (file, stat) = File::open(root)
        .and_then(|root| open_beneath(&root, &path))
        .map_err(|error| blame(&error))?;
    match stat {
        Stat { is_dir: true, .. } => return Err(FillError::NotFound),
        Stat { is_file: false, .. } => return Err(FillError::Forbidden),
        Stat { .. } => {}
    }
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
    Ok((object, outcome))
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

/// The path of the file beneath the root; a path that ends in `/` names the directory's index.
fn relative_path(target: &str, index: Option<&str>) -> Result<PathBuf, FillError> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let mut relative = Vec::new();
    safe_relative(path, &mut relative).map_err(|_| FillError::NotFound)?;
    if relative.is_empty() || relative.ends_with(b"/") {
        relative.extend_from_slice(index.ok_or(FillError::NotFound)?.as_bytes());
    }
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
