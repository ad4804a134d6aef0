//! Arithmetic without a model: hashes of the state's words, over the same exchanges as a transformer's.
//!
//! Every word of the state depends on every word before it, on its token's place, on the embeddings and on the step, so a lost,
//! stale, swapped or doubled byte anywhere changes the result. Owns no randomness: the result follows from the
//! request. It says nothing about how fast kernels are; its work a word is a setting.

mod split;

use crate::artifact::{RowTensor, State, WholeTensor};
use crate::compute::{Compute, ComputeError, Job, Output};
use crate::driver::Completed;
use crate::memory::{Buffer, RankMemory};
use crate::peers::Peers;
use crate::tokens::Tokens;
use bytemuck::{cast_slice, cast_slice_mut};
use flexdit_core::migration::layout_of;
use flexdit_core::model::ModelSpec;
use flexdit_core::{Rank, Request, Shape, Stage, Task};
use split::Split;
use std::sync::Arc;

/// Words of a latent row: what heads are to a transformer. Split raggedly over the Ulysses degree.
const HEADS: usize = 12;
/// Words of the solver's history a token; carried along, so that a second row tensor migrates.
const HISTORY: usize = 3;
/// Words of one guidance branch's embeddings.
const EMBEDDING: usize = 40;

/// Called by every computing rank before every step of a task (step 0 of a stage without steps), with the task's own count
/// of steps. What it returns or throws is the rank's failure.
pub type Hook = Arc<dyn Fn(&Task, Rank, u32) -> Result<(), ComputeError> + Send + Sync>;

/// Hash arithmetic in place of models.
#[derive(Clone)]
pub struct Synthetic {
    models: Vec<&'static ModelSpec>,
    rounds: u32,
    hook: Option<Hook>,
    late_hook: Option<Hook>,
}

/// A bijection on 64 bits in which every input bit changes about half of the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    let value = (value ^ (value >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    value ^ (value >> 33)
}

/// One value of several.
fn join(parts: &[u64]) -> u64 {
    parts.iter().fold(0x5eed, |hash, part| mix(hash.rotate_left(23) ^ *part))
}

/// What a word adds to its head's sum over all tokens.
fn key(word: u32, token: u64, head: usize, salt: u64) -> u64 {
    join(&[u64::from(word), token, head as u64, salt])
}

/// The word that follows `word`, given its head's sum over all tokens.
fn next(word: u32, sum: u64, token: u64, salt: u64, rounds: u32) -> u32 {
    let mut value = join(&[u64::from(word), sum, token, salt]);
    for _ in 0..rounds {
        value = mix(value);
    }
    (value >> 20) as u32
}

fn noise(request: &Request, token: u64, word: usize) -> u32 {
    join(&[u64::from(request.id.0), token, word as u64]) as u32
}

fn embedding(request: &Request, branch: usize) -> impl Iterator<Item = u32> {
    let id = u64::from(request.id.0);
    (0..EMBEDDING).map(move |at| join(&[id, branch as u64, at as u64, 7]) as u32)
}

/// What a step of a branch depends on beside the latents.
fn salt(embedding: &[u32], branch: usize, step: u32) -> u64 {
    let text = embedding.iter().fold(branch as u64, |hash, word| join(&[hash, u64::from(*word)]));
    join(&[text, u64::from(step)])
}

fn branches(shape: &Shape) -> usize {
    if shape.guidance { 2 } else { 1 }
}

/// The solver: both branches' words and the history become latents and history of the next step.
fn solve(words: &[u32], branches: &[&[u32]], history: &mut [u32], out: &mut [u32]) {
    for (head, out) in out.iter_mut().enumerate() {
        let told = branches.iter().map(|branch| u64::from(branch[head]));
        let told = told.fold(0, |hash, word| join(&[hash, word]));
        *out = join(&[u64::from(words[head]), told, u64::from(history[head % HISTORY])]) as u32;
    }
    for (at, past) in history.iter_mut().enumerate() {
        *past = join(&[u64::from(*past), u64::from(words[at])]) as u32;
    }
}

impl Synthetic {
    /// Models by index give the grid of latent tokens; every word and step is hashed `rounds` times: the work.
    pub fn new(models: Vec<&'static ModelSpec>, rounds: u32) -> Self {
        Self { models, rounds, hook: None, late_hook: None }
    }

    /// Lets `hook` disturb the ranks.
    pub fn with_hook(self, hook: Hook) -> Self {
        Self { hook: Some(hook), ..self }
    }

    /// Lets `hook` disturb every computing rank that is through with its last exchange, when its peers need it no more. The step is
    /// the task's count of them.
    pub fn with_late_hook(self, hook: Hook) -> Self {
        Self { late_hook: Some(hook), ..self }
    }

    fn disturb(&self, job: &Job<'_>, step: u32) -> Result<(), ComputeError> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(job.task, job.rank, step))
    }

    fn grid(&self, shape: &Shape) -> Result<[u32; 3], ComputeError> {
        let model = self.models.get(shape.model.index());
        let model = model.ok_or_else(|| {
            ComputeError::Kernel(format!("{} is not among the models", shape.model))
        })?;
        model
            .grid(shape.height, shape.width, shape.frames)
            .map_err(|error| ComputeError::Kernel(error.to_string()))
    }

    /// The bytes of a completed request's result, whatever its decode's split.
    ///
    /// # Panics
    /// If the parts are not those of one of this object's results.
    pub fn assemble(&self, completed: &Completed) -> Vec<u8> {
        let grid = self.grid(&completed.request.shape).expect("it was computed");
        let all = Tokens::all(grid);
        let mut image = vec![0; all.len() as usize * HEADS * 4];
        let layout = layout_of(Stage::VaeDecode, completed.parallelism);
        assert_eq!(completed.parts.len(), layout.parts() as usize, "parts of a result");
        for (index, part) in completed.parts.iter().enumerate() {
            let tokens = Tokens::of(layout, grid, index as u32);
            let bytes = part.tensors[0].as_bytes();
            assert_eq!(bytes.len(), tokens.len() as usize * HEADS * 4, "bytes of a part");
            for run in tokens.runs(&all, &tokens) {
                let range = |at: u64| at as usize * HEADS * 4..(at + run.rows) as usize * HEADS * 4;
                image[range(run.to)].copy_from_slice(&bytes[range(run.from)]);
            }
        }
        image
    }

    /// The result of a request, computed here and now by the formulas alone: what every run must give.
    ///
    /// # Panics
    /// If the shape cannot be computed.
    pub fn serial(&self, request: &Request) -> Vec<u8> {
        let count = Tokens::all(self.grid(&request.shape).expect("a shape of the models")).len();
        let (count, guided) = (count as usize, branches(&request.shape));
        let of = |width| move |at: usize| (at / width, at % width);
        let fill = |width: usize, base: usize| -> Vec<u32> {
            let place = (0..count * width).map(of(width));
            place.map(|(token, word)| noise(request, token as u64, base + word)).collect()
        };
        let (mut latents, mut history) = (fill(HEADS, 0), fill(HISTORY, HEADS));
        let texts: Vec<Vec<u32>> =
            (0..guided).map(|branch| embedding(request, branch).collect()).collect();
        let everyone = |latents: &[u32], salt: u64, rounds: u32| -> Vec<u32> {
            let sum = |head: usize| {
                let keys = (0..count).map(|t| key(latents[t * HEADS + head], t as u64, head, salt));
                keys.fold(0, u64::wrapping_add)
            };
            let sums: Vec<u64> = (0..HEADS).map(sum).collect();
            let place = (0..count * HEADS).map(of(HEADS));
            place
                .map(|(t, head)| {
                    next(latents[t * HEADS + head], sums[head], t as u64, salt, rounds)
                })
                .collect()
        };
        for step in 0..request.shape.steps {
            let told: Vec<Vec<u32>> = texts
                .iter()
                .enumerate()
                .map(|(branch, text)| everyone(&latents, salt(text, branch, step), self.rounds))
                .collect();
            let before = latents.clone();
            for token in 0..count {
                let row = token * HEADS..(token + 1) * HEADS;
                let told: Vec<&[u32]> = told.iter().map(|told| &told[row.clone()]).collect();
                let past = &mut history[token * HISTORY..(token + 1) * HISTORY];
                solve(&before[row.clone()], &told, past, &mut latents[row]);
            }
        }
        let image = everyone(&latents, 0, self.rounds);
        cast_slice(&image).to_vec()
    }

    fn encode(&self, job: &Job<'_>) -> Result<Output, ComputeError> {
        let rows = self.initial(job.request, job.tokens, job.memory())?;
        let guided = branches(&job.request.shape);
        let mut text = job.zeroed(guided * EMBEDDING * 4)?;
        let words = (0..guided).flat_map(|branch| embedding(job.request, branch));
        for (out, word) in text.as_mut_slice::<u32>().iter_mut().zip(words) {
            *out = word;
        }
        Ok(Output { rows, whole: vec![text] })
    }

    fn denoise(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        let split = Split::new(job);
        let texts: Vec<&[u32]> = job.whole(0).as_slice::<u32>().chunks(EMBEDDING).collect();
        let mut latents = job.zeroed(job.rows(0).len())?;
        let mut history = job.zeroed(job.rows(1).len())?;
        latents.as_bytes_mut().copy_from_slice(job.rows(0));
        history.as_bytes_mut().copy_from_slice(job.rows(1));
        let mut before = vec![0; latents.as_slice::<u32>().len()];
        for step in 0..job.task.steps {
            job.step(step)?;
            self.disturb(job, step)?;
            before.copy_from_slice(latents.as_slice());
            let salt = |branch: usize| salt(texts[branch], branch, job.task.first_step + step);
            let told = self.branches(&split, peers, &before, texts.len(), &salt)?;
            let latents = latents.as_mut_slice::<u32>().chunks_mut(HEADS);
            let history = history.as_mut_slice::<u32>().chunks_mut(HISTORY);
            for (row, (out, past)) in latents.zip(history).enumerate() {
                let range = row * HEADS..(row + 1) * HEADS;
                let told: Vec<&[u32]> = told.iter().map(|told| &told[range.clone()]).collect();
                solve(&before[range], &told, past, out);
            }
        }
        Ok(Output { rows: vec![latents, history], whole: Vec::new() })
    }

    /// The words that every branch makes of this rank's tokens.
    fn branches(
        &self,
        split: &Split,
        peers: &mut Peers<'_>,
        words: &[u32],
        branches: usize,
        salt: &dyn Fn(usize) -> u64,
    ) -> Result<Vec<Vec<u32>>, ComputeError> {
        if split.cfg == 1 {
            return (0..branches)
                .map(|branch| self.attend(split, peers, words, salt(branch)))
                .collect();
        }
        let mine = self.attend(split, peers, words, salt(split.branch))?;
        let mut both = vec![0; 2 * mine.len()];
        let pair = [split.place, split.place + split.sequence()];
        peers.among(&pair)?.all_gather(cast_slice(&mine), cast_slice_mut(&mut both))?;
        Ok(both.chunks(mine.len().max(1)).map(<[u32]>::to_vec).collect())
    }

    /// Every word of this rank's tokens, mixed with its head over all tokens: heads go to their ranks, keys go round the ring,
    /// words come back.
    fn attend(
        &self,
        split: &Split,
        peers: &mut Peers<'_>,
        words: &[u32],
        salt: u64,
    ) -> Result<Vec<u32>, ComputeError> {
        let heads = split.heads(split.lane);
        let width = heads.len();
        let gathered = split.exchange_heads(peers, words)?;
        let mut sums = vec![0; width];
        let mut round = gathered.clone();
        for turn in 0..split.ring {
            let owner = (split.turn + split.ring - turn) % split.ring;
            let tokens = split.tokens_of_turn(owner);
            for (row, token) in round.chunks(width.max(1)).zip(tokens.iter()) {
                for (at, word) in row.iter().enumerate() {
                    let key = key(*word, *token, heads.start + at, salt);
                    sums[at] = u64::wrapping_add(sums[at], key);
                }
            }
            if turn + 1 < split.ring {
                round = split.shift(peers, &round, owner, width)?;
            }
        }
        let tokens = split.tokens_of_turn(split.turn);
        let told: Vec<u32> = gathered
            .chunks(width.max(1))
            .zip(tokens.iter())
            .flat_map(|(row, token)| row.iter().zip(&sums).map(move |(w, sum)| (*w, *sum, *token)))
            .map(|(word, sum, token)| next(word, sum, token, salt, self.rounds))
            .collect();
        split.return_heads(peers, &told)
    }

    fn decode(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        let words: &[u32] = job.rows_of(0);
        let mut sums = [0_u64; HEADS];
        for (row, token) in words.chunks(HEADS).zip(job.tokens.iter()) {
            for (head, word) in row.iter().enumerate() {
                sums[head] = sums[head].wrapping_add(key(*word, token, head, 0));
            }
        }
        let patches = usize::from(job.task.parallelism.patch);
        if patches > 1 {
            let first = job.index / patches * patches;
            let places: Vec<usize> = (first..first + patches).collect();
            let mut all = vec![0_u64; patches * HEADS];
            peers.among(&places)?.all_gather(cast_slice(&sums), cast_slice_mut(&mut all))?;
            sums = [0; HEADS];
            for (at, sum) in all.iter().enumerate() {
                sums[at % HEADS] = sums[at % HEADS].wrapping_add(*sum);
            }
        }
        let mut image = job.zeroed(words.len() * 4)?;
        let rows = words.chunks(HEADS).zip(image.as_mut_slice::<u32>().chunks_mut(HEADS));
        for ((row, out), token) in rows.zip(job.tokens.iter()) {
            for (head, out) in out.iter_mut().enumerate() {
                *out = next(row[head], sums[head], token, 0, self.rounds);
            }
        }
        Ok(Output { rows: Vec::new(), whole: vec![image] })
    }
}

impl Compute for Synthetic {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        let rows = vec![
            RowTensor { name: "latents", row_bytes: HEADS * 4 },
            RowTensor { name: "history", row_bytes: HISTORY * 4 },
        ];
        let bytes = branches(shape) * EMBEDDING * 4;
        let whole = vec![WholeTensor { name: "embeddings", bytes }];
        Ok(State { grid: self.grid(shape)?, rows, whole })
    }

    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        if job.task.stage != Stage::Denoise {
            self.disturb(job, 0)?;
        }
        let output = match job.task.stage {
            Stage::TextEncode => self.encode(job),
            Stage::Denoise => self.denoise(job, peers),
            Stage::VaeDecode => self.decode(job, peers),
        }?;
        self.late_hook.as_ref().map_or(Ok(()), |hook| hook(job.task, job.rank, job.task.steps))?;
        Ok(output)
    }

    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        let fill = |width: usize, base: usize| -> Result<Buffer, ComputeError> {
            let mut buffer = memory.zeroed(tokens.len() as usize * width * 4)?;
            for (row, token) in buffer.as_mut_slice::<u32>().chunks_mut(width).zip(tokens.iter()) {
                for (word, out) in row.iter_mut().enumerate() {
                    *out = noise(request, token, base + word);
                }
            }
            Ok(buffer)
        };
        Ok(vec![fill(HEADS, 0)?, fill(HISTORY, HEADS)?])
    }
}
