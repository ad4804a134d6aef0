//! The system that runs a tour: the elastic scheduler with a policy that follows a script.

use super::tour::{Part, Tour};
use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::model::ModelSpec;
use flexdit_core::scheduler::{Key, Plan, Policy, RequestView, Scheduler, SchedulerConfig, View};
use flexdit_core::{Nanos, Parallelism, Shape, Stage};

/// The scheduler that takes the turns of a tour of this model's shapes, one after the other.
///
/// Copies, releases and completion are the scheduler's, as in every other run.
pub fn system(tour: &Tour, model: &'static ModelSpec, world: u16) -> Scheduler {
    let layouts = |stage| {
        let mut all: Vec<Parallelism> =
            tour.parts().filter(|part| part.stage == stage).map(|part| part.layout).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let allowed =
        Allowed { model, steps: layouts(Stage::Denoise), decodes: layouts(Stage::VaeDecode) };
    let policy = Follow { turns: tour.turns.clone(), next: 0 };
    let config = SchedulerConfig { retries: 0, credits: 0, ..SchedulerConfig::new(world) };
    Scheduler::new(config, Box::new(policy), Box::new(allowed))
}

/// Takes a turn when everything before it has ended.
struct Follow {
    turns: Vec<Vec<Part>>,
    next: usize,
}

impl Follow {
    fn begins(&self, turn: &[Part], view: &View<'_>) -> bool {
        let ready = |part: &Part| view.request(part.request).is_some_and(|r| r.is_ready());
        view.free() == view.world() && turn.iter().all(ready)
    }
}

impl Policy for Follow {
    fn key(&self, _: &RequestView<'_>) -> Option<Key> {
        None
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let Some(turn) = self.turns.get(self.next).filter(|turn| self.begins(turn, view)) else {
            return;
        };
        for part in turn {
            plan.chunk(part.request, part.steps);
            if let Some(grant) = plan.take_exact(&part.ranks) {
                plan.run(part.request, grant, part.layout);
            }
        }
        self.next += 1;
    }
}

/// Allows the layouts of the tour. Nothing is decided by the times.
struct Allowed {
    model: &'static ModelSpec,
    steps: Vec<Parallelism>,
    decodes: Vec<Parallelism>,
}

impl Estimator for Allowed {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let time = Nanos::from_millis(1);
        let entries = |layouts: &[Parallelism]| {
            let entry = |parallelism: &Parallelism| DegreeCost {
                degree: parallelism.degree(),
                parallelism: *parallelism,
                time,
            };
            layouts.iter().map(entry).collect()
        };
        ShapeCosts {
            encode: Some(time),
            steps: entries(&self.steps),
            decodes: entries(&self.decodes),
            state: StateSpec::of(self.model, shape).unwrap_or_default(),
        }
    }
}
