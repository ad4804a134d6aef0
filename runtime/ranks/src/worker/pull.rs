//! One rank's part of a transfer: it reads what it lacks where it lies, and builds its new shard.

use super::Worker;
use crate::artifact::Shard;
use crate::flow::{Absent, Flow};
use crate::memory::OutOfMemory;
use crate::message::{LiveTransfer, Message};
use crate::tokens::Tokens;
use flexdit_core::migration::{Piece, Pull, layout_of};
use flexdit_core::{Bytes, FailReason, Nanos, Rank};
use std::sync::Arc;

/// Rows of a shard that go into the new one.
struct Source {
    tokens: Tokens,
    shard: Arc<Shard>,
    /// Whether they come from another rank.
    pulled: bool,
}

impl Worker<'_> {
    /// Fetches this rank's part of a transfer and reports.
    pub(super) fn pull(&mut self, live: &LiveTransfer, queued: Nanos) {
        let started = self.start(queued);
        let result = self.fetch(live);
        if let Err(why) = result {
            live.flow.break_with(why);
        }
        let ended = self.clock.now();
        if result.is_ok() {
            self.measured.pull.add(ended - started);
        }
        let (rank, sequence, complete) = (self.rank, live.transfer.id.0, result.is_ok());
        self.report(Message::Pulled { rank, sequence, started, complete });
        self.last_end = ended;
    }

    fn fetch(&mut self, live: &LiveTransfer) -> Result<(), FailReason> {
        let flow = &live.flow;
        let version = live.transfer.artifact.version;
        let mine = || live.pulls.iter().filter(|pull| pull.dst == self.rank);
        let wholes = mine().find(|pull| pull.piece == Piece::Embeddings).map(|pull| pull.src);
        let wanted = self.wanted(live);
        let mut sources = Vec::new();
        for pull in mine() {
            sources.extend(self.source(live, pull, &wanted)?);
        }
        let before = self.clock.now();
        let mut bytes = 0;
        if !sources.is_empty() {
            self.add_own(flow, version, &wanted, &mut sources)?;
            bytes += self.build(flow, version, wanted, &sources)?;
        }
        let mut copying = self.clock.now() - before;
        if let Some(src) = wholes.filter(|_| !flow.state.whole.is_empty()) {
            let (copied, time) = self.copy_whole(flow, src, version)?;
            bytes += copied;
            copying += time;
        }
        self.measured.pulled += Bytes(bytes);
        self.measured.copy.add(copying);
        Ok(())
    }

    /// The tokens of this rank's new shard.
    fn wanted(&self, live: &LiveTransfer) -> Tokens {
        let to = &live.transfer.route.to;
        let layout = layout_of(to.stage, to.parallelism);
        let place = to.active.iter().position(|rank| *rank == self.rank);
        let index = place.expect("a destination is a computing rank") as u32 % layout.parts();
        Tokens::of(layout, live.flow.state.grid, index)
    }

    /// Waits for the rows of one pull, and finds where they lie.
    fn source(
        &self,
        live: &LiveTransfer,
        pull: &Pull,
        wanted: &Tokens,
    ) -> Result<Option<Source>, FailReason> {
        let Piece::Latents { part, start, end } = pull.piece else { return Ok(None) };
        let (flow, from) = (&live.flow, &live.transfer.route.from);
        let held = Tokens::of(layout_of(from.stage, from.parallelism), flow.state.grid, part);
        let tokens = held.intersect(wanted).slice(start, end);
        let shard = match flow.await_rows(pull.src, live.transfer.artifact.version, &tokens) {
            Ok(shard) => shard,
            Err(Absent::Failed(why)) => return Err(why),
            // The noise of the seed need not be kept: what is not there is made again, wherever the system has it by now.
            Err(Absent::Never) if flow.is_noise(live.transfer.artifact.version) => {
                self.noise(flow, &tokens)?
            }
            Err(Absent::Never) => return Err(FailReason::Input),
        };
        Ok(Some(Source { tokens, shard, pulled: true }))
    }

    /// Rows of some tokens as text encoding leaves them.
    fn noise(&self, flow: &Flow, tokens: &Tokens) -> Result<Arc<Shard>, FailReason> {
        let rows = self.compute.initial(&flow.request, tokens, &self.memory);
        let tensors = rows.map_err(|_| FailReason::OutOfMemory)?;
        Ok(Arc::new(Shard { tokens: tokens.clone(), tensors }))
    }

    /// Adds this rank's own copies of what no pull brings.
    fn add_own(
        &self,
        flow: &Flow,
        version: u32,
        wanted: &Tokens,
        sources: &mut Vec<Source>,
    ) -> Result<(), FailReason> {
        let pulled = sources.iter();
        let mut lacking = pulled.fold(wanted.clone(), |rest, source| rest.without(&source.tokens));
        for shard in flow.copies(self.rank, version) {
            let tokens = shard.tokens.intersect(&lacking);
            if !tokens.is_empty() {
                lacking = lacking.without(&tokens);
                sources.push(Source { tokens, shard, pulled: false });
            }
        }
        if !lacking.is_empty() {
            if !flow.is_noise(version) {
                return Err(FailReason::Input);
            }
            let shard = self.noise(flow, &lacking)?;
            sources.push(Source { tokens: lacking, shard, pulled: false });
        }
        Ok(())
    }

    /// Builds and publishes the new shard, front to back; returns the bytes that came from other ranks.
    fn build(
        &self,
        flow: &Flow,
        version: u32,
        wanted: Tokens,
        sources: &[Source],
    ) -> Result<u64, FailReason> {
        let mut runs: Vec<_> = sources
            .iter()
            .flat_map(|source| {
                let runs = source.shard.tokens.runs(&wanted, &source.tokens);
                runs.map(move |run| (run.to, run, source))
            })
            .collect();
        runs.sort_unstable_by_key(|(to, ..)| *to);
        let mut bytes = 0;
        let mut tensors = Vec::with_capacity(flow.state.rows.len());
        for (at, spec) in flow.state.rows.iter().enumerate() {
            let size = spec.row_bytes;
            let mut builder = self.memory.builder(wanted.len() as usize * size).map_err(full)?;
            for (_, run, source) in &runs {
                let range = run.from as usize * size..(run.from + run.rows) as usize * size;
                bytes += if source.pulled { range.len() as u64 } else { 0 };
                builder.push(&source.shard.tensors[at].as_bytes()[range]);
            }
            tensors.push(builder.finish());
        }
        flow.publish(self.rank, version, Shard { tokens: wanted, tensors });
        Ok(bytes)
    }

    /// Copies the replicated tensors of another rank; returns their bytes, and the time without waiting.
    fn copy_whole(&self, flow: &Flow, src: Rank, version: u32) -> Result<(u64, Nanos), FailReason> {
        let theirs = flow.await_whole(src, version).map_err(|absent| match absent {
            Absent::Failed(why) => why,
            Absent::Never => FailReason::Input,
        })?;
        let before = self.clock.now();
        let mut bytes = 0;
        let mut own = Vec::with_capacity(theirs.len());
        for tensor in theirs.iter() {
            let size = tensor.as_bytes().len();
            bytes += size as u64;
            own.push(self.memory.builder(size).map_err(full)?.copy(tensor));
        }
        flow.publish_whole(self.rank, own);
        Ok((bytes, self.clock.now() - before))
    }
}

fn full(_: OutOfMemory) -> FailReason {
    FailReason::OutOfMemory
}
