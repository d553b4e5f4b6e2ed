//! The store as a whole, on small volumes.

mod damage;
mod fills;
mod histories;
mod node;
mod reclaim;
mod restart;

use node::content;
