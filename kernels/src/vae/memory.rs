//! Memory that decoding needs besides the weights, so that a run that cannot fit is refused before it starts.
//!
//! Sums of all buffers overstate it by far, since buffers are used again; so a decoding is gone through with lengths instead
//! of buffers. Invariant: what is taken and given here is what the decoder takes and gives, in its order.

use super::COLOURS;
use super::config::Config;
use crate::cpu::attention::{KEYS, QUERIES};
use crate::cpu::simd::LANES;
use std::collections::VecDeque;

/// Frames that a causal convolution keeps.
const REMEMBERED: usize = 2;
/// Floats that a product copies for itself at the most: pixels of a strip of a convolution by a panel of the depth.
const PRODUCT: usize = 1024 * 512;

impl Config {
    /// Most bytes of frames and buffers that a rank holds while it decodes `rows` of the `total` rows of latents of
    /// `frames` frames and `columns` columns, the picture included.
    ///
    /// # Source
    /// Derived: the decoder's own sequence of buffers, which starts with none; beside them the picture, the latents as
    /// tokens and as planes, and what a product copies.
    pub fn decode_bytes(&self, frames: usize, rows: usize, total: usize, columns: usize) -> u64 {
        let mut replay = Replay {
            config: self,
            split: rows < total,
            pixels: total * columns,
            single: frames == 1,
            first: true,
            pool: Pool::default(),
            histories: Vec::new(),
            next_history: 0,
        };
        for frame in 0..frames {
            replay.first = frame == 0;
            replay.frame(rows, columns);
        }
        let latents = 2 * self.latent_channels * frames * rows * columns;
        let [frames, height, columns] = self.picture([frames.max(1), rows, columns]);
        let picture = frames * height * columns * COLOURS;
        let copied = PRODUCT.min(3 * self.widest() * 1024.max(rows * columns));
        ((replay.pool.most + latents + picture + copied) * size_of::<f32>()) as u64
    }
}

/// As [`crate::cpu::Scratch`], with lengths for buffers.
#[derive(Default)]
struct Pool {
    free: Vec<usize>,
    held: usize,
    most: usize,
}

impl Pool {
    fn take(&mut self, length: usize) -> usize {
        let fitting = self.free.iter().enumerate().filter(|(_, free)| **free >= length);
        let best = fitting.min_by_key(|(_, free)| **free).map(|(index, _)| index);
        let known = best.or(self.free.len().checked_sub(1)).map(|at| self.free.swap_remove(at));
        let known = known.unwrap_or(0);
        if known >= length {
            return known;
        }
        // A vector grows to twice its room at the least, and has both while it moves.
        let grown = length.max(2 * known);
        self.most = self.most.max(self.held + grown);
        self.held += grown - known;
        grown
    }

    /// A buffer that is not much longer than needed.
    fn frame(&mut self, length: usize) -> usize {
        let room = self.take(length);
        if room <= 2 * length {
            return room;
        }
        self.give(room);
        self.held += length;
        self.most = self.most.max(self.held);
        length
    }

    fn give(&mut self, room: usize) {
        self.free.push(room);
    }
}

/// A frame, or the rows of it that a rank holds.
#[derive(Clone, Copy)]
struct Frame {
    rows: usize,
    width: usize,
    room: usize,
}

struct Replay<'a> {
    config: &'a Config,
    split: bool,
    /// Latent pixels of a whole frame.
    pixels: usize,
    single: bool,
    first: bool,
    pool: Pool,
    histories: Vec<VecDeque<usize>>,
    /// Histories are met in one order, once for each latent frame or several times.
    next_history: usize,
}

impl Replay<'_> {
    fn take(&mut self, rows: usize, width: usize, channels: usize) -> Frame {
        let room = self.pool.frame((rows + 2) * (width + 2) * channels);
        Frame { rows, width, room }
    }

    fn give(&mut self, frame: Frame) {
        self.pool.give(frame.room);
    }

    /// A frame of the same pixels, after which `x` is given.
    fn instead(&mut self, x: Frame, channels: usize) -> Frame {
        let out = self.take(x.rows, x.width, channels);
        self.give(x);
        out
    }

    /// A causal convolution; `history` is its own.
    fn causal(&mut self, x: Frame, outputs: usize, history: usize) -> Frame {
        let out = self.take(x.rows, x.width, outputs);
        if self.single {
            self.give(x);
            return out;
        }
        if self.histories.len() <= history {
            self.histories.resize_with(history + 1, VecDeque::new);
        }
        self.histories[history].push_back(x.room);
        if self.histories[history].len() > REMEMBERED {
            let oldest = self.histories[history].pop_front().expect("more than one");
            self.pool.give(oldest);
        }
        out
    }

    fn history(&mut self) -> usize {
        self.next_history += 1;
        self.next_history - 1
    }

    fn residual(
        &mut self,
        x: Frame,
        [inputs, outputs]: [usize; 2],
        histories: [usize; 2],
    ) -> Frame {
        let active = self.take(x.rows, x.width, inputs);
        let hidden = self.causal(active, outputs, histories[0]);
        let active = self.instead(hidden, outputs);
        let out = self.causal(active, outputs, histories[1]);
        let kept = if inputs == outputs { x } else { self.instead(x, outputs) };
        self.give(kept);
        out
    }

    fn attention(&mut self, rows: usize, columns: usize, channels: usize) {
        let own = rows * columns;
        let mut taken = vec![self.pool.take(own * channels), self.pool.take(own * 3 * channels)];
        if self.split {
            let packed = self.pool.take(own * 2 * channels);
            taken.push(self.pool.take(self.pixels * 2 * channels));
            self.pool.give(packed);
        }
        let padded = self.pixels.next_multiple_of(LANES);
        let lengths = [padded * channels, padded * channels, QUERIES.min(own) * KEYS.min(padded)];
        let [turned, values, scores] = lengths.map(|length| self.pool.take(length));
        // Largest scores and sums.
        self.pool.most = self.pool.most.max(self.pool.held + 2 * own);
        [scores, turned, values].into_iter().for_each(|room| self.pool.give(room));
        if self.split {
            let all = taken.pop().expect("gathered");
            self.pool.give(all);
        }
        taken.push(self.pool.take(own * channels));
        taken.into_iter().for_each(|room| self.pool.give(room));
    }

    fn frame(&mut self, rows: usize, columns: usize) {
        let (channels, widest) = (self.config.latent_channels, self.config.widest());
        self.next_history = 0;
        let x = self.take(rows, columns, channels);
        let x = self.instead(x, channels);
        let history = self.history();
        let x = self.causal(x, widest, history);
        let histories = [self.history(), self.history()];
        let x = self.residual(x, [widest; 2], histories);
        self.attention(rows, columns, widest);
        let histories = [self.history(), self.history()];
        let x = self.residual(x, [widest; 2], histories);
        let begin = self.next_history;
        self.level(0, x, begin);
    }

    /// A frame through level `index` and all after it; `begin` is the first of the level's histories.
    fn level(&mut self, index: usize, x: Frame, begin: usize) {
        let config = self.config;
        let levels = config.levels();
        let Some([inputs, outputs]) = levels.get(index).copied() else {
            let last = levels.last().map_or(config.widest(), |level| level[1]);
            let active = self.instead(x, last);
            let colours = self.causal(active, COLOURS * config.patch * config.patch, begin);
            self.give(colours);
            return;
        };
        let up = config.temporal.get(index).copied();
        let kept = (config.shortcut && up.is_some()).then(|| self.take(x.rows, x.width, inputs));
        let (mut x, mut history) = (x, begin);
        for block in 0..=config.residual_blocks {
            let channels = [if block == 0 { inputs } else { outputs }, outputs];
            x = self.residual(x, channels, [history, history + 1]);
            history += 2;
        }
        let Some(doubles) = up else { return self.level(index + 1, x, history) };
        let next = if config.shortcut { outputs } else { outputs / 2 };
        let frames = if doubles && !self.first {
            let both = self.causal(x, 2 * outputs, history);
            let halves = [0, 1].map(|_| self.take(both.rows, both.width, outputs));
            self.give(both);
            Vec::from(halves)
        } else {
            vec![x]
        };
        history += usize::from(doubles);
        for frame in frames {
            let large = self.take(2 * frame.rows, 2 * frame.width, outputs);
            self.give(frame);
            let out = self.instead(large, next);
            self.level(index + 1, out, history);
        }
        if let Some(kept) = kept {
            self.give(kept);
        }
    }
}
