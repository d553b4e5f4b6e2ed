//! Single flight: of the demands that open one key at a time, one leads and the others join.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::{FillError, Key};
use crate::session::Demand;

/// What is opened, and the newest purge there was then: who comes after a purge wants no answer that
/// was asked for before.
type Name = (Key, u64);
type Table = Rc<RefCell<HashMap<Name, Vec<Demand>>>>;

/// The flights of one thread.
#[derive(Default)]
pub struct Flights(Table);

impl Flights {
    /// Joins the flight of `name`: `None`. Without one, hands the demand back with the lead of a new one.
    pub fn lead_or_join(&self, name: Name, demand: Demand) -> Option<(Flight, Demand)> {
        let mut flights = self.0.borrow_mut();
        if let Some(joined) = flights.get_mut(&name) {
            // Clients that left are let go here: a flight is as long as its living joiners.
            if joined.len() == joined.capacity() {
                joined.retain(|demand| !demand.ticket.is_abandoned());
            }
            joined.push(demand);
            return None;
        }
        flights.insert(name, Vec::new());
        Some((Flight { flights: self.0.clone(), name, landed: false }, demand))
    }
}

/// The lead of one flight. Dropped before it landed, all who joined are told that it broke.
pub struct Flight {
    flights: Table,
    name: Name,
    landed: bool,
}

impl Flight {
    /// Ends the flight: whoever comes now leads the next. Returns those who joined.
    pub fn land(mut self) -> Vec<Demand> {
        self.landed = true;
        self.take()
    }

    fn take(&self) -> Vec<Demand> {
        self.flights.borrow_mut().remove(&self.name).unwrap_or_default()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            for demand in self.take() {
                demand.ticket.fail(FillError::Broken);
            }
        }
    }
}
