//! The store: objects, their slices, where they lie, and who is filling them.
//!
//! A reader asks [`Cache::lookup`] for an object and [`Cache::read`] for bytes of it; both answer from
//! memory at once. What is absent is asked of the fill plane, which uses [`Cache::load`],
//! [`Cache::insert`] and [`Cache::lead`] to bring it in. Readers and fillers meet in
//! [`slices::Slices`]: a filler moves a watermark, readers follow it.
#![forbid(unsafe_code)]

pub mod key;
pub mod object;
pub mod relay;
pub mod slices;
pub mod span;
pub mod store;
pub mod ticket;
pub mod volume;

pub use key::{Key, KeyBuilder, Seed};
pub use object::{Body, Meta, Object};
pub use relay::Relay;
pub use span::Span;
pub use store::{Cache, Lead, Read, SliceWriter, StoreError};
pub use ticket::{FillError, Opened, Ticket};
