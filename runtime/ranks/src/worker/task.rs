//! One task on one rank.

use super::Worker;
use crate::artifact::{RowTensor, Shard, WholeTensor};
use crate::compute::{Absence, ComputeError, Input, Job, LoseRank, Output};
use crate::flow::LiveTask;
use crate::gate::Steps as _;
use crate::memory::Buffer;
use crate::message::Message;
use crate::peers::Peers;
use crate::tokens::Tokens;
use flexdit_core::migration::layout_of;
use flexdit_core::{FailReason, Nanos, Rank, Span, Stage};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Why this rank has no result, and what the run says of it, if this rank is where it began.
struct Failure {
    why: FailReason,
    what: Option<String>,
    /// Whether another rank did not come in time.
    late: bool,
}

impl Failure {
    fn silent(why: FailReason) -> Self {
        Self { why, what: None, late: false }
    }

    fn said(why: FailReason, what: impl Into<String>) -> Self {
        Self { why, what: Some(what.into()), late: false }
    }
}

impl Worker<'_> {
    /// Runs or holds a task and reports.
    pub(super) fn task(&mut self, live: &Arc<LiveTask>, queued: Nanos) {
        let started = self.start(queued);
        let sequence = live.task.id.0;
        let degree = live.task.active().len();
        let place = live.task.group.iter().position(|rank| *rank == self.rank);
        let place = place.expect("a rank gets tasks of its groups only");
        let result = if place < degree {
            let result = self.part(live, place, started);
            if let Err(failure) = &result {
                self.fail(live, failure.why);
            }
            live.flow.end_part(sequence);
            result
        } else {
            live.flow.await_parts(sequence, degree as u16);
            let failed = live.failure.get().map(|why| Failure::silent(*why));
            failed.map_or_else(|| Ok(Span { started, ..Span::default() }), Err)
        };
        let ended = self.clock.now();
        let rank = self.rank;
        match result {
            Ok(span) => {
                let span = Span { ended: Some(ended), ..span };
                self.report(Message::Finished { rank, sequence, span });
            }
            Err(Failure { why, what, late }) => {
                self.report(Message::Failed { rank, sequence, why, what, late });
            }
        }
        self.last_end = ended;
    }

    /// Lets the peers know that this rank does not come through.
    fn fail(&mut self, live: &LiveTask, why: FailReason) {
        // First the reason, then the news: whoever hears of it finds the reason.
        let _ = live.failure.set(why);
        live.flow.break_with(why);
        if live.task.active().len() > 1 && why != FailReason::Cancelled {
            self.groups.give_up(&live.task.active().into());
        }
    }

    /// This rank's part: inputs, compute, output.
    fn part(
        &mut self,
        live: &Arc<LiveTask>,
        place: usize,
        started: Nanos,
    ) -> Result<Span, Failure> {
        let (task, flow) = (&live.task, &live.flow);
        // Before anything can fail: whoever gives up says so of this task.
        self.groups.begin(task.id.0).map_err(|error| self.explain(live, error.into()))?;
        if !live.gate.enter(0) {
            return Err(Failure::silent(FailReason::Cancelled));
        }
        if flow.broken().is_some() {
            return Err(Failure::silent(FailReason::Input));
        }
        let layout = layout_of(task.stage, task.parallelism);
        let tokens = Tokens::of(layout, flow.state.grid, place as u32 % layout.parts());
        let rows = self.inputs(live, &tokens)?;
        let whole = flow.whole(self.rank);
        let lacks_whole = task.stage == Stage::Denoise && !flow.state.whole.is_empty();
        if lacks_whole && whole.is_none() {
            return Err(Failure::said(FailReason::Input, "the embeddings are not here"));
        }
        let job = Job {
            task,
            request: &flow.request,
            state: &flow.state,
            rank: self.rank,
            index: place,
            tokens: &tokens,
            rows,
            whole,
            memory: &self.memory,
            gate: &live.gate,
        };
        let begun = self.clock.now();
        let mut peers = Peers::new(&mut *self.groups, task.active(), self.rank, self.clock);
        let compute = &self.compute;
        let result = catch_unwind(AssertUnwindSafe(|| compute.run(&job, &mut peers)));
        let setup = peers.setup();
        let computed = self.clock.now();
        drop(job);
        let output = match result {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(self.explain(live, error)),
            Err(payload) if payload.is::<LoseRank>() => resume_unwind(payload),
            Err(payload) => return Err(Failure::said(FailReason::Kernel, panic_text(&*payload))),
        };
        self.publish(live, tokens, output)?;
        let launch = begun - started;
        self.measured.launch.add(launch);
        if task.active().len() > 1 {
            self.measured.setup.add(setup);
        }
        self.measured.compute += (computed - begun).saturating_sub(setup);
        let ended = self.clock.now();
        self.measured.publish.add(ended - computed);
        self.measured.occupied += ended - started;
        Ok(Span { started, setup, launch, ended: None })
    }

    /// The input rows of a task's tokens, from this rank's own copies.
    fn inputs(&self, live: &LiveTask, tokens: &Tokens) -> Result<Vec<Input>, Failure> {
        let (task, flow) = (&live.task, &live.flow);
        if task.stage == Stage::TextEncode {
            return Ok(Vec::new());
        }
        if let Some(shard) = flow.find(self.rank, task.input, tokens) {
            return self.take(flow.state.rows.as_slice(), &shard, tokens);
        }
        if task.stage == Stage::Denoise && task.first_step == 0 {
            // Denoising begins anew from the encoded text.
            let initial = self.compute.initial(&flow.request, tokens, &self.memory);
            let rows = initial.map_err(|error| self.explain(live, error))?;
            return Ok(rows.into_iter().map(Input::Own).collect());
        }
        let input = task.input;
        let what = format!("version {input} of {} is not on {}", task.request, self.rank);
        Err(Failure::said(FailReason::Input, what))
    }

    /// Rows of a shard: where they lie in a row they are used there, else they are gathered.
    fn take(
        &self,
        specs: &[RowTensor],
        shard: &Arc<Shard>,
        tokens: &Tokens,
    ) -> Result<Vec<Input>, Failure> {
        let runs: Vec<_> = shard.tokens.runs(tokens, tokens).collect();
        let take = |(at, spec): (usize, &RowTensor)| {
            let bytes = spec.row_bytes;
            let range =
                |from: u64, rows: u64| (from as usize * bytes, (from + rows) as usize * bytes);
            if let [] | [_] = runs[..] {
                let (start, end) = runs.first().map_or((0, 0), |run| range(run.from, run.rows));
                return Ok(Input::Part(Arc::clone(shard), start, end, at));
            }
            let mut gathered = self.memory.builder(tokens.len() as usize * bytes)?;
            for run in &runs {
                let (start, end) = range(run.from, run.rows);
                gathered.push(&shard.tensors[at].as_bytes()[start..end]);
            }
            Ok(Input::Own(gathered.finish()))
        };
        let inputs: Result<_, crate::OutOfMemory> = specs.iter().enumerate().map(take).collect();
        inputs.map_err(|error| Failure::said(FailReason::OutOfMemory, error.to_string()))
    }

    /// Checks the output and makes it readable.
    fn publish(&self, live: &LiveTask, tokens: Tokens, output: Output) -> Result<(), Failure> {
        let (task, flow) = (&live.task, &live.flow);
        let Output { rows, whole } = output;
        let (wanted_rows, wanted_whole): (&[RowTensor], &[WholeTensor]) = match task.stage {
            Stage::TextEncode => (&flow.state.rows, &flow.state.whole),
            Stage::Denoise => (&flow.state.rows, &[]),
            Stage::VaeDecode => (&[], &[]),
        };
        let bytes = |buffer: &Buffer| buffer.as_bytes().len() as u64;
        let row_bytes = wanted_rows.iter().map(|spec| spec.row_bytes as u64 * tokens.len());
        let fits = rows.iter().map(bytes).eq(row_bytes);
        let whole_bytes = wanted_whole.iter().map(|spec| spec.bytes as u64);
        let whole_fits = task.stage == Stage::VaeDecode || whole.iter().map(bytes).eq(whole_bytes);
        if !fits || !whole_fits {
            let what = format!("the compute left tensors of other sizes in {}", task.stage.name());
            return Err(Failure::said(FailReason::Kernel, what));
        }
        let version = task.output.version;
        if task.stage == Stage::TextEncode {
            flow.encode(version);
        }
        let shard = if task.stage == Stage::VaeDecode {
            Shard { tokens: Tokens::none(), tensors: whole }
        } else {
            if !whole.is_empty() {
                flow.publish_whole(self.rank, whole);
            }
            Shard { tokens, tensors: rows }
        };
        flow.publish(self.rank, version, shard);
        Ok(())
    }

    /// A failure in the words of the contract.
    fn explain(&self, live: &LiveTask, error: ComputeError) -> Failure {
        match error {
            ComputeError::Cancelled => Failure::silent(FailReason::Cancelled),
            ComputeError::OutOfMemory(error) => {
                Failure::said(FailReason::OutOfMemory, error.to_string())
            }
            ComputeError::Kernel(what) => Failure::said(FailReason::Kernel, what),
            ComputeError::Model(error) => Failure::said(FailReason::Kernel, error.to_string()),
            ComputeError::Peers(error) => {
                without_peers(live, Absence::of(&error), error.to_string())
            }
            ComputeError::PeersApart { absence, what } => without_peers(live, absence, what),
        }
    }
}

/// The failure of a rank whose peers did not come through: theirs, if it is known.
fn without_peers(live: &LiveTask, absence: Absence, what: String) -> Failure {
    let failure = match live.failure.get() {
        Some(first) => Failure::silent(*first),
        None if absence == Absence::Lost => Failure::said(FailReason::RankDown, what),
        None => Failure::said(FailReason::Kernel, what),
    };
    Failure { late: absence == Absence::Late, ..failure }
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the compute panicked: {}", text.as_deref().unwrap_or("without a word"))
}

/// For messages.
impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rank: Rank(rank), .. } = self;
        write!(f, "worker of rank {rank}")
    }
}
