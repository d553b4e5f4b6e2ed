//! The kernel program and its maps on a real kernel: packet tables through `BPF_PROG_TEST_RUN`,
//! pins across restarts, and a story on a veth pair. Needs root; what cannot run says why.

mod bpffs;
mod capture;
mod conns;
mod engine;
mod events;
mod floods;
mod frames;
mod limits;
mod pins;
mod scapy;
mod truth;
mod veth;
mod xdp_table;
