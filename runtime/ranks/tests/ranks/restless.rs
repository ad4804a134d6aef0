//! A policy that moves everything all the time, and a system that queues whole requests at once.

use crate::bench::{Beliefs, Dice};
use flexdit_core::cost::Estimator;
use flexdit_core::migration::{Located, migration};
use flexdit_core::scheduler::{Plan, Policy, RequestView, Scheduler, SchedulerConfig, View};
use flexdit_core::{
    ArtifactId, Command, Counters, Event, Group, Nanos, Parallelism, Rank, RejectReason, Request,
    RequestId, Route, Stage, System, Task, TaskId, Transfer, TransferId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Random placements, degrees, chunks and run-ahead.
pub struct Restless(Dice);

impl Restless {
    fn layout(&mut self, request: &RequestView<'_>, most: u16) -> Option<Parallelism> {
        let entries = match request.next_stage()? {
            Stage::TextEncode => return Some(Parallelism::SINGLE),
            Stage::Denoise => &request.costs().steps,
            Stage::VaeDecode => &request.costs().decodes,
        };
        let fits: Vec<_> = entries.iter().filter(|entry| entry.degree <= most).collect();
        (!fits.is_empty()).then(|| self.0.pick(&fits).parallelism)
    }
}

impl Policy for Restless {
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let live: Vec<RequestView<'_>> = view.requests().collect();
        for request in &live {
            if self.0.chance(20) {
                plan.chunk(request.id(), self.0.range(1, 3) as u32);
            }
            if request.is_ready() && plan.free() > 0 {
                let Some(layout) = self.layout(request, plan.free()) else { continue };
                let more = if self.0.chance(25) { self.0.range(0, 2) as u16 } else { 0 };
                let count = (layout.degree() + more).min(plan.free());
                let prefer: Vec<Rank> =
                    (0..3).map(|_| Rank(self.0.range(0, view.world() as u64 - 1) as u16)).collect();
                if let Some(grant) = plan.take(count, &prefer) {
                    plan.run(request.id(), grant, layout);
                }
            } else if plan.credit(request.id()) && self.0.chance(60) {
                let most = request.group().len() as u16;
                if let Some(layout) = self.layout(request, most) {
                    plan.run_ahead(request.id(), layout);
                }
            }
        }
        if !live.is_empty() {
            plan.wake_at(view.now() + Nanos::from_millis(1));
        }
    }
}

/// The elastic system under the restless policy.
pub fn restless(world: u16, seed: u64, credits: u8) -> Scheduler {
    believing(Box::new(Beliefs { world, seed }), world, seed, credits)
}

/// As [`restless`], with other beliefs about what can be split how.
pub fn believing(
    beliefs: Box<dyn Estimator + Send>,
    world: u16,
    seed: u64,
    credits: u8,
) -> Scheduler {
    let config = SchedulerConfig { retries: 200, credits, ..SchedulerConfig::new(world) };
    Scheduler::new(config, Box::new(Restless(Dice::new(seed))), beliefs)
}

/// One group of all ranks that runs one request at a time, everything queued at once, as a fixed engine does.
pub struct Chain {
    world: u16,
    beliefs: Box<dyn Estimator>,
    waiting: VecDeque<Request>,
    running: Option<(Request, BTreeMap<u64, usize>, bool, u32)>,
    cancelled: BTreeSet<RequestId>,
    sequence: u64,
    versions: BTreeMap<RequestId, u32>,
}

impl Chain {
    pub fn new(world: u16, seed: u64) -> Self {
        Self::believing(Box::new(Beliefs { world, seed }), world)
    }

    /// With other beliefs; the last of the offered splits is used.
    pub fn believing(beliefs: Box<dyn Estimator>, world: u16) -> Self {
        Self {
            world,
            beliefs,
            waiting: VecDeque::new(),
            running: None,
            cancelled: BTreeSet::new(),
            sequence: 0,
            versions: BTreeMap::new(),
        }
    }

    fn start(&mut self, out: &mut Vec<Command>) {
        while self.running.is_none() {
            let Some(request) = self.waiting.pop_front() else { return };
            if self.cancelled.contains(&request.id) {
                out.push(Command::Reject { request: request.id, why: RejectReason::Cancelled });
                continue;
            }
            self.queue(request, out);
        }
    }

    fn queue(&mut self, request: Request, out: &mut Vec<Command>) {
        let costs = self.beliefs.costs(&request.shape);
        let widest = costs.steps.last().expect("a priced degree").parallelism;
        let group = Group::consecutive(Rank(0), usize::from(self.world));
        let patch = costs.decodes.last().expect("a priced degree").parallelism;
        let stages = [
            (Stage::TextEncode, Parallelism::SINGLE),
            (Stage::Denoise, widest),
            (Stage::VaeDecode, patch),
        ];
        let first = self.versions.get(&request.id).copied().unwrap_or(0);
        let (mut located, mut reports) = (None::<Located>, BTreeMap::new());
        for (made, (stage, parallelism)) in (first..).zip(stages) {
            let active = &group[..usize::from(parallelism.degree())];
            let to = Located::after(located.as_ref(), stage, parallelism, active);
            if let Some(from) = located {
                let edges = migration(&costs.state, &from, stage, parallelism, active);
                if !edges.is_empty() {
                    self.sequence += 1;
                    let (id, request) = (TransferId(self.sequence), request.id);
                    let artifact = ArtifactId { request, version: made };
                    let route = Box::new(Route { from, to: to.clone() });
                    out.push(Command::Migrate(Transfer { id, artifact, edges, route }));
                }
            }
            self.sequence += 1;
            reports.insert(self.sequence, group.len());
            let output = ArtifactId { request: request.id, version: made + 1 };
            out.push(Command::Launch(Task {
                id: TaskId(self.sequence),
                request: request.id,
                stage,
                first_step: 0,
                steps: if stage == Stage::Denoise { request.shape.steps } else { 0 },
                parallelism,
                group: group.clone(),
                input: if stage == Stage::TextEncode { 0 } else { made },
                output,
            }));
            located = Some(to);
        }
        self.versions.insert(request.id, first + 3);
        self.running = Some((request, reports, false, first + 3));
    }

    fn report(&mut self, task: TaskId, failed: bool, out: &mut Vec<Command>) {
        let (_, reports, broken, _) = self.running.as_mut().expect("a report of what runs");
        *broken |= failed;
        let left = reports.get_mut(&task.0).expect("a task of the running request");
        *left -= 1;
        if *left == 0 {
            reports.remove(&task.0);
        }
        if !reports.is_empty() {
            return;
        }
        let (request, _, broken, version) = self.running.take().expect("it ran");
        let artifact = ArtifactId { request: request.id, version };
        let ranks = Group::consecutive(Rank(0), usize::from(self.world));
        out.push(Command::Release { artifact, ranks });
        match (broken, self.cancelled.contains(&request.id)) {
            (_, true) => {
                let why = RejectReason::Cancelled;
                out.push(Command::Reject { request: request.id, why });
            }
            (true, _) => self.waiting.push_front(request),
            (false, _) => out.push(Command::Complete(request.id)),
        }
    }
}

impl System for Chain {
    fn step(&mut self, _: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        for event in events {
            match event {
                Event::Arrived(request) => self.waiting.push_back(*request),
                Event::Finished { task, .. } => self.report(*task, false, out),
                Event::Failed { task, .. } => self.report(*task, true, out),
                Event::Cancelled(id) => {
                    self.cancelled.insert(*id);
                }
                _ => {}
            }
        }
        self.start(out);
        None
    }

    fn counters(&self) -> Counters {
        Counters { live: self.waiting.len() as u64, ..Counters::default() }
    }
}
