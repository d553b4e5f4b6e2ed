//! What a directory of a `file://` origin holds, as a page for people or for programs.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use super::object::{key_text, variant};
use crate::cache::{Body, Cache, Meta, Object, Reuse, Stamp};
use crate::clock::Now;
use crate::http::lines;
use crate::http::token::quoted_members;
use crate::limits::{LISTED_MAX, LISTING_BELIEVED_MS};
use crate::session::Demand;
use crate::sys::dir::{Entry, entries};

/// How a directory is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Html,
    /// An array of `{name, type, mtime, size}`, as nginx has it.
    Json,
}

/// The form that a request with this target and these fields asks for: `?json` or `?format=json`, else
/// whether it names JSON in `Accept` and no page.
pub fn form(target: &str, fields: &[u8]) -> Form {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    for argument in query.split('&') {
        match argument {
            "json" | "format=json" => return Form::Json,
            "html" | "format=html" => return Form::Html,
            _ => {}
        }
    }
    let names = |essence: &[u8]| {
        let is_it = |member: &[u8]| {
            let own = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            own.eq_ignore_ascii_case(essence)
        };
        lines::all(fields, "accept").flat_map(quoted_members).any(is_it)
    };
    match names(b"application/json") && !names(b"text/html") {
        true => Form::Json,
        false => Form::Html,
    }
}

/// Reads and shows the directory `dir`, which is `path` beneath `root`. Blocks on the disk.
pub fn show(root: &File, path: &Path, dir: &File, form: Form) -> io::Result<Bytes> {
    let (mut found, has_more) = entries(root, path, dir, LISTED_MAX)?;
    // Directories first, each by name.
    found.sort_unstable_by(|one, other| {
        other.is_dir.cmp(&one.is_dir).then_with(|| one.name.cmp(&other.name))
    });
    Ok(match form {
        Form::Html => html(&path.to_string_lossy(), &found, has_more),
        Form::Json => json(&found),
    }
    .into())
}

/// The object of a listing. It is in memory alone, and believed for a moment.
pub fn object(
    cache: &Cache,
    demand: &Demand,
    (dir, body): (File, Bytes),
    form: Form,
    (now, stamp): (Now, Stamp),
) -> Arc<Object> {
    let etag = format!("\"{:08x}-{:x}\"", crc32c::crc32c(&body), body.len());
    let kind = match form {
        Form::Html => "text/html; charset=utf-8",
        Form::Json => "application/json",
    };
    let headers = format!("Content-Type: {kind}\r\nVary: Accept\r\n{}ETag: {etag}\r\n", date(now));
    let meta = Meta {
        headers: headers.into_bytes().into(),
        etag: Some(etag.into()),
        ..meta(demand, 200, now, stamp.clone())
    };
    let (key, variant_of) = variant(cache, demand, ["accept"].into_iter(), now, stamp);
    let body = Body::File { file: Arc::new(dir), len: body.len() as u64, content: Some(body) };
    Arc::new(Object::new(key, Meta { variant_of, ..meta }, body))
}

/// The answer to a directory's name without its slash: links in a page are taken from the slash on.
pub fn with_slash(demand: &Demand, dir: File, (now, stamp): (Now, Stamp)) -> Arc<Object> {
    let (path, query) = match demand.target.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (&*demand.target, String::new()),
    };
    // Two slashes would name another host.
    let path = path.trim_start_matches('/');
    let headers = format!("Location: /{path}/{query}\r\n{}", date(now));
    let meta = Meta { headers: headers.into_bytes().into(), ..meta(demand, 301, now, stamp) };
    let body = Body::File { file: Arc::new(dir), len: 0, content: Some(Bytes::new()) };
    Arc::new(Object::new(demand.key(), meta, body))
}

fn meta(demand: &Demand, status: u16, now: Now, stamp: Stamp) -> Meta {
    Meta {
        status,
        headers: Box::default(),
        etag: None,
        last_modified_unix_s: None,
        received_unix_ms: now.unix_ms,
        initial_age_ms: 0,
        lifetime_ms: LISTING_BELIEVED_MS,
        reuse: Reuse::default(),
        variant_of: None,
        key_text: key_text(demand),
        tags: "".into(),
        stamp,
    }
}

fn date(now: Now) -> String {
    format!("Date: {}\r\n", http_date(i128::from(now.unix_ms) * 1_000_000))
}

fn http_date(unix_ns: i128) -> String {
    let ns = u64::try_from(unix_ns).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(ns))
}

fn html(path: &str, found: &[Entry], has_more: bool) -> String {
    let mut page = String::with_capacity(256 + found.len() * 160);
    let title = escaped(&format!("/{path}"));
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Index of {title}</title>\
         <style>body{{font-family:monospace}}td{{padding-right:2em}}td.size{{text-align:right}}</style>\
         </head>\n<body><h1>Index of {title}</h1>\n<table>\n"
    );
    if !path.is_empty() {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in found {
        let slash = if entry.is_dir { "/" } else { "" };
        let (link, name) = (encoded(&entry.name), escaped(&String::from_utf8_lossy(&entry.name)));
        let date = http_date(entry.mtime_ns.into());
        let size = if entry.is_dir { "-".to_owned() } else { entry.len.to_string() };
        // The dot keeps a name such as `a:b` from being a scheme.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td>{date}</td><td class=\"size\">{size}</td></tr>"
        );
    }
    page.push_str("</table>\n");
    if has_more {
        let _ = writeln!(page, "<p>There is more: only {} names are shown.</p>", found.len());
    }
    page.push_str("</body></html>\n");
    page
}

fn json(found: &[Entry]) -> String {
    let mut text = String::with_capacity(16 + found.len() * 120);
    text.push_str("[\n");
    for (number, entry) in found.iter().enumerate() {
        let name = quoted(&String::from_utf8_lossy(&entry.name));
        let date = http_date(entry.mtime_ns.into());
        let comma = if number + 1 < found.len() { "," } else { "" };
        let rest = match entry.is_dir {
            true => String::new(),
            false => format!(", \"size\": {}", entry.len),
        };
        let kind = if entry.is_dir { "directory" } else { "file" };
        let _ = writeln!(
            text,
            "{{ \"name\": {name}, \"type\": \"{kind}\", \"mtime\": \"{date}\"{rest} }}{comma}"
        );
    }
    text.push_str("]\n");
    text
}

/// Text of a page.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// A name as a segment of a path (RFC 3986 §2.3).
fn encoded(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A string of JSON (RFC 8259 §7).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if u32::from(letter) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_asked_for() {
        for (target, accept, expected) in [
            ("/d/", "", Form::Html),
            ("/d/?json", "", Form::Json),
            ("/d/?a=b&format=json", "text/html", Form::Json),
            ("/d/?format=html", "application/json", Form::Html),
            ("/d/", "application/json", Form::Json),
            ("/d/", "Application/JSON;q=0.9, */*", Form::Json),
            ("/d/", "text/html, application/json", Form::Html),
            ("/d/", "*/*", Form::Html),
            ("/d/", "application/jsonp", Form::Html),
        ] {
            let fields = format!("Accept: {accept}\r\n");
            assert_eq!(form(target, fields.as_bytes()), expected, "{target} {accept}");
        }
    }

    #[test]
    fn names_cannot_break_out() {
        let entry =
            |name: &[u8], is_dir| Entry { name: name.to_vec(), is_dir, len: 7, mtime_ns: 0 };
        let found = [
            entry(b"\"><script>alert(1)</script>", false),
            entry(b"java:x", true),
            entry(b"a\\b\"\n\xff", false),
        ];
        let page = html("x/<b>", &found, true);
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains("href=\"./%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E\""),
            "{page}"
        );
        assert!(page.contains("href=\"./java%3Ax/\"") && page.contains("only 3 names"), "{page}");
        let text = json(&found);
        // That it is JSON is looked at by the whole-node story, which has a parser.
        assert!(
            text.contains(r#""name": "\"><script>alert(1)</script>", "type": "file""#),
            "{text}"
        );
        assert!(text.contains(r#""name": "java:x", "type": "directory", "mtime""#), "{text}");
        assert!(text.contains("\"a\\\\b\\\"\\u000a\u{fffd}\""), "{text}");
        assert!(
            text.contains(r#""mtime": "Thu, 01 Jan 1970 00:00:00 GMT", "size": 7 }"#),
            "{text}"
        );
        assert_eq!(json(&[]), "[\n]\n");
    }
}
