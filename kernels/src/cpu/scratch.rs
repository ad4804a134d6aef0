//! Buffers that are used again, so that a step does not ask the system for fresh pages.

/// Buffers not in use. One per worker.
#[derive(Debug, Default)]
pub struct Scratch {
    free: Vec<Vec<f32>>,
}

impl Scratch {
    /// A buffer of `length` elements of arbitrary value.
    pub fn take(&mut self, length: usize) -> Vec<f32> {
        let fitting = self.free.iter().enumerate().filter(|(_, free)| free.capacity() >= length);
        let best = fitting.min_by_key(|(_, free)| free.capacity()).map(|(index, _)| index);
        let mut buffer = match best.or(self.free.len().checked_sub(1)) {
            Some(index) => self.free.swap_remove(index),
            None => Vec::new(),
        };
        buffer.resize(length, 0.0);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: Vec<f32>) {
        self.free.push(buffer);
    }

    /// Drops buffers, the smallest first, until at most so many bytes are held.
    pub fn shed(&mut self, bytes: u64) {
        self.free.sort_unstable_by_key(|free| std::cmp::Reverse(free.capacity()));
        while self.bytes() as u64 > bytes {
            self.free.pop();
        }
    }

    /// Bytes held for later use.
    pub fn bytes(&self) -> usize {
        self.free.iter().map(|free| free.capacity() * size_of::<f32>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_buffer_that_fits_is_taken_again() {
        let mut scratch = Scratch::default();
        let (large, small) = (scratch.take(1000), scratch.take(10));
        let at = small.as_ptr();
        scratch.give(large);
        scratch.give(small);
        let again = scratch.take(5);
        assert_eq!(again.as_ptr(), at);
        assert!(scratch.bytes() >= 4000);
        scratch.give(again);
        scratch.shed(4000);
        assert_eq!(scratch.bytes(), 4000);
        scratch.shed(3999);
        assert_eq!(scratch.bytes(), 0);
    }
}
