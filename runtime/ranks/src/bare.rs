//! The bare loop: one rank computes one request from front to back, with no driver around it. What the driver's overhead is
//! measured against, and whose result every run must give.

use crate::clock::Clock;
use crate::compute::{Compute, ComputeError, Input, Job, Output};
use crate::gate::Gate;
use crate::memory::{Buffer, RankMemory};
use crate::peers::{Fabric, GroupFree, Peers};
use crate::tokens::Tokens;
use flexdit_core::{ArtifactId, Group, Nanos, Parallelism, Rank, Request, Stage, Task, TaskId};
use std::sync::Arc;

/// Computes a request on one rank, each stage as one task, and returns what its VAE decode leaves, with the time it took.
///
/// # Errors
/// What the compute says.
pub fn bare(
    compute: &dyn Compute,
    request: &Request,
) -> Result<(Vec<Buffer>, Nanos), ComputeError> {
    let memory = RankMemory::new(Rank(0), None);
    let mut groups = GroupFree::default().ranks(1)?.pop().expect("a world of one rank");
    let clock = Clock::start();
    let state = compute.state(&request.shape)?;
    let tokens = Tokens::all(state.grid);
    let mut rows: Vec<Input> = Vec::new();
    let mut whole: Option<Arc<[Buffer]>> = None;
    let mut result = Vec::new();
    for (version, stage) in (0..).zip(Stage::ALL) {
        let id = TaskId(u64::from(version) + 1);
        let task = Task {
            id,
            request: request.id,
            stage,
            first_step: 0,
            steps: if stage == Stage::Denoise { request.shape.steps } else { 0 },
            parallelism: Parallelism::SINGLE,
            group: Group::single(Rank(0)),
            input: version,
            output: ArtifactId { request: request.id, version: version + 1 },
        };
        groups.begin(id.0)?;
        let mut peers = Peers::new(&mut *groups, task.active(), Rank(0), clock);
        let job = Job {
            task: &task,
            request,
            state: &state,
            rank: Rank(0),
            index: 0,
            tokens: &tokens,
            rows: std::mem::take(&mut rows),
            whole: whole.clone(),
            memory: &memory,
            gate: &Gate::new(),
        };
        let Output { rows: made, whole: left } = compute.run(&job, &mut peers)?;
        match stage {
            Stage::TextEncode => whole = Some(left.into()),
            Stage::Denoise => {}
            Stage::VaeDecode => result = left,
        }
        rows = made.into_iter().map(Input::Own).collect();
    }
    Ok((result, clock.now()))
}
