//! The harness of the whole-node stories: the real binary, scripted and real origins, real clients.
//!
//! A story starts what it needs ([`Node`], [`Origin`], [`Nginx`], [`CutProxy`]), each in its own
//! directory on ports the kernel chose, and everything ends when it is dropped. Stories wait for
//! *states* ([`eventually`]) and arrange *orders* ([`Gate`]); none asserts a time. What goes wrong in
//! the harness itself panics with what was expected; a node that is dropped by a panic prints its
//! configuration and the end of its log.
//!
//! | variable | meaning |
//! |---|---|
//! | `EDGE_BIN` | the binary under test; default: `target/<profile>/edge` beside the test |
//! | `EDGE_TEST_LARGE=1` | the large file has 4 GiB instead of 64 MiB |
//! | `EDGE_TEST_PUT_GIB=10` | the large upload has as many GiB instead of a quarter of one |
//! | `EDGE_TEST_CRASHES` | how often the crash story kills; default 10 |
//! | `EDGE_TEST_TRUTH_S` | seconds of load before kernel, engine and log are compared; default 20 |
//! | `EDGE_TEST_SOAK_S` | seconds the soak runs; default 24 |
//! | `EDGE_TEST_GUEST` | set by `cargo xtask vm-test`: the kernel of the guest that the test runs in |
//! | `EDGE_TEST_RELOADS` | how often certificates are changed under load; default 25 |
//! | `EDGE_TEST_KEEP=1` | directories of nodes are left behind |
#![forbid(unsafe_code)]

pub mod range;

pub mod certificates;
pub mod client;
pub mod content;
pub mod dns;
pub mod frames;
pub mod fuzz;
pub mod message;
pub mod metrics;
pub mod mmdb;
pub mod netns;
pub mod nginx;
pub mod node;
pub mod node_config;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod raw_origin;
pub mod sample;
pub mod tools;

pub use certificates::Certificates;
pub use client::{Client, Closed, fetch};
pub use content::{Content, Follower, Random, sha256_file};
pub use dns::Dns;
pub use frames::Frames;
pub use message::{Head, Response};
pub use metrics::{Metrics, names};
pub use nginx::Nginx;
pub use node::Node;
pub use node_config::NodeConfig;
pub use origin::{Gate, Hold, Origin, Page};
pub use process::{Process, eventually};
pub use proxy::CutProxy;
pub use raw_origin::{Asked, Call, RawOrigin};
pub use sample::Sample;
pub use tools::{Tool, need};

/// One mebibyte.
pub const MIB: u64 = 1 << 20;

/// A number from the environment, or `default`.
///
/// # Panics
/// When the variable is set to something else.
pub fn env_number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")),
        Err(_) => default,
    }
}

/// Size of the large file of the download stories, bytes.
pub fn large_bytes() -> u64 {
    if env_number("EDGE_TEST_LARGE", 0) == 0 { 64 * MIB } else { 4096 * MIB }
}
