//! What of a site is under way: answers in all and to each client, over all workers.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Shape;
use crate::metrics::Denial;

/// Parts of the table of clients; each has a lock of its own, held for one look.
const PARTS: usize = 16;

/// The answers of one site that are under way. It outlives a reload.
#[derive(Debug, Default)]
pub struct Traffic {
    answers: AtomicU32,
    hash: RandomState,
    clients: [Mutex<HashMap<IpAddr, u32>>; PARTS],
}

/// One answer's place; given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    traffic: Arc<Traffic>,
    client: Option<IpAddr>,
}

impl Traffic {
    /// A place for one more answer to `client`.
    ///
    /// # Errors
    /// There are as many under way as `shape` allows.
    pub fn enter(self: &Arc<Traffic>, shape: &Shape, client: IpAddr) -> Result<Slot, Denial> {
        let mut slot = Slot { traffic: self.clone(), client: None };
        let before = self.answers.fetch_add(1, Relaxed);
        if shape.max_answers > 0 && before >= shape.max_answers {
            return Err(Denial::SiteConcurrency);
        }
        if shape.max_per_client > 0 {
            let mut clients = self.part(client);
            let count = clients.entry(client).or_default();
            if *count >= shape.max_per_client {
                return Err(Denial::ClientConcurrency);
            }
            *count += 1;
            slot.client = Some(client);
        }
        Ok(slot)
    }

    /// Answers under way.
    pub fn answers(&self) -> u32 {
        self.answers.load(Relaxed)
    }

    fn part(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let part = &self.clients[self.hash.hash_one(client) as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// An equal part of the site's `cap_bytes_per_s` for each answer that is under way.
    pub fn share_bytes_per_s(&self, cap_bytes_per_s: u64) -> u64 {
        (cap_bytes_per_s / u64::from(self.traffic.answers().max(1))).max(1)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.traffic.answers.fetch_sub(1, Relaxed);
        if let Some(client) = self.client {
            let mut clients = self.traffic.part(client);
            if let Some(count) = clients.get_mut(&client) {
                *count -= 1;
                if *count == 0 {
                    clients.remove(&client);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let traffic = Arc::new(Traffic::default());
        let shape = Shape { max_per_client: 2, max_answers: 3, ..Shape::default() };
        let enter = |client: &str| traffic.enter(&shape, client.parse().unwrap());
        let one = enter("192.0.2.1").unwrap();
        let two = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Denial::ClientConcurrency);
        let three = enter("192.0.2.2").unwrap();
        assert_eq!(enter("192.0.2.3").unwrap_err(), Denial::SiteConcurrency);
        assert_eq!((traffic.answers(), three.share_bytes_per_s(900)), (3, 300));
        drop(two);
        assert_eq!(three.share_bytes_per_s(900), 450);
        let again = enter("192.0.2.1").unwrap();
        drop((one, again, three));
        assert_eq!(traffic.answers(), 0);
        assert!(traffic.clients.iter().all(|part| part.lock().unwrap().is_empty()));
    }
}
