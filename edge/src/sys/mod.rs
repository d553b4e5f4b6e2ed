//! Every system call of the node that does not go through the ring.

pub mod eventfd;
pub mod file;
