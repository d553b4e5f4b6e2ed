//! What a file is, by its name.

/// The type of what is of no known type.
pub const UNKNOWN: &str = "application/octet-stream";

/// `Content-Type` of the file at `path` (decoded or not), by its extension. Text is said to be UTF-8.
pub fn content_type(path: &str) -> &'static str {
    let Some(extension) = extension(path) else { return UNKNOWN };
    let is_it = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case(extension);
    if let Some((_, of_mirrors)) = OF_MIRRORS.iter().find(is_it) {
        return of_mirrors;
    }
    let essence = mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN);
    let with_charset = TEXTS.iter().find(|text| text.strip_suffix(CHARSET) == Some(essence));
    with_charset.copied().unwrap_or(essence)
}

/// What follows the last dot of the last segment; a name that only begins with a dot has none.
fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then_some(extension)
}

/// What mirrors and video sites hold, where the general table has nothing, or something else.
const OF_MIRRORS: &[(&str, &str)] = &[
    // Packages
    ("apk", "application/vnd.android.package-archive"),
    ("appimage", "application/vnd.appimage"),
    ("deb", "application/vnd.debian.binary-package"),
    ("ddeb", "application/vnd.debian.binary-package"),
    ("udeb", "application/vnd.debian.binary-package"),
    ("flatpak", "application/vnd.flatpak"),
    ("ipa", "application/octet-stream"),
    ("msi", "application/x-msi"),
    ("msix", "application/msix"),
    ("rpm", "application/x-rpm"),
    ("snap", "application/vnd.snap"),
    ("whl", "application/zip"),
    // Images of disks
    ("dmg", "application/x-apple-diskimage"),
    ("iso", "application/x-iso9660-image"),
    ("qcow2", "application/x-qemu-disk"),
    // Archives
    ("7z", "application/x-7z-compressed"),
    ("bz2", "application/x-bzip2"),
    ("crate", "application/gzip"),
    ("gz", "application/gzip"),
    ("lz4", "application/x-lz4"),
    ("lzma", "application/x-lzma"),
    ("tgz", "application/gzip"),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
    // What lies beside them
    ("asc", "text/plain; charset=utf-8"),
    ("dsc", "text/plain; charset=utf-8"),
    ("md5", "text/plain; charset=utf-8"),
    ("sha1", "text/plain; charset=utf-8"),
    ("sha256", "text/plain; charset=utf-8"),
    ("sha512", "text/plain; charset=utf-8"),
    ("sig", "application/pgp-signature"),
    ("torrent", "application/x-bittorrent"),
    ("zsync", "application/x-zsync"),
    // Video
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4s", "video/iso.segment"),
    ("mpd", "application/dash+xml"),
    ("ts", "video/mp2t"),
    ("vtt", "text/vtt; charset=utf-8"),
    // The web
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("woff2", "font/woff2"),
];

const CHARSET: &str = "; charset=utf-8";

/// The texts of the general table.
const TEXTS: &[&str] = &[
    "text/cache-manifest; charset=utf-8",
    "text/calendar; charset=utf-8",
    "text/coffeescript; charset=utf-8",
    "text/css; charset=utf-8",
    "text/csv; charset=utf-8",
    "text/html; charset=utf-8",
    "text/javascript; charset=utf-8",
    "text/less; charset=utf-8",
    "text/markdown; charset=utf-8",
    "text/n3; charset=utf-8",
    "text/plain; charset=utf-8",
    "text/sgml; charset=utf-8",
    "text/tab-separated-values; charset=utf-8",
    "text/turtle; charset=utf-8",
    "text/uri-list; charset=utf-8",
    "text/vcard; charset=utf-8",
    "text/vnd.graphviz; charset=utf-8",
    "text/x-c; charset=utf-8",
    "text/x-lua; charset=utf-8",
    "text/x-markdown; charset=utf-8",
    "text/x-nfo; charset=utf-8",
    "text/x-rust; charset=utf-8",
    "text/x-sass; charset=utf-8",
    "text/x-scss; charset=utf-8",
    "text/x-toml; charset=utf-8",
    "text/x-vcard; charset=utf-8",
    "text/x-yaml; charset=utf-8",
    "text/xml; charset=utf-8",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_the_last_extension() {
        for (path, expected) in [
            ("/debian-12.iso", "application/x-iso9660-image"),
            ("/a/B.ISO", "application/x-iso9660-image"),
            ("/linux.tar.xz", "application/x-xz"),
            ("/linux.tar.gz", "application/gzip"),
            ("/a.zst", "application/zstd"),
            ("/a_amd64.deb", "application/vnd.debian.binary-package"),
            ("/a.rpm", "application/x-rpm"),
            ("/a.apk", "application/vnd.android.package-archive"),
            ("/live.m3u8", "application/vnd.apple.mpegurl"),
            ("/live.mpd", "application/dash+xml"),
            ("/1.ts", "video/mp2t"),
            ("/1.mp4", "video/mp4"),
            ("/a.wasm", "application/wasm"),
            ("/a.mjs", "text/javascript; charset=utf-8"),
            ("/a.js", "text/javascript; charset=utf-8"),
            ("/index.html", "text/html; charset=utf-8"),
            ("/a.css", "text/css; charset=utf-8"),
            ("/a.txt", "text/plain; charset=utf-8"),
            ("/a.xml", "text/xml; charset=utf-8"),
            ("/a.json", "application/json"),
            ("/a.svg", "image/svg+xml"),
            ("/a.png", "image/png"),
            ("/a.unheard-of", UNKNOWN),
            ("/SHA256SUMS", UNKNOWN),
            ("/a.iso/b", UNKNOWN),
            ("/.html", UNKNOWN),
            ("/a.", UNKNOWN),
            ("/", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(content_type(path), expected, "{path}");
        }
    }

    #[test]
    fn tables_are_well_formed() {
        assert!(TEXTS.iter().all(|text| text.starts_with("text/") && text.ends_with(CHARSET)));
        for (extension, kind) in OF_MIRRORS {
            assert_eq!(content_type(&format!("a.{extension}")), *kind, "no earlier row");
            assert_eq!(kind.starts_with("text/"), kind.ends_with(CHARSET), "{extension}");
        }
    }
}
