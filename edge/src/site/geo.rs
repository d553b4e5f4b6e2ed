//! Countries of addresses, from an MMDB file.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, PathElement, Reader};

/// A file in memory. It is read again at a reload.
pub struct Geo(Reader<Vec<u8>>);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file cannot be read.
    #[error("geo.file {path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("geo.file {path} is no MMDB file of countries: {source}; take GeoLite2-Country or another with country.iso_code", path = path.display())]
    Malformed {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: MaxMindDbError,
    },
}

impl Geo {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is no such file.
    pub fn open(path: &Path) -> Result<Geo, GeoError> {
        let path = path.to_owned();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(GeoError::Unreadable { path, source }),
        };
        match Reader::from_source(bytes) {
            Ok(reader) => Ok(Geo(reader)),
            Err(source) => Err(GeoError::Malformed { path, source }),
        }
    }

    /// The country of `address`, in capitals; `None`: it is not known.
    pub fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let code = |name| {
            let path = [PathElement::Key(name), PathElement::Key("iso_code")];
            found.decode_path::<&str>(&path).ok().flatten()
        };
        let code = code("country").or_else(|| code("registered_country"))?;
        Some(<[u8; 2]>::try_from(code.as_bytes()).ok()?.map(|byte| byte.to_ascii_uppercase()))
    }
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Geo").field(&self.0.metadata().database_type).finish()
    }
}
