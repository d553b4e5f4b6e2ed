//! Types and arithmetic shared by the kernel program and the node.
#![no_std]
