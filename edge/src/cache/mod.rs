//! The store: objects, their slices, where they lie, and who is filling them.
//!
//! A reader asks [`Cache::lookup`] for an object and [`Cache::read`] for bytes of it; both answer from
//! memory at once. What is absent is asked of the fill plane, which uses [`Cache::load`],
//! [`Cache::insert`] and [`Cache::lead`] to bring it in. Readers and fillers meet in
//! [`slices::Slices`]: a filler moves a watermark, readers follow it.
//!
//! On a volume everything is a record in a region (`record`, `layout`); regions are pinned by who
//! reads them (`region`, `volume`) and reclaimed whole (`room`, `reclaim`); what of them is written
//! again is decided by `eviction` and done by `moving`; the index says where (`index`), a checkpoint
//! keeps it (`checkpoint`), a start finds it again (`recovery`).
#![forbid(unsafe_code)]

mod bytes;
mod checkpoint;
pub mod derived;
mod describe;
mod disk;
mod error;
pub mod eviction;
mod failover;
pub mod freshness;
mod head;
mod heads;
mod index;
pub mod key;
mod layout;
mod lead;
mod metrics;
mod moving;
pub mod object;
mod objects;
pub mod policy;
#[doc(hidden)]
pub mod probe;
pub mod purge;
mod purging;
mod reading;
mod reclaim;
mod record;
mod recovery;
mod region;
mod rehearsal;
pub mod relay;
pub mod reuse;
mod room;
pub mod scrub;
pub mod slices;
pub mod span;
pub mod store;
#[cfg(test)]
mod tests;
pub mod ticket;
pub mod upload;
pub mod vary;
pub mod verify;
mod volume;
mod volumes;
mod walk;
mod whole;
mod writer;

pub use describe::Held;
pub use error::StoreError;
pub use key::{Key, KeyBuilder, Seed};
pub use lead::Lead;
pub use metrics::{CacheMetrics, VolumeUsage};
pub use object::{Body, Meta, Object};
pub use purge::Stamp;
pub use purging::Purged;
pub use reading::Reading;
pub use region::Pin;
pub use relay::Relay;
pub use reuse::Reuse;
pub use slices::Slices;
pub use span::Span;
pub use store::{Cache, Read};
pub use ticket::{FillError, Opened, Ticket, Urgency};
pub use upload::Upload;
pub use vary::Variants;
pub use writer::SliceWriter;
