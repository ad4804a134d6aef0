//! Rounds of tours between real runs: what the same work costs on this machine at that time.
//!
//! Owns which tours a round has: one of all shapes of the workload over every kind of collectives that a system uses. Invariant:
//! the prices around a run come from tours alone, never from a run.

use super::prices::TaskPrices;
use crate::campaign::Setting;
use crate::experiment::CollectiveKind;
use crate::profile::ChargesSpec;
use crate::profile::measure::{Amount, Layouts, PassError, Passed, Ranks, Tour, Visit, price, run};
use crate::real::{Interrupt, Taken, fabric};
use crate::workload::Workload;
use flexdit_core::cost::{CostStage, CostTable};
use flexdit_core::{Parallelism, Shape};
use flexdit_ranks::{Compute, Fabric};
use std::ops::Range;
use std::sync::Arc;

/// Rounds before a run, and rounds after it, that its prices come from.
pub const NEIGHBOURS: usize = 2;

/// Crews of a tour for every decode layout, unless something else is asked for.
pub const CREWS: u32 = 2;

/// A tour over one kind of collectives: the shapes of its requests, and what it left.
struct OfKind {
    kind: CollectiveKind,
    shapes: Vec<Shape>,
    passed: Passed,
}

/// All rounds so far, and how to make the next one.
pub(super) struct Tours<'a> {
    setting: &'a Setting,
    compute: Arc<dyn Compute>,
    crews: u32,
    interrupt: &'a Interrupt,
    visited: Vec<Visit>,
    fabrics: Vec<(CollectiveKind, Box<dyn Fabric>)>,
    rounds: Vec<Vec<OfKind>>,
}

impl<'a> Tours<'a> {
    /// Tours of the shapes of these workloads, at every layout that the experiment's profile prices.
    pub fn new(
        setting: &'a Setting,
        workloads: &[Workload],
        kinds: &[CollectiveKind],
        compute: Arc<dyn Compute>,
        crews: u32,
        interrupt: &'a Interrupt,
    ) -> Self {
        let mut visited: Vec<Visit> = Vec::new();
        for request in workloads.iter().flat_map(|workload| &workload.requests) {
            let shape = Shape { steps: 0, ..request.shape };
            let chunk = request.chunk_steps.max(1);
            match visited.iter_mut().find(|other| other.shape == shape) {
                Some(known) => known.chunk = known.chunk.min(chunk),
                None => {
                    let layouts = layouts(setting, &shape);
                    visited.extend(layouts.map(|layouts| Visit { shape, chunk, layouts }));
                }
            }
        }
        visited.sort_by_key(|visited| visited.shape);
        let mut kinds = kinds.to_vec();
        kinds.sort_by_key(|kind| *kind == CollectiveKind::Communicators);
        kinds.dedup();
        let fabrics = kinds.into_iter().map(|kind| (kind, fabric(kind))).collect();
        Self { setting, compute, crews, interrupt, visited, fabrics, rounds: Vec::new() }
    }

    /// How many rounds there are.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// What others took of the cores during all of them.
    pub fn taken(&self) -> Taken {
        let tours = self.rounds.iter().flatten();
        tours.fold(Taken::default(), |sum, tour| sum.and(tour.passed.others))
    }

    /// Makes a round. Stopped, it leaves none.
    ///
    /// # Errors
    /// A tour fails.
    pub fn round(&mut self) -> Result<(), PassError> {
        if self.interrupt.is_stopped() {
            return Ok(());
        }
        let world = self.setting.world();
        let amount = Amount { world, crews: self.crews, round: self.rounds.len() as u32 };
        let mut round = Vec::new();
        for (kind, fabric) in &self.fabrics {
            let compute = Arc::clone(&self.compute);
            let pin = self.setting.experiment.real.pin;
            let interrupt = Some(self.interrupt);
            let ranks = Ranks { compute, fabric: &**fabric, world, pin, interrupt };
            let tour = Tour::new(&self.visited, amount);
            let passed = match run(&ranks, &tour, &self.setting.models) {
                Err(_) if self.interrupt.is_stopped() => return Ok(()),
                passed => passed?,
            };
            round.push(OfKind { kind: *kind, shapes: tour.shapes(), passed });
        }
        self.rounds.push(round);
        Ok(())
    }

    /// The rounds around a run that had so many before it.
    pub fn around(&self, before: usize) -> Range<usize> {
        before.saturating_sub(NEIGHBOURS)..(before + NEIGHBOURS).min(self.rounds.len())
    }

    /// Prices on these collectives from some rounds.
    pub fn prices(&self, kind: CollectiveKind, rounds: Range<usize>) -> TaskPrices {
        let tours = self.of_kind(kind, rounds);
        TaskPrices::of_tours(tours.map(|tour| (&*tour.shapes, &*tour.passed.samples.tasks)))
    }

    /// Charges on these collectives from some rounds; `None` if no decision was waited for in them.
    pub fn charges(&self, kind: CollectiveKind, rounds: Range<usize>) -> Option<ChargesSpec> {
        let passes: Vec<&Passed> = self.of_kind(kind, rounds).map(|tour| &tour.passed).collect();
        price::charges(&passes, kind)
    }

    fn of_kind(&self, kind: CollectiveKind, rounds: Range<usize>) -> impl Iterator<Item = &OfKind> {
        self.rounds[rounds].iter().flatten().filter(move |tour| tour.kind == kind)
    }
}

/// The layouts of a shape that runs may use; `None` without a table for it.
fn layouts(setting: &Setting, shape: &Shape) -> Option<Layouts> {
    let table: &CostTable = setting.book.table(shape)?;
    let (world, model) = (setting.world(), setting.models[shape.model.index()]);
    let patches = setting.experiment.cluster.patch_degrees.as_deref().unwrap_or(&[]);
    let fits =
        |layout: &Parallelism| layout.degree() <= world && model.check(shape, layout).is_ok();
    let of = |stage| table.layouts(stage).filter(fits);
    let asked = |layout: &Parallelism| layout.patch == 1 || patches.contains(&layout.patch);
    Some(Layouts {
        steps: of(CostStage::Step { guidance: shape.guidance }).collect(),
        decodes: of(CostStage::VaeDecode).filter(asked).collect(),
    })
}
