//! Armed ops, named so that a late answer never reaches a newer op.

/// Names one armed op. Ids of ops that have ended are harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpId {
    index: u32,
    generation: u32,
}

impl OpId {
    /// As the kernel carries it. Never `u64::MAX`: indices stay below [`CAPACITY_MAX`].
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The reverse of [`OpId::to_bits`].
    pub(super) fn from_bits(bits: u64) -> OpId {
        OpId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Most slots a slab may have.
pub(super) const CAPACITY_MAX: u32 = 1 << 24;

const NO_SLOT: u32 = u32::MAX;

/// A bounded table whose slots are used again under new names.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    capacity: u32,
    first_free: u32,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    /// A table of at most `capacity` values; it grows as they come.
    pub(super) fn new(capacity: u32) -> Slab<T> {
        let capacity = capacity.min(CAPACITY_MAX);
        Slab { slots: Vec::new(), capacity, first_free: NO_SLOT, len: 0 }
    }

    /// Keeps a value; hands it back when the table is full.
    pub(super) fn insert(&mut self, value: T) -> Result<OpId, T> {
        let index = match self.slots.get(self.first_free as usize) {
            Some(slot) => std::mem::replace(&mut self.first_free, slot.next_free),
            None if self.slots.len() < self.capacity as usize => {
                self.slots.push(Slot { generation: 0, next_free: NO_SLOT, value: None });
                self.slots.len() as u32 - 1
            }
            None => return Err(value),
        };
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        self.len += 1;
        Ok(OpId { index, generation: slot.generation })
    }

    /// The value of a live id.
    pub(super) fn value_mut(&mut self, id: OpId) -> Option<&mut T> {
        self.slot_mut(id)?.value.as_mut()
    }

    /// Frees a live id; it is stale from now on.
    pub(super) fn remove(&mut self, id: OpId) -> Option<T> {
        let next_free = self.first_free;
        let slot = self.slot_mut(id)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next_free = next_free;
        self.first_free = id.index;
        self.len -= 1;
        Some(value)
    }

    /// Live values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All live values and their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (OpId, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let id = OpId { index: index as u32, generation: slot.generation };
            Some((id, slot.value.as_ref()?))
        })
    }

    fn slot_mut(&mut self, id: OpId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_used_again_has_a_new_name() {
        let mut slab = Slab::new(2);
        let first = slab.insert('a').unwrap();
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b').unwrap();
        assert_eq!(first.index, second.index);
        assert_ne!(first, second);
        assert_eq!((slab.remove(first), slab.value_mut(first)), (None, None));
        assert_eq!(slab.value_mut(second), Some(&mut 'b'));
        assert_eq!(OpId::from_bits(second.to_bits()), second);
    }

    #[test]
    fn it_is_bounded_and_free_slots_come_back() {
        let mut slab = Slab::new(3);
        let ids: Vec<OpId> = (0..3).map(|n| slab.insert(n).unwrap()).collect();
        assert_eq!(slab.insert(9), Err(9));
        assert_eq!(slab.remove(ids[1]), Some(1));
        assert_eq!(slab.remove(ids[0]), Some(0));
        let again = [slab.insert(10).unwrap(), slab.insert(11).unwrap()];
        assert_eq!(again.map(|id| id.index), [ids[0].index, ids[1].index]);
        assert_eq!(slab.insert(12), Err(12));
        assert_eq!(slab.len(), 3);
        let mut values: Vec<i32> = slab.iter().map(|(_, &value)| value).collect();
        values.sort_unstable();
        assert_eq!(values, [2, 10, 11]);
    }

    #[test]
    fn generations_wrap() {
        let mut slab = Slab::new(1);
        let id = slab.insert(()).unwrap();
        slab.slots[0].generation = u32::MAX;
        assert_eq!(slab.remove(id), None);
        let last = OpId { index: 0, generation: u32::MAX };
        assert_eq!(slab.remove(last), Some(()));
        assert_eq!(slab.insert(()).unwrap().generation, 0);
    }
}
