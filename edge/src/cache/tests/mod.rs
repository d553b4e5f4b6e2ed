//! The store as a whole, on small volumes.

mod damage;
mod fills;
mod histories;
mod node;
mod reclaim;
mod restart;
mod storms;

use node::content;
