//! Who may ask an origin now: so many at once, the others in a queue, the most pressing first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::cache::Urgency;
use crate::site::Site;

/// How often who waits in a queue looks whether it has become more or less pressing.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The gates of every site, shared by the threads of the plane.
#[derive(Default)]
pub struct Gates(Mutex<HashMap<String, SiteGates>>);

/// The gates of one site.
#[derive(Clone, Default)]
pub struct SiteGates {
    /// Requests to the origin.
    pub connections: Arc<Gate>,
    /// Objects that are brought in.
    pub fills: Arc<Gate>,
}

impl Gates {
    /// The gates of `site`; a site of the same name keeps them over a reload.
    pub fn of(&self, site: &Site) -> SiteGates {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match gates.get(&site.config.name) {
            Some(gates) => gates.clone(),
            None => gates.entry(site.config.name.clone()).or_default().clone(),
        }
    }
}

/// A number of places and a queue before them.
#[derive(Default)]
pub struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    taken: usize,
    /// The latest ceiling: a reload may have changed it.
    max: usize,
    arrivals: u64,
    queue: BTreeMap<(Urgency, u64), oneshot::Sender<()>>,
}

/// One place; given back when it is dropped.
pub struct Slot(Arc<Gate>);

/// A place in the queue; given up when it is dropped.
struct Place {
    gate: Arc<Gate>,
    name: (Urgency, u64),
    is_over: bool,
}

impl Gate {
    /// Takes one of `max` places if one is free.
    pub fn try_enter(self: &Arc<Gate>, max: usize) -> Option<Slot> {
        let mut state = self.lock();
        state.max = max;
        (state.taken < max).then(|| {
            state.taken += 1;
            Slot(self.clone())
        })
    }

    /// Whether one of `max` places is free.
    pub fn has_room(&self, max: usize) -> bool {
        self.lock().taken < max
    }

    /// Takes one of `max` places, waiting for it until `deadline`; `None` when that passes. `urgency` is
    /// asked now and then: what nobody waited for may be waited for now.
    pub async fn enter(
        self: &Arc<Gate>,
        max: usize,
        deadline: impl Fn(Urgency) -> Option<Instant>,
        urgency: impl Fn() -> Urgency,
    ) -> Option<Slot> {
        if let Some(slot) = self.try_enter(max) {
            return Some(slot);
        }
        let arrival = {
            let mut state = self.lock();
            state.arrivals += 1;
            state.arrivals
        };
        loop {
            let urgency_now = urgency();
            let (mut place, called) = self.wait_in((urgency_now, arrival));
            let mut called = std::pin::pin!(called);
            while urgency() == urgency_now {
                if deadline(urgency_now).is_some_and(|deadline| deadline <= Instant::now()) {
                    return None;
                }
                if timeout(LOOK_EVERY, &mut called).await.is_ok() {
                    place.is_over = true;
                    return Some(Slot(self.clone()));
                }
            }
            // Its place is given up here, for one further up or down with the same time of arrival.
        }
    }

    /// Whether somebody more pressing waits.
    pub fn is_wanted_before(&self, urgency: Urgency) -> bool {
        self.lock().queue.first_key_value().is_some_and(|((first, _), _)| *first < urgency)
    }

    /// How many wait.
    #[cfg(test)]
    fn queue_len(&self) -> usize {
        self.lock().queue.len()
    }

    fn wait_in(self: &Arc<Gate>, name: (Urgency, u64)) -> (Place, oneshot::Receiver<()>) {
        let (call, called) = oneshot::channel();
        let mut state = self.lock();
        if state.taken < state.max {
            // One became free while it was between two places.
            state.taken += 1;
            let _ = call.send(());
        } else {
            state.queue.insert(name, call);
        }
        (Place { gate: self.clone(), name, is_over: false }, called)
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.taken -= 1;
        while state.taken < state.max {
            let Some((_, call)) = state.queue.pop_first() else { return };
            // Who is called and is gone leaves as `Place` says.
            state.taken += 1;
            let _ = call.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let was_waiting = self.gate.lock().queue.remove(&self.name).is_some();
        if !was_waiting {
            // It was called and did not hear it.
            self.gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    async fn enter(gate: &Arc<Gate>, urgency: Urgency) -> Slot {
        gate.enter(1, |_| None, || urgency).await.unwrap()
    }

    async fn until(gate: &Arc<Gate>, len: usize) {
        while gate.queue_len() != len {
            yield_now().await;
        }
    }

    #[test]
    fn the_most_pressing_go_first_then_the_first_come() {
        run(async {
            let (gate, order) = (Arc::new(Gate::default()), Rc::default());
            let held = gate.try_enter(1).unwrap();
            assert!(gate.try_enter(1).is_none());
            let queue = [Urgency::Left, Urgency::Prefetch, Urgency::Awaited, Urgency::Awaited];
            let mut tasks = Vec::new();
            for (number, urgency) in queue.into_iter().enumerate() {
                let (gate, order): (_, Rc<std::cell::RefCell<Vec<usize>>>) =
                    (gate.clone(), Rc::clone(&order));
                tasks.push(tokio::task::spawn_local(async move {
                    let _slot = enter(&gate, urgency).await;
                    order.borrow_mut().push(number);
                }));
                until(&gate_of(&held), number + 1).await;
            }
            assert!(gate.is_wanted_before(Urgency::Ahead));
            assert!(!gate.is_wanted_before(Urgency::Awaited));
            drop(held);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*order.borrow(), [2, 3, 1, 0]);
            assert_eq!(gate.queue_len(), 0);
            assert_eq!(gate.lock().taken, 0);
        });
    }

    fn gate_of(slot: &Slot) -> Arc<Gate> {
        slot.0.clone()
    }

    #[test]
    fn a_deadline_passes_and_leaves_no_trace() {
        run(async {
            let gate = Arc::new(Gate::default());
            let held = gate.try_enter(1).unwrap();
            let now = Instant::now();
            let late = gate.enter(1, |_| Some(now), || Urgency::Awaited).await;
            assert!(late.is_none() && gate.queue_len() == 0);
            drop(held);
            assert!(gate.try_enter(1).is_some());
        });
    }

    #[test]
    fn who_was_called_and_did_not_hear_it_gives_its_place_back() {
        run(async {
            let gate = Arc::new(Gate::default());
            let held = gate.try_enter(1).unwrap();
            let waiting = {
                let gate = gate.clone();
                tokio::task::spawn_local(async move { drop(enter(&gate, Urgency::Awaited).await) })
            };
            until(&gate, 1).await;
            drop(held);
            waiting.abort();
            let _ = waiting.await;
            assert_eq!(gate.lock().taken, 0);
        });
    }

    #[test]
    fn what_becomes_pressing_overtakes() {
        run(async {
            let gate = Arc::new(Gate::default());
            let held = gate.try_enter(1).unwrap();
            let urgency = Rc::new(Cell::new(Urgency::Left));
            let (seen, at) = (urgency.clone(), gate.clone());
            let waiting = tokio::task::spawn_local(async move {
                at.enter(1, |_| None, || seen.get()).await.map(drop)
            });
            until(&gate, 1).await;
            assert!(!gate.is_wanted_before(Urgency::Prefetch));
            urgency.set(Urgency::Awaited);
            while !gate.is_wanted_before(Urgency::Prefetch) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            drop(held);
            assert!(waiting.await.unwrap().is_some());
        });
    }
}
