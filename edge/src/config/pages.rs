//! `site.error_pages`: what clients are shown in the place of errors.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::error::{ConfigError, Place};
use super::raw::Section;
use super::resolve;
use super::resolved::Site;
use crate::http::mime;
use crate::limits::{ERROR_PAGE_MAX_BYTES, ERROR_PAGES_MAX};

/// Pages by status; an exact one beats its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPages {
    exact: Vec<(u16, Page)>,
    classes: [Option<Page>; 2],
}

/// One page, as it was when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it is configured.
    pub place: Place,
    /// Its file.
    pub path: PathBuf,
    /// Its content; empty until [`load`].
    pub body: Bytes,
    /// Its type, by its name.
    pub content_type: &'static str,
}

impl ErrorPages {
    /// The page for `status`.
    pub fn find(&self, status: u16) -> Option<&Page> {
        let exact = self.exact.iter().find(|(one, _)| *one == status).map(|(_, page)| page);
        exact.or_else(|| {
            let class = usize::from(status / 100).checked_sub(4)?;
            self.classes.get(class)?.as_ref()
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.classes.iter().all(Option::is_none)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Page> {
        let exact = self.exact.iter_mut().map(|(_, page)| page);
        exact.chain(self.classes.iter_mut().flatten())
    }
}

/// Reads `error_pages`: `{ 404 = "404.html", 5xx = "error.html" }`.
pub(super) fn error_pages(site: &Section<'_>, directory: &Path) -> ErrorPages {
    let mut pages = ErrorPages::default();
    let Some(entry) = site.entry("error_pages") else { return pages };
    let Some(pairs) = entry.pairs() else {
        entry
            .refuse("takes statuses and files; write { 404 = \"404.html\", 5xx = \"error.html\" }");
        return pages;
    };
    if pairs.len() > ERROR_PAGES_MAX {
        entry.refuse(format!("{} pages are too many; at most {ERROR_PAGES_MAX}", pairs.len()));
    }
    for (status, value) in pairs {
        let Some(path) = resolve::path(value, directory) else { continue };
        let content_type = mime::content_type(&path.to_string_lossy());
        let page = Page { place: value.place(), path, body: Bytes::new(), content_type };
        match (status, status.parse::<u16>()) {
            ("4xx", _) => pages.classes[0] = Some(page),
            ("5xx", _) => pages.classes[1] = Some(page),
            // RFC 9110 §15.5.17: it is about a range of what exists.
            (_, Ok(status @ 400..=599)) if status != 416 => pages.exact.push((status, page)),
            _ => value.refuse(format!(
                "{status:?} is not the status of an error; write 404, or 4xx for all of them"
            )),
        }
    }
    pages
}

/// Reads the files of all pages.
pub(super) fn load<'s>(sites: impl Iterator<Item = &'s mut Site>) -> Vec<ConfigError> {
    let pages = sites.flat_map(|site| site.content.error_pages.all());
    pages.filter_map(|page| read(page).err()).collect()
}

fn read(page: &mut Page) -> Result<(), ConfigError> {
    let refusal = |problem: String| ConfigError::Value {
        place: page.place.clone(),
        key: "site.error_pages".to_owned(),
        problem,
    };
    let path = page.path.display().to_string();
    let stat = std::fs::metadata(&page.path);
    let stat = stat.map_err(|e| refusal(format!("{path} cannot be read: {e}; write the page")))?;
    if !stat.is_file() || stat.len() > ERROR_PAGE_MAX_BYTES {
        let max = super::size_text(ERROR_PAGE_MAX_BYTES);
        return Err(refusal(format!("{path} is not a file of at most {max}; make it smaller")));
    }
    let body = std::fs::read(&page.path);
    let body = body.map_err(|e| refusal(format!("{path} cannot be read: {e}; write the page")))?;
    page.body = body.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn pages_are_read_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let site = "[[site]]\nhosts = \"a\"\norigin = \"http://o\"\n";
        let load = |keys: &str| {
            write("e.toml", &format!("{site}{keys}"));
            Config::load(&dir.path().join("e.toml")).map_err(|errors| errors.to_string())
        };
        write("404.html", "<p>gone");
        write("e.json", "{}");
        let config =
            load("error_pages = { 404 = \"404.html\", 4xx = \"e.json\", 503 = \"e.json\" }");
        let pages = &config.unwrap().sites[0].content.error_pages;
        let found = |status| pages.find(status).map(|page| (&page.body[..], page.content_type));
        assert_eq!(found(404), Some((&b"<p>gone"[..], "text/html; charset=utf-8")));
        assert_eq!(found(403), Some((&b"{}"[..], "application/json")));
        assert!(found(503).is_some() && found(500).is_none() && found(200).is_none());
        assert!(!pages.is_empty());
        for (keys, problem) in [
            (
                "error_pages = { 404 = \"no.html\" }",
                "cannot be read: No such file or directory (os error 2); write the page",
            ),
            ("error_pages = { 404 = \".\" }", "is not a file of at most 1MiB; make it smaller"),
            (
                "error_pages = { 200 = \"404.html\" }",
                "\"200\" is not the status of an error; write 404, or 4xx for all of them",
            ),
            (
                "error_pages = \"x\"",
                "takes statuses and files; write { 404 = \"404.html\", 5xx = \"error.html\" }",
            ),
        ] {
            let error = load(keys).unwrap_err();
            assert!(
                error.ends_with(problem) && error.contains("e.toml:4: site.error_pages: "),
                "{error}"
            );
        }
    }
}
