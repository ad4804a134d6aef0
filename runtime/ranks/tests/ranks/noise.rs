//! A request that lost its latents begins anew from noise, which nobody keeps, however often and wherever it begins.

use crate::bench::{self, Beliefs, Dice};
use flexdit_core::cost::Estimator;
use flexdit_core::migration::{Located, migration};
use flexdit_core::{
    ArtifactId, Command, Counters, Event, Group, Nanos, Parallelism, Rank, Request, Route, Stage,
    System, Task, TaskId, Transfer, TransferId, Workload,
};
use flexdit_ranks::ComputeError;
use flexdit_ranks::synthetic::Hook;
use std::collections::VecDeque;
use std::sync::Arc;

/// The task that fails.
const FAILS: u64 = 5;

/// Commands one after the other, each when the one before was reported.
struct Script {
    request: Request,
    sequence: u64,
    commands: VecDeque<Command>,
    reports: usize,
}

impl Script {
    fn new(request: Request) -> Self {
        Self { request, sequence: 0, commands: VecDeque::new(), reports: 0 }
    }

    fn launch(&mut self, stage: Stage, split: Parallelism, on: &[u16], input: u32, output: u32) {
        self.sequence += 1;
        let request = self.request.id;
        // The first chunk ends after a step; what begins anew runs to the end.
        let steps = if output == 2 { 1 } else { self.request.shape.steps };
        self.commands.push_back(Command::Launch(Task {
            id: TaskId(self.sequence),
            request,
            stage,
            first_step: 0,
            steps: if stage == Stage::Denoise { steps } else { 0 },
            parallelism: split,
            group: on.iter().map(|rank| Rank(*rank)).collect(),
            input,
            output: ArtifactId { request, version: output },
        }));
    }

    /// Moves version 1 for a denoise.
    fn migrate(&mut self, from: &Located, split: Parallelism, on: &[u16]) -> Located {
        self.sequence += 1;
        let active: Group = on.iter().map(|rank| Rank(*rank)).collect();
        let state = Beliefs { world: 2, seed: 0 }.costs(&self.request.shape).state;
        let to = Located::after(Some(from), Stage::Denoise, split, &active);
        let edges = migration(&state, from, Stage::Denoise, split, &active);
        let artifact = ArtifactId { request: self.request.id, version: 1 };
        let route = Box::new(Route { from: from.clone(), to: to.clone() });
        let id = TransferId(self.sequence);
        self.commands.push_back(Command::Migrate(Transfer { id, artifact, edges, route }));
        to
    }
}

impl System for Script {
    fn step(&mut self, _: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        for event in events {
            if !matches!(event, Event::Arrived(_)) {
                self.reports -= 1;
            }
        }
        while self.reports == 0 {
            let Some(command) = self.commands.pop_front() else { break };
            self.reports = match &command {
                Command::Launch(task) => task.group.len(),
                Command::Migrate(_) => 1,
                _ => 0,
            };
            out.push(command);
        }
        None
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

#[test]
fn a_second_beginning_finds_the_noise_of_the_first() {
    let (single, ring) = (Parallelism::SINGLE, Parallelism { ring: 2, ..Parallelism::SINGLE });
    for end in [0, 1] {
        let mut request = bench::requests(&mut Dice::new(3), 1, Nanos(1))[0];
        request.shape.steps = 3;
        let mut script = Script::new(request);
        script.launch(Stage::TextEncode, single, &[0], 0, 1);
        // Makes the encoded version old: its rows go.
        script.launch(Stage::Denoise, single, &[0], 1, 2);
        let encoded = Located::after(None, Stage::TextEncode, single, &[Rank(0)]);
        // As if version 2 was lost: from the embeddings again, on both ranks, where it fails.
        let both = script.migrate(&encoded, ring, &[0, 1]);
        script.sequence = FAILS - 1;
        script.launch(Stage::Denoise, ring, &[0, 1], 1, 3);
        script.migrate(&both, single, &[end]);
        script.launch(Stage::Denoise, single, &[end], 1, 4);
        script.launch(Stage::VaeDecode, single, &[end], 4, 5);
        let artifact = ArtifactId { request: request.id, version: 5 };
        script.commands.push_back(Command::Complete(request.id));
        script.commands.push_back(Command::Release { artifact, ranks: Group::single(Rank(end)) });
        let hook: Hook = Arc::new(|task, _, _| {
            let fails = task.id == TaskId(FAILS);
            if fails { Err(ComputeError::Kernel("drawn".into())) } else { Ok(()) }
        });
        let compute = Arc::new(bench::synthetic().with_hook(hook));
        let workload = Workload { requests: vec![request], ..Workload::default() };
        let ran = bench::run(&mut script, bench::options(2), compute, workload).expect("a run");
        assert_eq!(ran.outcome.failed_tasks, 1, "{:?}", ran.outcome.failures);
        assert_eq!(ran.images.len(), 1, "on rank {end}");
        ran.results(&[request]);
    }
}
