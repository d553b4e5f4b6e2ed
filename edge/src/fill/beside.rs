//! Coded files beside the files of a directory: `a.js.br` is `a.js` in brotli, unless it is older.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::derive::coded_fields;
use crate::cache::derived::{Derivation, MADE};
use crate::cache::{Body, Cache, Object};
use crate::clock::Now;
use crate::http::Coding;
use crate::sys::file::{Stat, open_beneath};

/// Enters the coded files that lie beside that of `object`, which is `path` beneath `root`, and takes
/// away those that are gone.
pub fn enter(
    cache: &Cache,
    codings: &[Coding],
    (root, path): (&File, &Path),
    object: &Object,
    stat: &Stat,
) {
    for coding in codings {
        let how = Derivation::Coded(*coding);
        let known = cache.lookup(how.key(object));
        match open(root, path, *coding, stat) {
            Some((file, beside)) => {
                let tag = format!("\"{:x}-{:x}-{:x}\"", beside.mtime_ns, beside.len, beside.ino);
                if known.is_some_and(|known| known.meta.etag.as_deref() == Some(&tag)) {
                    continue;
                }
                let headers = coded_fields(*coding, Some(&tag));
                let body = Body::File { file: Arc::new(file), len: beside.len, content: None };
                let made = Object::derived((object, how), MADE, headers, Some(tag.into()), body);
                cache.insert(Arc::new(made), Now::read());
            }
            // What the node coded itself stays.
            None if known.is_some_and(|known| matches!(known.body, Body::File { .. })) => {
                cache.forget(how.key(object));
            }
            None => {}
        }
    }
}

fn open(root: &File, path: &Path, coding: Coding, of: &Stat) -> Option<(File, Stat)> {
    let mut name = OsString::from(path);
    name.push(coding.suffix());
    let (file, stat) = open_beneath(root, PathBuf::from(name)).ok()?;
    (stat.is_file && stat.len > 0 && stat.mtime_ns >= of.mtime_ns).then_some((file, stat))
}
