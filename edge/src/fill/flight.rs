//! Single flight: of the demands that open one key at a time, one leads and the others join.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::{FillError, Key};
use crate::session::Demand;

/// The flights of one thread.
#[derive(Default)]
pub struct Flights(Rc<RefCell<HashMap<Key, Vec<Demand>>>>);

impl Flights {
    /// Joins the flight of `key`: `None`. Without one, hands the demand back with the lead of a new one.
    pub fn lead_or_join(&self, key: Key, demand: Demand) -> Option<(Flight, Demand)> {
        let mut flights = self.0.borrow_mut();
        if let Some(joined) = flights.get_mut(&key) {
            // Clients that left are let go here: a flight is as long as its living joiners.
            if joined.len() == joined.capacity() {
                joined.retain(|demand| !demand.ticket.is_abandoned());
            }
            joined.push(demand);
            return None;
        }
        flights.insert(key, Vec::new());
        Some((Flight { flights: self.0.clone(), key, landed: false }, demand))
    }
}

/// The lead of one flight. Dropped before it landed, all who joined are told that it broke.
pub struct Flight {
    flights: Rc<RefCell<HashMap<Key, Vec<Demand>>>>,
    key: Key,
    landed: bool,
}

impl Flight {
    /// Ends the flight: whoever comes now leads the next. Returns those who joined.
    pub fn land(mut self) -> Vec<Demand> {
        self.landed = true;
        self.take()
    }

    fn take(&self) -> Vec<Demand> {
        self.flights.borrow_mut().remove(&self.key).unwrap_or_default()
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
