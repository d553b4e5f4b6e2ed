//! The store as a whole, on small volumes.

mod damage;
mod fills;
mod histories;
mod hostile;
mod keeping;
pub mod node;
mod purges;
mod reclaim;
mod restart;
mod scrubs;
mod storms;
mod trouble;

use node::content;
