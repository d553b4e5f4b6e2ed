//! The shooting range (`ebpf/src/range/`): packets from many addresses, at a program or out of an
//! interface, as fast as the kernel makes them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Array, ProgramArray};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, loaded_programs};
pub use edge_common::range::Aim;
use edge_common::range::TEMPLATE_BYTES;

/// Frames the kernel makes at once.
const BATCH: u32 = 64;

/// The loaded programs of the range.
pub struct Range {
    ebpf: Ebpf,
}

impl Range {
    /// Where `cargo xtask ebpf` leaves them.
    pub fn object() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/range.bpf.o")
    }

    /// `Err`: why there is no range.
    pub fn load() -> Result<Range, String> {
        let path = Range::object();
        let object = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut ebpf = Ebpf::load(&object).map_err(|e| format!("{e:?}"))?;
        for name in ["shuffle", "shoot", "sift", "empty"] {
            xdp(&mut ebpf, name)?.load().map_err(|e| format!("{name}: {e:?}"))?;
        }
        Ok(Range { ebpf })
    }

    /// What is sent from now on.
    pub fn aim(&mut self, aim: Aim) {
        let map = self.ebpf.map_mut("aim").expect("the map");
        Array::try_from(map).expect("its kind").set(0, aim, 0).expect("written");
    }

    /// Nanoseconds a packet takes from its making to the verdict of the program `id`; `None`: of one
    /// that does nothing.
    pub fn measure(&mut self, id: Option<u32>, times: u32) -> Duration {
        let fd = match id {
            Some(id) => {
                let found = loaded_programs().flatten().find(|info| info.id() == id);
                found.expect("the program").fd().expect("its descriptor")
            }
            None => {
                let info = xdp(&mut self.ebpf, "empty").unwrap().info().expect("known");
                info.fd().expect("its descriptor")
            }
        };
        let map = self.ebpf.map_mut("target").expect("the map");
        ProgramArray::try_from(map).expect("its kind").set(0, &fd, 0).expect("written");
        let frame = [0; TEMPLATE_BYTES];
        let options = TestRunOptions { data_in: Some(&frame), repeat: times, ..Default::default() };
        let result = xdp(&mut self.ebpf, "shuffle").unwrap().test_run(options);
        result.expect("a run").duration
    }

    /// Sends `times` packets out of the interface of the [`Aim`], from this thread and CPU.
    pub fn shoot(&mut self, times: u32) {
        let frame = [0; TEMPLATE_BYTES];
        let mut context = [0u8; 24];
        // `xdp_md`: data_end, ingress_ifindex.
        context[4..8].copy_from_slice(&(TEMPLATE_BYTES as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&1u32.to_ne_bytes());
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            repeat: times,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..Default::default()
        };
        xdp(&mut self.ebpf, "shoot").unwrap().test_run(options).expect("a volley");
    }

    /// Has an interface take what is sent to it, but for answers to the sources of the [`Aim`].
    pub fn sift(&mut self, interface: &str) {
        let program = xdp(&mut self.ebpf, "sift").unwrap();
        program.attach(interface, aya::programs::xdp::XdpMode::Driver).expect("attached");
    }

    /// Has an interface take what is sent to it: a veth drops frames unless it has a program or GRO.
    pub fn receive(&mut self, interface: &str) {
        let program = xdp(&mut self.ebpf, "empty").unwrap();
        program.attach(interface, aya::programs::xdp::XdpMode::Driver).expect("attached");
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, String> {
    let program = ebpf.program_mut(name).ok_or_else(|| format!("no program {name}"))?;
    program.try_into().map_err(|e| format!("{name}: {e}"))
}

/// A TCP segment over IPv4 of the range's length, padded with payload, to `to`.
pub fn template(
    hardware: ([u8; 6], [u8; 6]),
    to: ([u8; 4], u16),
    from_port: u16,
    flags: u8,
) -> [u8; TEMPLATE_BYTES] {
    let mut frame = [0; TEMPLATE_BYTES];
    frame[..6].copy_from_slice(&hardware.0);
    frame[6..12].copy_from_slice(&hardware.1);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, TEMPLATE_BYTES as u8 - 14, 0, 1, 0x40, 0, 64, 6]);
    frame[30..34].copy_from_slice(&to.0);
    frame[34..36].copy_from_slice(&from_port.to_be_bytes());
    frame[36..38].copy_from_slice(&to.1.to_be_bytes());
    frame[38..42].copy_from_slice(&[0, 0, 1, 0]);
    frame[46] = 0xa0;
    frame[47] = flags;
    frame[48..50].copy_from_slice(&[0xff, 0xff]);
    // As Linux has them: segment size, SACK, timestamps, window scale.
    frame[54..74]
        .copy_from_slice(&[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
    frame
}
