//! The control plane's doors: a small HTTP server on loopback or a Unix socket.
//!
//! | | |
//! |---|---|
//! | `GET /metrics` | counters, for Prometheus |
//! | `GET /healthz` | 200 while the node takes requests, 503 and why when it does not |
//! | `GET /status` | the node in JSON |
//! | `GET /why?address=192.0.2.7` | what the engine knows of an address, and what decides |
//! | `GET /conns` | connections, with site, object and what TCP knows |
//! | `GET /top` | sums, and the clients and objects that take most |
//! | `POST /forgive?prefix=192.0.2.7` | ends the engine's bans and limits of a prefix |
//! | `POST /reload` | as SIGHUP; answers when it is done |
//! | `POST /purge` | an order to purge in JSON; answers when it holds |
//! | `POST /cache/verify` | looks through all that is stored; answers at once |
//! | `GET /cache/verify` | how that goes, and what it found |
//! | `GET /domains` | every site in JSON |
//! | `POST /domains` | adds a domain: an object with `name`, `origin` and other keys of a `[[site]]` |
//! | `POST /domains/remove` | removes one: an object with its `name` |
//! | `POST /explain` | what decides about a request: an object with `url`, `method`, `headers` |
//! | `POST /prefetch` | an order to prefetch in JSON; answers with its number |
//! | `GET /prefetch/N` | how it goes, in JSON |
//! | `GET /purges` | purges that are still looked at, in JSON |
//!
//! It knows nothing of the node but a [`View`] of it. Runs on a plain tokio runtime; nothing that
//! happens here reaches the data plane.
#![forbid(unsafe_code)]

use std::net::IpAddr;

mod doors;
mod orders;
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
    /// What the engine knows of an address, and what decides.
    fn why(&self, address: IpAddr) -> serde_json::Value;
    /// Sums, and the clients and objects that take most.
    fn top(&self) -> serde_json::Value;
    /// The connections, what they are at. Waits for workers: called where that stops nobody.
    fn conns(&self) -> serde_json::Value;
    /// Ends the engine's bans and limits of a prefix. What was done, in one line.
    ///
    /// # Errors
    /// Why it is no prefix.
    fn forgive(&self, prefix: &str) -> Result<String, String>;
    /// Reads the configuration again. What was done, in one line.
    ///
    /// # Errors
    /// Why the old configuration stays, one reason a line.
    fn reload(&self) -> Result<String, String>;
    /// Purges what `order` names. May wait for a disk: called where that stops nobody.
    ///
    /// # Errors
    /// Nothing was purged, or it may come back after a restart.
    fn purge(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal>;
    /// Begins to look through all that is stored, unless that goes on already.
    ///
    /// # Errors
    /// No thread for it.
    fn verify(&self) -> Result<serde_json::Value, Refusal>;
    /// How that goes, and what it found.
    fn verified(&self) -> serde_json::Value;
    /// Takes an order to prefetch; its number is in the answer.
    ///
    /// # Errors
    /// It makes no sense, or there are too many.
    fn prefetch(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal>;
    /// How the order to prefetch with this number goes; `None`: there is none (any more).
    fn prefetched(&self, number: u64) -> Option<serde_json::Value>;
    /// The purges that are still looked at.
    fn purges(&self) -> serde_json::Value;
    /// Every site, those added at run time among them.
    fn domains(&self) -> serde_json::Value;
    /// Adds a domain. May wait for a disk.
    ///
    /// # Errors
    /// It is there already, there are too many, it makes no sense, or it cannot be kept.
    fn add_domain(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal>;
    /// Removes a domain. May wait for a disk.
    ///
    /// # Errors
    /// It is not there, or not to be removed here.
    fn remove_domain(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal>;
    /// What decides about a request. May wait for a disk.
    ///
    /// # Errors
    /// It is no request.
    fn explain(&self, question: &serde_json::Value) -> Result<serde_json::Value, Refusal>;
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense: one line with the cure.
    Wrong(String),
    /// The node could not.
    Failed(String),
    /// It is not to be, for a reason that programs tell by its code.
    Coded {
        /// Of the response.
        status: u16,
        /// Stable name.
        code: &'static str,
        /// For people, with the cure.
        text: String,
    },
}

#[cfg(test)]
mod tests;
