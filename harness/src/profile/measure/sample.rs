//! From the steps of a run to samples: what each task of a tour took, and what came on top.
//!
//! Invariant: a sample is what the simulator would charge. A task's time is from when its last rank began until its last rank was
//! done, without launch and forming of groups; what control took is from the end of what the decision waited for.

use super::tour::Tour;
use flexdit_core::{
    Command, Event, Group, Nanos, Observer, Parallelism, Rank, RequestId, Span, Stage, TransferId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// Takes samples of a tour, or of any other run.
pub struct Sampler {
    /// Whether the launches count, in order; `None` if all do.
    counts: Option<std::vec::IntoIter<bool>>,
    open: BTreeMap<u64, Open>,
    moving: BTreeMap<TransferId, Moving>,
    samples: Samples,
}

impl Sampler {
    /// A sampler of this tour.
    pub fn new(tour: &Tour) -> Self {
        let counts: Vec<bool> = tour.parts().map(|part| part.counts).collect();
        Self { counts: Some(counts.into_iter()), ..Self::of_run() }
    }

    /// A sampler of a run of any system: every task that ends counts.
    pub fn of_run() -> Self {
        Self {
            counts: None,
            open: BTreeMap::new(),
            moving: BTreeMap::new(),
            samples: Samples::default(),
        }
    }

    /// The samples of a tour; `None` if it is not over.
    pub fn finish(self) -> Option<Samples> {
        let left = self.counts.as_ref().map_or(0, ExactSizeIterator::len);
        (self.open.is_empty() && left == 0).then_some(self.samples)
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
                    cause = cause.max(Some(span.ended.unwrap_or(now)));
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
                    let open = Open {
                        request: task.request,
                        counts: match &mut self.counts {
                            Some(counts) => counts.next().unwrap_or(false),
                            None => true,
                        },
                        stage: task.stage,
                        layout: task.parallelism,
                        first_step: task.first_step,
                        steps: task.steps,
                        left: task.group.len(),
                        active: task.active().into(),
                        cause,
                        moved: mine.next().map(|(id, _)| *id),
                        spans: Vec::new(),
                    };
                    self.open.insert(task.id.0, open);
                }
                _ => {}
            }
        }
    }
}
