//! What the guard tells the operator.

use std::fmt;

use super::{AttachMode, GuardError, PrefixError};

/// One line for the log: something was done, or why not.
#[derive(Debug)]
pub enum GuardNote {
    /// The program judges packets there.
    Attached {
        /// Interface name.
        interface: String,
        /// How.
        mode: AttachMode,
    },
    /// It does not.
    NotAttached {
        /// Interface name.
        interface: String,
        /// Why not in the driver.
        native: String,
        /// Why not in the stack.
        generic: String,
    },
    /// The guard is off although it was asked for.
    Off {
        /// Why.
        error: GuardError,
    },
    /// Pinned maps of another shape were thrown away, with what was in them.
    Replaced {
        /// Map name.
        map: &'static str,
        /// What was different.
        why: String,
    },
    /// Connections are not followed: no live counts, no round trips, no bytes delivered.
    NotFollowing {
        /// Why.
        error: GuardError,
    },
    /// The size of the flow table changes with the next start only.
    FlowsKept {
        /// Entries it has.
        got: u32,
        /// Entries the configuration asks for.
        asked: u32,
    },
    /// Lists or mode could not be written: the former rules hold, in whole or in part.
    NotFollowed {
        /// Why.
        error: GuardError,
    },
    /// An entry of `guard.allow` or `guard.deny` was left out.
    Refused {
        /// `allow` or `deny`.
        list: &'static str,
        /// Why.
        error: PrefixError,
    },
    /// Entries of `guard.allow` or `guard.deny` found no room or were not taken by the kernel.
    NotListed {
        /// `allow` or `deny`.
        list: &'static str,
        /// How many.
        count: usize,
        /// Why the last one was not.
        error: GuardError,
    },
}

impl GuardNote {
    /// Whether an operator should look at it.
    pub fn is_warning(&self) -> bool {
        !matches!(self, GuardNote::Attached { .. })
    }
}

impl fmt::Display for GuardNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardNote::Attached { interface, mode } => {
                write!(f, "guard attached to {interface} ({} mode)", mode.as_str())
            }
            GuardNote::NotAttached { interface, native, generic } if native == generic => {
                write!(f, "guard not attached to {interface}: {native}")
            }
            GuardNote::NotAttached { interface, native, generic } => {
                write!(f, "guard not attached to {interface}: native: {native}; generic: {generic}")
            }
            GuardNote::Off { error } => write!(f, "guard off: {error}"),
            GuardNote::Replaced { map, why } => {
                write!(f, "guard map {map} was replaced by an empty one: {why}")
            }
            GuardNote::NotFollowing { error } => {
                write!(f, "connections are not followed, guard.conns_max limits nothing: {error}")
            }
            GuardNote::FlowsKept { got, asked } => {
                write!(f, "guard.flows = {asked} takes effect at the next start (now {got})")
            }
            GuardNote::NotFollowed { error } => {
                write!(f, "guard keeps its former rules, in whole or in part: {error}")
            }
            GuardNote::Refused { list, error } => write!(f, "guard.{list}: {error}"),
            GuardNote::NotListed { list, count, error } => {
                write!(f, "guard.{list}: {count} entries left out: {error}")
            }
        }
    }
}
