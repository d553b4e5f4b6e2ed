//! Certificates of a story.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory with certificates, removed when dropped.
pub struct Certificates(TempDir);

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates::new()
    }
}

impl Certificates {
    /// An empty one.
    ///
    /// # Panics
    /// Where no directory can be made.
    pub fn new() -> Certificates {
        Certificates(tempfile::tempdir().expect("a directory"))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes NAME.pem and NAME.key, self-signed for `hosts`, with a P-256 key; their paths.
    ///
    /// # Panics
    /// Where they cannot be made or written.
    pub fn make(&self, name: &str, hosts: &[&str]) -> (PathBuf, PathBuf) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(hosts).expect("a certificate");
        let files = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&files.0, made.cert.pem()).expect("write the certificate");
        fs::write(&files.1, made.signing_key.serialize_pem()).expect("write the key");
        files
    }
}
