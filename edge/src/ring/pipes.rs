//! The pool of pipes.

use std::cell::Cell;
use std::rc::Rc;

use crate::sys::pipe::PipeEnds;

/// A pipe smaller than this moves so little a call that `sendfile` is the better way: what an
/// unprivileged user gets once `fs.pipe-user-pages-soft` is used up.
const CAPACITY_MIN_BYTES: usize = 64 * 1024;

/// A pipe of the pool. Dropped instead of returned, it is closed.
#[derive(Debug)]
pub struct Pipe {
    pub(super) state: Rc<PipeState>,
    pub(super) len: usize,
}

/// What an op in flight shares with the pipe's user.
#[derive(Debug)]
pub(super) struct PipeState {
    pub(super) ends: PipeEnds,
    alive: Rc<Cell<usize>>,
}

impl Drop for PipeState {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

/// Empty pipes, and how many there may be.
#[derive(Debug)]
pub(super) struct Pipes {
    idle: Vec<Rc<PipeState>>,
    alive: Rc<Cell<usize>>,
    max: usize,
    capacity_bytes: usize,
}

impl Pipes {
    pub(super) fn new(max: usize, capacity_bytes: usize) -> Pipes {
        Pipes { idle: Vec::new(), alive: Rc::new(Cell::new(0)), max, capacity_bytes }
    }

    /// An empty pipe, if the ceiling and the host allow one of a useful size.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        let state = match self.idle.pop() {
            Some(state) => state,
            None if self.alive.get() < self.max => self.make()?,
            None => return None,
        };
        Some(Pipe { state, len: 0 })
    }

    /// Pipes there are, lent ones included.
    pub(super) fn alive(&self) -> usize {
        self.alive.get()
    }

    /// Keeps an empty pipe that no op uses; closes any other.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        if pipe.len == 0 && Rc::strong_count(&pipe.state) == 1 {
            self.idle.push(pipe.state);
        }
    }

    fn make(&mut self) -> Option<Rc<PipeState>> {
        let ends = PipeEnds::new(self.capacity_bytes).ok()?;
        if ends.capacity_bytes < CAPACITY_MIN_BYTES.min(self.capacity_bytes) {
            return None;
        }
        self.alive.set(self.alive.get() + 1);
        Some(Rc::new(PipeState { ends, alive: Rc::clone(&self.alive) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_holds_however_pipes_go() {
        let mut pipes = Pipes::new(2, 64 * 1024);
        let first = pipes.take().unwrap();
        let mut second = pipes.take().unwrap();
        assert!(pipes.take().is_none());
        pipes.give_back(first);
        let first = pipes.take().unwrap();
        second.len = 1;
        pipes.give_back(second);
        assert!(pipes.idle.is_empty(), "a pipe that is not empty is closed");
        let in_flight = Rc::clone(&first.state);
        pipes.give_back(first);
        assert!(pipes.idle.is_empty(), "a pipe an op writes to is not handed out again");
        let other = pipes.take().unwrap();
        assert!(pipes.take().is_none(), "what an op keeps alive counts");
        drop(in_flight);
        drop(other);
        assert_eq!(pipes.alive.get(), 0);
    }
}
