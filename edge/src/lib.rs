//! One node of a CDN. `ARCHITECTURE.md` has the planes, the floors and the code map.
//!
//! Floors, lowest first; a room imports only from floors below it (the `tidy` test holds this).

// Floor 0: the kernel.
pub mod ring;
pub mod sys;

// Floor 1: vocabulary.
pub mod clock;
pub mod config;
pub mod http;
pub mod http2;
pub mod limits;
pub mod log;
pub mod mailbox;
pub mod metrics;
pub mod proxy;

// Floor 2: what a node knows.
pub mod abuse;
pub mod cache;
pub mod guard;
pub mod origin;
pub mod site;
pub mod tls;

// Floor 3: the client-facing HTTP machine.
pub mod session;

// Floor 4: the planes.
pub mod admin;
pub mod fill;
pub mod worker;

// Floor 5 and 6: assembly, commands.
pub mod cli;
pub mod server;
