//! `file://` origins.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::rig::Rig;
use crate::cache::{Body, FillError, Object};
use crate::metrics::Outcome;

fn file_of(object: &Object) -> &Arc<std::fs::File> {
    let Body::File { file, .. } = &object.body else { panic!("{object:?}") };
    file
}

#[test]
fn a_file_is_sent_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("dir")).unwrap();
    std::fs::write(root.path().join("dir/a b.html"), "hello").unwrap();
    std::fs::write(root.path().join("dir/index.html"), "index").unwrap();
    let rig = Rig::with_files(root.path());
    let (object, outcome) = rig.open("/dir/a%20b.html?x=y").object();
    assert_eq!((outcome, object.len()), (Outcome::Miss, Some(5)));
    assert_eq!(rig.read_all("/", &object).unwrap(), b"hello");
    let headers = String::from_utf8(object.meta.headers.to_vec()).unwrap();
    for field in ["Content-Type: text/html", "Last-Modified: ", "Date: ", "ETag: \""] {
        assert!(headers.contains(field), "{headers}");
    }
    assert!(object.meta.strong_etag().is_some());
    let (index, _) = rig.open("/dir/").object();
    assert_eq!(rig.read_all("/dir/", &index).unwrap(), b"index");
}

#[test]
fn a_file_is_looked_at_again_and_opened_only_when_changed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    std::fs::write(&path, "one").unwrap();
    let rig = Rig::with_files(root.path());
    let (first, _) = rig.open("/a").object();
    let (second, outcome) = rig.revalidate("/a", &first).object();
    assert_eq!(outcome, Outcome::Hit);
    assert!(Arc::ptr_eq(file_of(&first), file_of(&second)));
    std::fs::write(&path, "other").unwrap();
    let (third, outcome) = rig.revalidate("/a", &second).object();
    assert_eq!((outcome, third.len()), (Outcome::Miss, Some(5)));
    assert_ne!(third.meta.etag, first.meta.etag);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rig.revalidate("/a", &third).opened().err(), Some(FillError::NotFound));
}

#[test]
fn what_is_not_a_file_beneath_the_root_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    std::fs::create_dir_all(root.join("dir")).unwrap();
    std::fs::write(outside.path().join("secret"), "s").unwrap();
    symlink("../secret", root.join("escape")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(root.join("fifo")).status().unwrap();
    assert!(fifo.success());
    symlink("round", root.join("round")).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let rig = Rig::with_files(&root);
    let rows = [
        ("/missing", FillError::NotFound),
        ("/dir/", FillError::NotFound),
        ("/dir/%00", FillError::NotFound),
        ("/../secret", FillError::NotFound),
        ("/%2e%2e/secret", FillError::NotFound),
        ("/..%2fsecret", FillError::NotFound),
        ("/escape", FillError::Forbidden),
        ("/absolute", FillError::Forbidden),
        ("/fifo", FillError::Forbidden),
        ("/round", FillError::Forbidden),
        ("/socket", FillError::Forbidden),
    ];
    for (target, expected) in rows {
        assert_eq!(rig.open(target).opened().err(), Some(expected), "{target}");
    }
    let (moved, _) = rig.open("/dir?x=1").object();
    assert_eq!(moved.meta.status, 301);
    let headers = String::from_utf8_lossy(&moved.meta.headers).into_owned();
    assert!(headers.starts_with("Location: /dir/?x=1\r\n"), "{headers}");
}
