//! The store as a whole, on small volumes.

mod damage;
mod fills;
mod histories;
pub mod node;
mod purges;
mod reclaim;
mod restart;
mod storms;
mod trouble;

use node::content;
