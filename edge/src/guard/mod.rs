//! The guard: loads the kernel program, attaches it, and keeps its maps in step with the
//! configuration.
//!
//! ```text
//!   [guard] ──reload──> Guard ──load, pin──> Program ──attach──> eth0 (native, else generic)
//!                         │                     │ every packet: allow, deny, account
//!                         └──── Maps <──────────┘
//!   edge ban ─────────────────── Maps  (another process, by the pins)
//! ```
//!
//! Nothing here stops a node: whatever cannot be done becomes a [`GuardNote`], and serving goes on.
//! The maps stay pinned when the node ends, so bans hold across restarts; the program is detached.

mod error;
mod list;
mod maps;
mod note;
mod pins;
mod policy;
mod prefix;
mod program;
mod rows;

pub use error::GuardError;
pub use maps::Maps;
pub use note::GuardNote;
pub use prefix::{Prefix, PrefixError};
pub use program::{Action, AttachMode, Attached, Program, is_built_in};
pub use rows::{BanRow, FlowRow, TotalRow};

use crate::config;

/// A running guard, or one that is off.
#[derive(Debug, Default)]
pub struct Guard {
    running: Option<Running>,
    off: Option<String>,
    mode: Option<config::GuardMode>,
}

#[derive(Debug)]
struct Running {
    // Dropped first: a program without its maps' keeper must not judge packets.
    attached: Vec<Attached>,
    program: Program,
    maps: Maps,
}

/// What a status page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardState {
    /// `None`: off.
    pub mode: Option<config::GuardMode>,
    /// Where the program judges packets.
    pub interfaces: Vec<(String, AttachMode)>,
    /// Why it is off although it was asked for.
    pub off: Option<String>,
}

impl Guard {
    /// Loads and attaches as configured. Never fails: the notes say what was done and what was not.
    pub fn start(config: &config::Guard) -> (Guard, Vec<GuardNote>) {
        let mut guard = Guard::default();
        let notes = guard.reload(config);
        (guard, notes)
    }

    /// Follows a changed configuration. Interfaces that stay are not touched, bans hold.
    pub fn reload(&mut self, config: &config::Guard) -> Vec<GuardNote> {
        let mut notes = Vec::new();
        self.off = None;
        self.mode = None;
        if config.interfaces.is_empty() {
            self.running = None;
            return notes;
        }
        if let Err(error) = self.follow(config, &mut notes) {
            self.running = None;
            self.off = Some(error.to_string());
            notes.push(GuardNote::Off { error });
        }
        notes
    }

    /// The maps, while the guard is on.
    pub fn maps(&self) -> Option<&Maps> {
        self.running.as_ref().map(|running| &running.maps)
    }

    /// Removes bans that have ended; how many. To be called every now and then.
    pub fn sweep(&mut self) -> Result<usize, GuardError> {
        self.running.as_mut().map_or(Ok(0), |running| running.maps.sweep())
    }

    /// For the status page.
    pub fn state(&self) -> GuardState {
        let attached = self.running.as_ref().map_or(&[][..], |running| &running.attached);
        GuardState {
            mode: self.mode,
            interfaces: attached.iter().map(|at| (at.interface().to_owned(), at.mode())).collect(),
            off: self.off.clone(),
        }
    }

    fn follow(
        &mut self,
        config: &config::Guard,
        notes: &mut Vec<GuardNote>,
    ) -> Result<(), GuardError> {
        let mut running = match self.running.take() {
            Some(running) => {
                let (got, asked) = (running.maps.flows_max(), config.flows.max(1));
                if got != asked {
                    notes.push(GuardNote::FlowsKept { got, asked });
                }
                running
            }
            None => {
                let program = Program::load(config, notes)?;
                Running { attached: Vec::new(), program, maps: Maps::open(&config.pin_dir)? }
            }
        };
        // Before the program sees a packet under the new rules, and allow before deny.
        policy::reconcile(&mut running.maps, config, notes)?;
        running.maps.set_mode(config.mode)?;
        running.attached.retain(|at| config.interfaces.iter().any(|name| name == at.interface()));
        for name in &config.interfaces {
            if running.attached.iter().any(|at| at.interface() == name) {
                continue;
            }
            match running.program.attach(name) {
                Ok(attached) => {
                    notes.push(GuardNote::Attached {
                        interface: name.clone(),
                        mode: attached.mode(),
                    });
                    running.attached.push(attached);
                }
                Err((native, generic)) => {
                    notes.push(GuardNote::NotAttached { interface: name.clone(), native, generic });
                }
            }
        }
        self.mode = Some(config.mode);
        self.running = Some(running);
        Ok(())
    }
}
