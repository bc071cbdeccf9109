//! A queue whose first element needs no memory of its own: most of the queues of a session never
//! have more than one, and those of an idle session have none.

use std::collections::VecDeque;

/// First in, first out.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// The front, unless all that is left has come behind one that is gone.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            rest: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    pub(crate) fn push_back(&mut self, item: T) {
        if self.is_empty() {
            self.first = Some(item);
        } else {
            self.rest.push_back(item);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let item = self.rest.pop_front();
        self.release();
        item
    }

    pub(crate) fn pop_back(&mut self) -> Option<T> {
        let item = self.rest.pop_back().or_else(|| self.first.take());
        self.release();
        item
    }

    /// What was needed for a burst is not kept for the next one.
    fn release(&mut self) {
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.first.as_ref().or_else(|| self.rest.front())
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut().or_else(|| self.rest.front_mut())
    }

    pub(crate) fn back_mut(&mut self) -> Option<&mut T> {
        self.rest.back_mut().or(self.first.as_mut())
    }

    pub(crate) fn back(&self) -> Option<&T> {
        self.rest.back().or(self.first.as_ref())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match (&self.first, index.checked_sub(1)) {
            (Some(first), None) => Some(first),
            (Some(_), Some(index)) => self.rest.get(index),
            (None, _) => self.rest.get(index),
        }
    }

    /// How many from the front on are so, where all behind the first that is not are not either.
    pub(crate) fn partition_point(&self, mut is_so: impl FnMut(&T) -> bool) -> usize {
        match &self.first {
            Some(first) if !is_so(first) => 0,
            first => usize::from(first.is_some()) + self.rest.partition_point(is_so),
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.rest)
    }

    /// Takes so many from the end, in their order.
    pub(crate) fn take_last(&mut self, count: usize) -> Vec<T> {
        let mut last: Vec<T> = Vec::with_capacity(count.min(self.len()));
        last.extend((0..count).map_while(|_| self.pop_back()));
        last.reverse();
        last
    }

    pub(crate) fn clear(&mut self) {
        // An empty queue has no memory that would have to be freed.
        if !self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence of so many pushes and pops, against the standard library's queue.
    #[test]
    fn what_comes_first_goes_first() {
        const STEPS: u32 = 9;
        for sequence in 0..3u32.pow(STEPS) {
            let (mut ours, mut theirs) = (Queue::default(), VecDeque::new());
            for step in 0..STEPS {
                match sequence / 3u32.pow(step) % 3 {
                    0 => {
                        ours.push_back(step);
                        theirs.push_back(step);
                    }
                    1 => assert_eq!(ours.pop_front(), theirs.pop_front()),
                    _ => assert_eq!(ours.pop_back(), theirs.pop_back()),
                }
                assert_eq!(ours.len(), theirs.len());
                assert_eq!(ours.front(), theirs.front());
                assert_eq!(ours.back_mut(), theirs.back_mut());
                assert!(ours.iter().eq(&theirs));
                assert_eq!(ours.back(), theirs.back());
                for index in 0..=theirs.len() {
                    assert_eq!(ours.get(index), theirs.get(index));
                }
                let middle = STEPS / 2;
                assert_eq!(
                    ours.partition_point(|item| *item < middle),
                    theirs.partition_point(|item| *item < middle)
                );
            }
            let last = theirs.split_off(theirs.len().saturating_sub(2));
            assert_eq!(ours.take_last(2), Vec::from(last));
            assert!(ours.iter().eq(&theirs));
        }
    }

    #[test]
    fn an_empty_queue_keeps_no_memory() {
        let mut queue = Queue::default();
        for item in 0..100 {
            queue.push_back(item);
        }
        while queue.pop_front().is_some() {}
        assert_eq!(queue.rest.capacity(), 0);
    }
}
