//! How a denoising task of the synthetic compute is split over its ranks, and what they send each other: heads to their
//! ranks and back, as Ulysses does; keys round the ring.

use super::HEADS;
use crate::compute::{ComputeError, Job};
use crate::peers::Peers;
use crate::tokens::Tokens;
use bytemuck::{cast_slice, cast_slice_mut};
use flexdit_core::migration::{Layout, layout::ragged};

/// A denoising rank's place: branch by ring turn by Ulysses lane, the lane fastest.
pub(super) struct Split {
    grid: [u32; 3],
    pub cfg: usize,
    pub ring: usize,
    ulysses: usize,
    pub branch: usize,
    pub turn: usize,
    pub lane: usize,
    /// Place within the branch.
    pub place: usize,
}

impl Split {
    pub fn new(job: &Job<'_>) -> Self {
        let parallelism = job.task.parallelism;
        let (cfg, ring) = (usize::from(parallelism.cfg), usize::from(parallelism.ring));
        let ulysses = usize::from(parallelism.ulysses);
        let place = job.index % (ring * ulysses);
        let (branch, turn, lane) = (job.index / (ring * ulysses), place / ulysses, place % ulysses);
        Self { grid: job.state.grid, cfg, ring, ulysses, branch, turn, lane, place }
    }

    pub fn sequence(&self) -> usize {
        self.ring * self.ulysses
    }

    /// The heads of a lane.
    pub fn heads(&self, lane: usize) -> std::ops::Range<usize> {
        let (start, end) = ragged(HEADS as u64, self.ulysses as u32, lane as u32);
        start as usize..end as usize
    }

    fn tokens(&self, turn: usize, lane: usize) -> Tokens {
        let layout = Layout::Tokens { parts: self.sequence() as u32 };
        Tokens::of(layout, self.grid, (turn * self.ulysses + lane) as u32)
    }

    /// The tokens of all lanes of a turn, in order: they follow each other.
    pub fn tokens_of_turn(&self, turn: usize) -> Vec<u64> {
        let lanes = (0..self.ulysses).map(|lane| self.tokens(turn, lane));
        lanes.flat_map(|tokens| tokens.iter().collect::<Vec<_>>()).collect()
    }

    /// Places of this rank's Ulysses group, and of its ring.
    fn lanes(&self) -> Vec<usize> {
        let first = self.branch * self.sequence() + self.turn * self.ulysses;
        (first..first + self.ulysses).collect()
    }

    fn turns(&self) -> Vec<usize> {
        let first = self.branch * self.sequence() + self.lane;
        (0..self.ring).map(|turn| first + turn * self.ulysses).collect()
    }

    /// Rows times words for each lane of this turn: of its tokens and my heads, of my tokens and its heads.
    fn counts(&self) -> (Vec<usize>, Vec<usize>) {
        let rows = |lane| self.tokens(self.turn, lane).len() as usize;
        let (mine, width) = (rows(self.lane), self.heads(self.lane).len());
        let out = (0..self.ulysses).map(|lane| mine * self.heads(lane).len() * 4).collect();
        (out, (0..self.ulysses).map(|lane| rows(lane) * width * 4).collect())
    }

    /// My heads' words of all tokens of my turn, token by token.
    pub fn exchange_heads(
        &self,
        peers: &mut Peers<'_>,
        words: &[u32],
    ) -> Result<Vec<u32>, ComputeError> {
        if self.ulysses == 1 {
            return Ok(words.to_vec());
        }
        let (out, back) = self.counts();
        let send: Vec<u32> = (0..self.ulysses)
            .flat_map(|lane| words.chunks(HEADS).flat_map(move |row| &row[self.heads(lane)]))
            .copied()
            .collect();
        let mut gathered = vec![0_u32; back.iter().sum::<usize>() / 4];
        let (from, into) = (cast_slice(&send), cast_slice_mut(&mut gathered));
        peers.among(&self.lanes())?.all_to_all_ragged(from, &out, into, &back)?;
        Ok(gathered)
    }

    /// The reverse: all heads' words of my tokens.
    pub fn return_heads(
        &self,
        peers: &mut Peers<'_>,
        told: &[u32],
    ) -> Result<Vec<u32>, ComputeError> {
        if self.ulysses == 1 {
            return Ok(told.to_vec());
        }
        let (back, out) = self.counts();
        let mut parts = vec![0_u32; back.iter().sum::<usize>() / 4];
        let (from, into) = (cast_slice(told), cast_slice_mut(&mut parts));
        peers.among(&self.lanes())?.all_to_all_ragged(from, &out, into, &back)?;
        let rows = parts.len() / HEADS;
        let mut words = vec![0; parts.len()];
        let mut at = 0;
        for lane in 0..self.ulysses {
            let heads = self.heads(lane);
            for row in 0..rows {
                let part = &parts[at..at + heads.len()];
                words[row * HEADS..][heads.clone()].copy_from_slice(part);
                at += heads.len();
            }
        }
        Ok(words)
    }

    /// Passes keys on to the next turn; gets those of the turn before `owner`.
    pub fn shift(
        &self,
        peers: &mut Peers<'_>,
        keys: &[u32],
        owner: usize,
        width: usize,
    ) -> Result<Vec<u32>, ComputeError> {
        let before = (owner + self.ring - 1) % self.ring;
        let mut got = vec![0; self.tokens_of_turn(before).len() * width];
        // Shares differ by a token at most; a ring moves equal ones.
        let most = (0..self.ring).map(|turn| self.tokens_of_turn(turn).len()).max().unwrap_or(0);
        let mut send = keys.to_vec();
        send.resize(most * width, 0);
        let mut receive = vec![0; most * width];
        let (from, into) = (cast_slice(&send), cast_slice_mut(&mut receive));
        peers.among(&self.turns())?.ring_shift(1, from, into)?;
        let length = got.len();
        got.copy_from_slice(&receive[..length]);
        Ok(got)
    }
}
