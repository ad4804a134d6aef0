//! From the steps of a run to samples: what each task of a tour took, and what came on top.
//!
//! Invariant: a sample is what the simulator would charge. A task's time is from when its last rank began until its last rank was
//! done, without launch and forming of groups; what control took is from the end of what the decision waited for: in a tour the
//! task before it on its own ranks, or on any rank where a leg begins.

use super::tour::Tour;
use flexdit_core::{
    Command, Event, Group, Nanos, Observer, Parallelism, Rank, RequestId, Span, Stage, TransferId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What one task took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSample {
    /// Whose it was.
    pub request: RequestId,
    /// Its stage.
    pub stage: Stage,
    /// How it was split.
    pub layout: Parallelism,
    /// The first of its denoising steps; 0 in other stages.
    pub first_step: u32,
    /// Denoising steps; 0 in other stages.
    pub steps: u32,
    /// Computing and publishing, without launch and forming of groups.
    pub time: Nanos,
    /// Launch overhead.
    pub launch: Nanos,
    /// Forming groups.
    pub setup: Nanos,
    /// From the end of what its decision waited for to its begin; `None` where state moved in between.
    pub control: Option<Nanos>,
}

/// What one copy took on the rank that pulled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySample {
    /// Bytes.
    pub bytes: u64,
    /// From its begin to that of the task behind it.
    pub time: Nanos,
}

/// Everything that one pass tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// Tasks that count.
    pub tasks: Vec<TaskSample>,
    /// Transfers of one copy.
    pub copies: Vec<CopySample>,
}

/// A task in flight.
struct Open {
    request: RequestId,
    counts: bool,
    stage: Stage,
    layout: Parallelism,
    first_step: u32,
    steps: u32,
    left: usize,
    /// Ranks that compute: held ones only wait.
    active: Group,
    /// When what the decision waited for had ended.
    cause: Option<Nanos>,
    moved: Option<TransferId>,
    spans: Vec<(Rank, Span, Nanos)>,
}

/// A transfer in flight or just over.
struct Moving {
    request: RequestId,
    /// Destination and bytes, if it is one copy.
    copy: Option<(Rank, u64)>,
    started: Option<Nanos>,
}

/// What a tour says of a task.
struct Expected {
    counts: bool,
    /// Whether its leg begins with it, on its ranks.
    leads: bool,
}

/// Takes samples of a tour, or of any other run.
pub struct Sampler {
    /// The launches to come, by request in their order; `None` if all count.
    tour: Option<BTreeMap<RequestId, VecDeque<Expected>>>,
    /// When each rank last ended a task.
    ended: BTreeMap<Rank, Nanos>,
    open: BTreeMap<u64, Open>,
    moving: BTreeMap<TransferId, Moving>,
    samples: Samples,
}

impl Sampler {
    /// A sampler of this tour.
    pub fn new(tour: &Tour) -> Self {
        let mut expected: BTreeMap<RequestId, VecDeque<Expected>> = BTreeMap::new();
        for list in tour.legs.iter().flat_map(|leg| &leg.lists) {
            for (at, part) in list.iter().enumerate() {
                let one = Expected { counts: part.counts, leads: at == 0 };
                expected.entry(part.request).or_default().push_back(one);
            }
        }
        Self { tour: Some(expected), ..Self::of_run() }
    }

    /// A sampler of a run of any system: every task that ends counts.
    pub fn of_run() -> Self {
        Self {
            tour: None,
            ended: BTreeMap::new(),
            open: BTreeMap::new(),
            moving: BTreeMap::new(),
            samples: Samples::default(),
        }
    }

    /// The samples of a tour; `None` if it is not over.
    pub fn finish(self) -> Option<Samples> {
        let mut left = self.tour.iter().flat_map(BTreeMap::values);
        (self.open.is_empty() && left.all(VecDeque::is_empty)).then_some(self.samples)
    }

    /// The samples so far.
    pub fn into_samples(self) -> Samples {
        self.samples
    }

    fn finished(&mut self, task: u64, rank: Rank, span: Span, now: Nanos) {
        let Some(open) = self.open.get_mut(&task) else { return };
        open.spans.push((rank, span, span.ended.unwrap_or(now)));
        open.left -= 1;
        if open.left == 0
            && let Some(open) = self.open.remove(&task)
        {
            self.close(&open);
        }
    }

    fn close(&mut self, open: &Open) {
        let moving = open.moved.and_then(|transfer| self.moving.remove(&transfer));
        if !open.counts {
            return;
        }
        let active = || open.spans.iter().filter(|(rank, ..)| open.active.contains(rank));
        let Some((_, span, _)) = active().max_by_key(|(_, span, _)| span.started) else { return };
        let ended = active().map(|(.., ended)| *ended).max().unwrap_or_default();
        let beside = span.launch + span.setup;
        self.samples.tasks.push(TaskSample {
            request: open.request,
            stage: open.stage,
            layout: open.layout,
            first_step: open.first_step,
            steps: open.steps,
            time: (ended - span.started).saturating_sub(beside),
            launch: span.launch,
            setup: span.setup,
            control: match (open.moved, open.cause) {
                (None, Some(cause)) => Some(span.started.saturating_sub(cause)),
                _ => None,
            },
        });
        if let Some(Moving { copy: Some((dst, bytes)), started: Some(started), .. }) = moving
            && let Some((_, span, _)) = open.spans.iter().find(|(rank, ..)| *rank == dst)
        {
            let time = span.started.saturating_sub(started);
            self.samples.copies.push(CopySample { bytes, time });
        }
    }
}

impl Observer for Sampler {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        let mut cause = None;
        for event in events {
            match event {
                Event::Finished { task, rank, span } => {
                    let ended = span.ended.unwrap_or(now);
                    cause = cause.max(Some(ended));
                    self.ended.insert(*rank, ended);
                    self.finished(task.0, *rank, *span, now);
                }
                Event::Migrated { transfer, started } => {
                    if let Some(moving) = self.moving.get_mut(transfer) {
                        moving.started = Some(*started);
                    }
                }
                _ => {}
            }
        }
        for command in commands {
            match command {
                Command::Migrate(transfer) => {
                    let copy = match &transfer.edges[..] {
                        [only] => Some((only.dst, only.bytes.0)),
                        _ => None,
                    };
                    let request = transfer.artifact.request;
                    self.moving.insert(transfer.id, Moving { request, copy, started: None });
                }
                Command::Launch(task) => {
                    let moving = self.moving.iter();
                    let mut mine = moving.filter(|(_, moving)| moving.request == task.request);
                    let moved = mine.next().map(|(id, _)| *id);
                    let (counts, cause) = match &mut self.tour {
                        Some(tour) => {
                            let next = tour.get_mut(&task.request).and_then(VecDeque::pop_front);
                            let leads = next.as_ref().is_some_and(|next| next.leads);
                            let waited = self.ended.iter();
                            let waited =
                                waited.filter(|(rank, _)| leads || task.group.contains(rank));
                            let cause = waited.map(|(_, ended)| *ended).max();
                            (next.is_some_and(|next| next.counts), cause)
                        }
                        None => (true, cause),
                    };
                    let open = Open {
                        request: task.request,
                        counts,
                        stage: task.stage,
                        layout: task.parallelism,
                        first_step: task.first_step,
                        steps: task.steps,
                        left: task.group.len(),
                        active: task.active().into(),
                        cause,
                        moved,
                        spans: Vec::new(),
                    };
                    self.open.insert(task.id.0, open);
                }
                _ => {}
            }
        }
    }
}
