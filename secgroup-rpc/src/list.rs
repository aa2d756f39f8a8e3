//! A list that keeps its first few items in place: nearly every port has one address and one group.

use alloc::vec::Vec;
use core::{fmt, ops::Deref};

/// A list of `Copy` items; up to `N` of them live without an allocation.
///
/// It reads as a slice.
///
/// ```
/// use secgroup_rpc::List;
///
/// let list: List<u32, 2> = [3, 1, 2].into_iter().collect();
/// assert_eq!(*list, [3, 1, 2]);
/// ```
#[derive(Clone)]
pub struct List<T, const N: usize>(Repr<T, N>);

#[derive(Clone)]
enum Repr<T, const N: usize> {
    /// At least one item; the places past `len` repeat the first one.
    Inline { items: [T; N], len: u8 },
    /// None, or more than fit in place.
    Heap(Vec<T>),
}

impl<T: Copy, const N: usize> List<T, N> {
    /// The empty list; allocates nothing.
    pub const fn new() -> Self {
        Self(Repr::Heap(Vec::new()))
    }

    /// Appends `item`; allocates from the item after the `N`th on.
    pub fn push(&mut self, item: T) {
        match &mut self.0 {
            Repr::Heap(heap) if heap.is_empty() && N > 0 => {
                self.0 = Repr::Inline { items: [item; N], len: 1 };
            }
            Repr::Heap(heap) => heap.push(item),
            Repr::Inline { items, len } => match items.get_mut(usize::from(*len)) {
                Some(free) => {
                    *free = item;
                    *len += 1;
                }
                None => {
                    let mut heap = Vec::with_capacity(2 * N);
                    heap.extend_from_slice(items);
                    heap.push(item);
                    self.0 = Repr::Heap(heap);
                }
            },
        }
    }

    /// Sorts the items and drops repeated ones: the list as a set.
    pub fn sort_as_set(&mut self)
    where
        T: Ord,
    {
        if !self.is_sorted_by(|a, b| a < b) {
            let mut items = self.to_vec();
            items.sort_unstable();
            items.dedup();
            *self = items.into_iter().collect();
        }
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Repr::Inline { items, len } => items.get(..usize::from(*len)).unwrap_or(items),
            Repr::Heap(heap) => heap,
        }
    }
}

impl<T: Copy, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy, const N: usize> FromIterator<T> for List<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = Self::new();
        items.into_iter().for_each(|item| list.push(item));
        list
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for List<T, N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_what_was_pushed_across_the_inline_border() {
        for count in 0..6u8 {
            let list: List<u8, 2> = (0..count).collect();
            assert_eq!(list.to_vec(), (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sorting_as_a_set_drops_repeated_items() {
        let mut list: List<u8, 2> = [3, 1, 3, 2, 1].into_iter().collect();
        list.sort_as_set();
        assert_eq!(*list, [1, 2, 3]);
    }
}
