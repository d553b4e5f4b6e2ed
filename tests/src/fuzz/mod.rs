//! What must hold for any bytes: one function a kind of input, shared by the fuzzer
//! (`cargo xtask fuzz`) and by the test that replays the corpora (`tests/fuzz.rs`).

mod bodies;
mod config;
mod fields;
mod heads;
mod proxy;
mod records;

/// One kind of hostile input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name on the command line, and of the directory of its corpus.
    pub name: &'static str,
    /// Panics when something that must hold does not.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target { name: "request_head", check: heads::request },
    Target { name: "response_head", check: heads::response },
    Target { name: "chunked", check: bodies::chunked },
    Target { name: "cache_control", check: fields::cache_control },
    Target { name: "range", check: fields::range },
    Target { name: "proxy_header", check: proxy::header },
    Target { name: "config", check: config::config },
    Target { name: "volume_record", check: records::volume_record },
];

/// The target called `name`.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
