//! The kernel program: loaded, attached, and run by hand.

use std::fmt;

use aya::maps::RingBuf;
use aya::programs::sock_ops::SockOpsLink;
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{CgroupAttachMode, ProgramError, SockOps, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::events::Events;
use super::{GuardError, GuardNote, error, pins};
use crate::config;
use crate::sys::cgroup;

/// The object file; empty when it could not be built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/edge.bpf.o"));

/// Whether this binary carries the kernel program.
pub fn is_built_in() -> bool {
    !OBJECT.is_empty()
}

/// The program in the kernel. Dropped, it is unloaded; its maps stay pinned.
pub struct Program {
    ebpf: Ebpf,
}

/// Where the kernel runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before a packet costs anything.
    Native,
    /// In the stack, after the packet got its buffer: works everywhere, costs more.
    Generic,
}

impl AttachMode {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            AttachMode::Native => "native",
            AttachMode::Generic => "generic",
        }
    }
}

/// One interface the program judges; dropped, it does so no more.
#[derive(Debug)]
pub struct Attached {
    interface: String,
    mode: AttachMode,
    _link: XdpLink,
}

impl Attached {
    /// Interface name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// How.
    pub fn mode(&self) -> AttachMode {
        self.mode
    }
}

/// Connections are followed for as long as it lives.
#[derive(Debug)]
pub struct Following {
    _link: SockOpsLink,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dropped.
    Drop,
    /// Given to the stack.
    Pass,
    /// Answered: sent back where it came from.
    Answer,
    /// A number this program never returns.
    Other(u32),
}

impl Program {
    /// Loads the program with its maps pinned in `config.pin_dir`; maps that are there and fit are
    /// taken over with what is in them. Needs `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON`.
    pub fn load(config: &config::Guard, notes: &mut Vec<GuardNote>) -> Result<Program, GuardError> {
        if !is_built_in() {
            return Err(GuardError::NotBuilt);
        }
        let dir = &config.pin_dir;
        let sizes = pins::Sizes::of(config);
        pins::prepare(dir)?;
        pins::keep_fitting(dir, sizes, notes)?;

        let mut loader = EbpfLoader::new();
        loader.map_max_entries("flows", sizes.flows);
        loader.map_max_entries("strangers", sizes.strangers());
        loader.map_max_entries("conns", sizes.flows);
        loader.map_max_entries("unproven", sizes.clients);
        loader.map_max_entries("proven", sizes.clients);
        for shape in pins::shapes(sizes) {
            loader.map_pin_path(shape.name, dir.join(shape.name));
        }
        let ebpf = loader.load(OBJECT);
        let ebpf = ebpf.map_err(|error| GuardError::bpf("load the kernel program", error))?;
        let mut program = Program { ebpf };
        let loaded = program.xdp().and_then(|xdp| xdp.load());
        loaded.map_err(|error| GuardError::bpf("load the kernel program", error))?;
        pins::sign(dir)?;
        Ok(program)
    }

    /// Attaches to an interface of this thread's network namespace: native, else generic, else why
    /// neither.
    pub fn attach(&mut self, interface: &str) -> Result<Attached, (String, String)> {
        let native = match self.attach_as(interface, AttachMode::Native) {
            Ok(attached) => return Ok(attached),
            Err(why) => why,
        };
        self.attach_as(interface, AttachMode::Generic).map_err(|generic| (native, generic))
    }

    /// Follows the connections of this process's control group from now on. [`GuardError::Bpf`] where
    /// the kernel cannot; packets are judged all the same.
    pub fn follow_conns(&mut self) -> Result<Following, GuardError> {
        let cgroup = cgroup::own_cgroup();
        let cgroup = cgroup.map_err(|error| GuardError::bpf("open the control group", error))?;
        let failed = |error| GuardError::bpf("follow connections", error);
        let found = self.ebpf.program_mut("edge_conns").ok_or(ProgramError::NotLoaded);
        let program: &mut SockOps = found.and_then(TryInto::try_into).map_err(failed)?;
        let link = match program.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {
                let attached = program.attach(cgroup, CgroupAttachMode::Single);
                attached.and_then(|id| program.take_link(id))
            }
            Err(error) => Err(error),
        };
        Ok(Following { _link: link.map_err(failed)? })
    }

    /// The kernel's number of the program that judges packets.
    pub fn id(&self) -> Result<u32, GuardError> {
        let failed = |error| GuardError::bpf("look at the kernel program", error);
        let program = self.ebpf.program("edge").ok_or(ProgramError::NotLoaded).map_err(failed)?;
        Ok(program.info().map_err(failed)?.id())
    }

    /// The reading end of the program's reports; once.
    pub(super) fn events(&mut self) -> Option<Events> {
        let ring = self.ebpf.take_map("events")?;
        RingBuf::try_from(ring).ok().map(Events::new)
    }

    /// Judges one frame `times` times without a network (`BPF_PROG_TEST_RUN`); maps are written as
    /// ever. Frames shorter than 14 bytes are refused by the kernel.
    pub fn test_run(&mut self, frame: &[u8], times: u32) -> Result<Action, GuardError> {
        let failed = |error| GuardError::bpf("run the kernel program", error);
        let options =
            TestRunOptions { data_in: Some(frame), repeat: times, ..TestRunOptions::new() };
        let result = self.xdp().and_then(|xdp| xdp.test_run(options)).map_err(failed)?;
        Ok(match result.return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Answer,
            other => Action::Other(other),
        })
    }

    fn attach_as(&mut self, interface: &str, mode: AttachMode) -> Result<Attached, String> {
        // The library takes a name with a NUL for a bug of its caller.
        if interface.contains('\0') {
            return Err("no such interface".to_owned());
        }
        let flags = match mode {
            AttachMode::Native => XdpMode::Driver,
            AttachMode::Generic => XdpMode::Skb,
        };
        let link = self.xdp().and_then(|xdp| {
            let id = xdp.attach(interface, flags)?;
            xdp.take_link(id)
        });
        match link {
            Ok(link) => Ok(Attached { interface: interface.to_owned(), mode, _link: link }),
            Err(ProgramError::UnknownInterface { .. }) => Err("no such interface".to_owned()),
            Err(error) => Err(error::causes(&error)),
        }
    }

    fn xdp(&mut self) -> Result<&mut Xdp, ProgramError> {
        let program = self.ebpf.program_mut("edge").ok_or(ProgramError::NotLoaded)?;
        program.try_into()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}
