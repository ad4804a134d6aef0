//! All tasks and transfers of one request on its group, in the order its ranks run them.

use super::group::InFlight;
use flexdit_core::cost::ShapeCosts;
use flexdit_core::migration::{Located, migration};
use flexdit_core::{
    ArtifactId, Command, Edge, Group, Parallelism, Request, Route, Stage, Task, TaskId, Transfer,
    TransferId,
};

/// Artifact versions one pass through the pipeline makes: one per stage.
pub(super) const VERSIONS: u32 = 3;

/// The counter of sequence numbers that tasks and transfers share.
#[derive(Default)]
pub(super) struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// One pass of a request through its group.
pub(super) struct Chain<'a> {
    pub request: &'a Request,
    pub ranks: &'a Group,
    pub replicated: bool,
}

impl Chain<'_> {
    /// Appends text encode, denoise (all steps) and VAE decode with the transfers between them.
    ///
    /// # Panics
    /// If the group's degree has no price: such a request is never bound to the group.
    pub fn queue(
        &self,
        costs: &ShapeCosts,
        version: u32,
        sequence: &mut Sequence,
        out: &mut Vec<Command>,
    ) -> InFlight {
        let entry = costs.step_entry(self.ranks.len() as u16);
        let wide = entry.expect("a bound request is priced at the group's degree").parallelism;
        let ends = if self.replicated { wide } else { Parallelism::SINGLE };
        let stages = [(Stage::TextEncode, ends), (Stage::Denoise, wide), (Stage::VaeDecode, ends)];
        let mut in_flight = InFlight { tasks: Vec::with_capacity(3), releases: Vec::new() };
        let mut located: Option<Located> = None;
        for (made, (stage, parallelism)) in (version..).zip(stages) {
            let active = &self.ranks[..usize::from(parallelism.degree())];
            let to = Located::after(located.as_ref(), stage, parallelism, active);
            if let Some(from) = located {
                let edges = migration(&costs.state, &from, stage, parallelism, active);
                self.migrate(made, edges, Route { from, to: to.clone() }, sequence, out);
            }
            let id = TaskId(sequence.next());
            in_flight.tasks.push((id, self.ranks.len() as u32));
            let input = if stage == Stage::TextEncode { 0 } else { made };
            out.push(Command::Launch(self.task(id, stage, parallelism, (input, made + 1))));
            located = Some(to);
        }
        self.leftovers(version, ends, &mut in_flight);
        in_flight
    }

    fn task(
        &self,
        id: TaskId,
        stage: Stage,
        parallelism: Parallelism,
        (input, version): (u32, u32),
    ) -> Task {
        let steps = if stage == Stage::Denoise { self.request.shape.steps } else { 0 };
        let output = ArtifactId { request: self.request.id, version };
        let group = self.ranks.clone();
        Task {
            id,
            request: self.request.id,
            stage,
            first_step: 0,
            steps,
            parallelism,
            group,
            input,
            output,
        }
    }

    fn migrate(
        &self,
        version: u32,
        edges: Vec<Edge>,
        route: Route,
        sequence: &mut Sequence,
        out: &mut Vec<Command>,
    ) {
        if edges.is_empty() {
            return;
        }
        let artifact = ArtifactId { request: self.request.id, version };
        let (id, route) = (TransferId(sequence.next()), Box::new(route));
        out.push(Command::Migrate(Transfer { id, artifact, edges, route }));
    }

    /// The decoder replaces the latents on the ranks it ran on; the other ranks still hold theirs.
    fn leftovers(&self, version: u32, decoded_on: Parallelism, in_flight: &mut InFlight) {
        let (decoders, others) = self.ranks.split_at(usize::from(decoded_on.degree()));
        let artifact = |version| ArtifactId { request: self.request.id, version };
        if !others.is_empty() {
            in_flight.releases.push((artifact(version + 2), others.into()));
        }
        in_flight.releases.push((artifact(version + 3), decoders.into()));
    }
}
