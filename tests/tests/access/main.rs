//! Whom a site lets in: lists, signed links, its own service; seen with curl.

mod auth;
mod lists;
mod shaped;
mod signed;

use std::path::Path;

use edge_tests::tools::Tool;

/// What curl got: status, `Edge-Reason`, body.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    reason: String,
    body: Vec<u8>,
}

/// GET with curl and further arguments.
#[track_caller]
fn curl(tool: &Tool, url: &str, args: &[&str]) -> Got {
    let format = "\n%{http_code} %header{edge-reason}";
    let all = [&["-s", "--path-as-is", "-w", format, url], args].concat();
    let mut body = tool.expect(Path::new("/"), &all);
    let at = body.iter().rposition(|byte| *byte == b'\n').expect("a line of curl's");
    let line = String::from_utf8(body.split_off(at)).expect("text");
    let (status, reason) = line.trim_start().split_once(' ').expect("two words");
    Got { status: status.parse().expect("a status"), reason: reason.trim().to_owned(), body }
}

impl Got {
    /// Status and reason alone.
    fn what(&self) -> (u16, &str) {
        (self.status, &self.reason)
    }
}
