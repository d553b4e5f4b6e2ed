//! The control plane's doors: a small HTTP server on loopback or a Unix socket.
//!
//! | | |
//! |---|---|
//! | `GET /metrics` | counters, for Prometheus |
//! | `GET /healthz` | 200 while the node takes requests, 503 and why when it does not |
//! | `GET /status` | the node in JSON |
//! | `POST /reload` | as SIGHUP; answers when it is done |
//!
//! It knows nothing of the node but a [`View`] of it. Runs on a plain tokio runtime; nothing that
//! happens here reaches the data plane.
#![forbid(unsafe_code)]

mod doors;
mod routes;
mod socket;

pub use doors::{AdminError, Doors, bind};

/// The node as its admin server sees it. Calls are short: they read counters, or swap a
/// configuration.
pub trait View: Send + Sync {
    /// Appends every family of counters in the Prometheus text format.
    fn metrics(&self, out: &mut String);
    /// The node's state.
    fn status(&self) -> serde_json::Value;
    /// Whether new requests are welcome; if not, why.
    ///
    /// # Errors
    /// Why not, in one line.
    fn healthy(&self) -> Result<(), String>;
    /// Reads the configuration again. What was done, in one line.
    ///
    /// # Errors
    /// Why the old configuration stays, one reason a line.
    fn reload(&self) -> Result<String, String>;
}

#[cfg(test)]
mod tests;
