//! The guard: loads the kernel program, attaches it, and keeps its maps in step with the
//! configuration.
//!
//! ```text
//!   [guard] ──reload──> Guard ──load, pin──> Program ──attach──> eth0 (native, else generic)
//!                         │                     │ every packet: allow, deny, limit, account
//!                         │                     │ every connection: delivered, round trip, how many
//!                         └──── Maps <──────────┘
//!   edge ban ─────────────────── Maps  (another process, by the pins)
//! ```
//!
//! Nothing here stops a node: whatever cannot be done becomes a [`GuardNote`], and serving goes on.
//! The maps stay pinned when the node ends, so bans hold across restarts; the program is detached.

mod error;
mod events;
mod list;
mod maps;
mod note;
mod pins;
mod policy;
mod prefix;
mod program;
mod rows;
mod rules;
mod why;

pub use error::GuardError;
pub use events::EventRow;
pub use maps::Maps;
pub use note::GuardNote;
pub use prefix::{Prefix, PrefixError};
pub use program::{Action, AttachMode, Attached, Following, Program, is_built_in};
pub use rows::{BanRow, ConnRow, FlowRow, TotalRow};
pub use why::{BucketRow, LimitedRow, Why};

use crate::config;

/// A running guard, or one that is off.
#[derive(Debug, Default)]
pub struct Guard {
    running: Option<Running>,
    off: Option<String>,
}

#[derive(Debug)]
struct Running {
    // Dropped first: a program without its maps' keeper must not judge packets.
    attached: Vec<Attached>,
    _following: Option<Following>,
    events: Option<events::Events>,
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
        if config.interfaces.is_empty() {
            self.running = None;
            return notes;
        }
        if self.running.is_none() {
            match Running::load(config, &mut notes) {
                Ok(running) => self.running = Some(running),
                Err(error) => {
                    self.off = Some(error.to_string());
                    notes.push(GuardNote::Off { error });
                }
            }
        }
        if let Some(running) = &mut self.running {
            running.follow(config, &mut notes);
        }
        notes
    }

    /// The maps, while the guard is on.
    pub fn maps(&self) -> Option<&Maps> {
        self.running.as_ref().map(|running| &running.maps)
    }

    /// The same, to be written to.
    pub fn maps_mut(&mut self) -> Option<&mut Maps> {
        self.running.as_mut().map(|running| &mut running.maps)
    }

    /// Whether exactly this prefix is banned in the kernel; `None`: the guard is off, or cannot tell.
    pub fn is_banned(&self, prefix: Prefix) -> Option<bool> {
        self.maps()?.is_banned(prefix).ok()
    }

    /// Removes bans that have ended; how many. To be called every now and then.
    pub fn sweep(&mut self) -> Result<usize, GuardError> {
        self.events().iter().for_each(EventRow::log);
        self.running.as_mut().map_or(Ok(0), |running| running.maps.sweep())
    }

    /// Packets that were dropped, or would have been, since the last call: a few of each reason.
    pub fn events(&mut self) -> Vec<EventRow> {
        let events = self.running.as_mut().and_then(|running| running.events.as_mut());
        events.map(events::Events::take).unwrap_or_default()
    }

    /// For the status page.
    pub fn state(&self) -> GuardState {
        let running = self.running.as_ref();
        let attached = running.map_or(&[][..], |running| &running.attached);
        GuardState {
            mode: running.and_then(|running| running.maps.mode().ok()),
            interfaces: attached.iter().map(|at| (at.interface().to_owned(), at.mode())).collect(),
            off: self.off.clone(),
        }
    }
}

impl Running {
    fn load(config: &config::Guard, notes: &mut Vec<GuardNote>) -> Result<Running, GuardError> {
        let mut program = Program::load(config, notes)?;
        let mut maps = Maps::open(&config.pin_dir)?;
        // Ends that nobody counted while no program ran would stand as live for ever.
        maps.forget_conns()?;
        // Which ports are the node's must be known before the first connection is.
        rules::write(&mut maps, config)?;
        let following = program.follow_conns();
        let following =
            following.map_err(|error| notes.push(GuardNote::NotFollowing { error })).ok();
        let events = program.events();
        Ok(Running { attached: Vec::new(), _following: following, events, program, maps })
    }

    fn follow(&mut self, config: &config::Guard, notes: &mut Vec<GuardNote>) {
        let (got, asked) = (self.maps.flows_max(), config.flows.max(1));
        if got != asked {
            notes.push(GuardNote::FlowsKept { got, asked });
        }
        // Before the program sees a packet under the new mode.
        let followed = policy::reconcile(&mut self.maps, config, notes)
            .and_then(|()| rules::write(&mut self.maps, config));
        if let Err(error) = followed {
            notes.push(GuardNote::NotFollowed { error });
        }
        self.attached.retain(|at| config.interfaces.iter().any(|name| name == at.interface()));
        for name in &config.interfaces {
            if !self.attached.iter().any(|at| at.interface() == name) {
                self.attach(name, notes);
            }
        }
    }

    fn attach(&mut self, name: &str, notes: &mut Vec<GuardNote>) {
        let interface = name.to_owned();
        match self.program.attach(name) {
            Ok(attached) => {
                notes.push(GuardNote::Attached { interface, mode: attached.mode() });
                self.attached.push(attached);
            }
            Err((native, generic)) => {
                notes.push(GuardNote::NotAttached { interface, native, generic });
            }
        }
    }
}
