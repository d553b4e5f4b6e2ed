//! What becomes of content between origin and client, as an operator configures it.

mod coding;
mod listing;
mod steering;
