//! Bodies of unknown length that are coming in now: nobody can ask an origin for a later part of
//! them, one waits for the end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::cache::Key;

type Table = Rc<RefCell<HashMap<(Key, u64), Rc<Notify>>>>;

/// The streams of one thread, by key and generation.
#[derive(Default)]
pub struct Streams(Table);

impl Streams {
    /// Enters a stream for as long as the guard lives.
    pub fn enter(&self, key: Key, generation: u64) -> Stream {
        let ended = Rc::new(Notify::new());
        self.0.borrow_mut().insert((key, generation), ended.clone());
        Stream { table: self.0.clone(), name: (key, generation), ended }
    }

    /// Waits until no such stream is coming in any more; `false`: there was none.
    pub async fn ended(&self, key: Key, generation: u64) -> bool {
        let ended = self.0.borrow().get(&(key, generation)).cloned();
        match ended {
            Some(ended) => {
                ended.notified().await;
                true
            }
            None => false,
        }
    }
}

/// See [`Streams::enter`].
pub struct Stream {
    table: Table,
    name: (Key, u64),
    ended: Rc<Notify>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut table = self.table.borrow_mut();
        // A second stream of the same name may have taken the place.
        if table.get(&self.name).is_some_and(|entered| Rc::ptr_eq(entered, &self.ended)) {
            table.remove(&self.name);
        }
        self.ended.notify_waiters();
    }
}
