//! Which keys were answered with something that may not be shared: their demands do not wait for
//! one another.

use std::cell::RefCell;

use crate::cache::Key;

/// Keys remembered; a newer one in the same place pushes an older one out.
const PLACES: usize = 1_024;

/// A small table of keys, fixed in size. Forgetting one costs a little waiting, nothing else.
pub struct Private(RefCell<Box<[Option<Key>]>>);

impl Default for Private {
    fn default() -> Private {
        Private(RefCell::new(vec![None; PLACES].into_boxed_slice()))
    }
}

impl Private {
    /// Whether the last answer for `key` was private.
    pub fn holds(&self, key: Key) -> bool {
        self.0.borrow()[place(key)] == Some(key)
    }

    /// Notes what the last answer for `key` was.
    pub fn note(&self, key: Key, is_private: bool) {
        let slot = &mut self.0.borrow_mut()[place(key)];
        if is_private {
            *slot = Some(key);
        } else if *slot == Some(key) {
            *slot = None;
        }
    }
}

fn place(key: Key) -> usize {
    key.0[1] as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_forgets_and_is_pushed_out() {
        let (private, one, other) = (Private::default(), Key([1, 7]), Key([2, 7 + PLACES as u64]));
        private.note(one, true);
        assert!(private.holds(one) && !private.holds(other));
        private.note(other, false);
        assert!(private.holds(one));
        private.note(one, false);
        assert!(!private.holds(one));
        private.note(one, true);
        private.note(other, true);
        assert!(!private.holds(one) && private.holds(other));
    }
}
