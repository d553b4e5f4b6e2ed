//! Every system call of the node that does not go through the ring.

pub mod alloc;
pub mod cgroup;
pub mod dir;
pub mod eventfd;
pub mod file;
pub mod host;
pub mod ktls;
pub mod limits;
pub mod memory;
pub mod monotonic;
pub mod mount;
pub mod net;
pub mod pipe;
pub mod readiness;
pub mod residency;
pub mod splice;
pub mod tcp;
pub mod thread;
