//! A first-in-first-out queue of a few places.

/// At most `N` values; a further one takes the place of the oldest.
#[derive(Clone, Debug)]
pub(super) struct Queue<T, const N: usize> {
    /// The first `len` are taken, oldest first.
    places: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Queue<T, N> {
    pub(super) const EMPTY: Self = Self { places: [None; N], len: 0 };

    pub(super) fn push(&mut self, value: T) {
        if self.len == N {
            self.pop();
        }
        if let Some(place) = self.places.get_mut(self.len) {
            *place = Some(value);
            self.len += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let first = self.places.first_mut()?.take()?;
        self.places.rotate_left(1);
        self.len -= 1;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_in_order_and_the_oldest_gives_way() {
        let mut queue = Queue::<u8, 2>::EMPTY;
        assert_eq!(queue.pop(), None);
        (1..=3).for_each(|value| queue.push(value));
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(2), Some(3), None]);
        queue.push(4);
        assert_eq!(queue.pop(), Some(4));
    }
}
