//! The system that runs a tour: the elastic scheduler with a policy that follows a script.

use super::tour::{Leg, Part, Tour};
use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::model::ModelSpec;
use flexdit_core::scheduler::{Key, Plan, Policy, RequestView, Scheduler, SchedulerConfig, View};
use flexdit_core::{Nanos, Parallelism, Shape, Stage};
use std::collections::VecDeque;

/// The scheduler that walks a tour of shapes of these models.
///
/// Copies, releases and completion are the scheduler's, as in every other run.
pub fn system(tour: &Tour, models: &[&'static ModelSpec], world: u16) -> Scheduler {
    let layouts = |stage| {
        let mut all: Vec<Parallelism> =
            tour.parts().filter(|part| part.stage == stage).map(|part| part.layout).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (steps, decodes) = (layouts(Stage::Denoise), layouts(Stage::VaeDecode));
    let allowed = Allowed { models: models.to_vec(), steps, decodes };
    let policy = Follow { now: Vec::new(), next: tour.legs.clone().into() };
    let config = SchedulerConfig { retries: 0, credits: 0, ..SchedulerConfig::new(world) };
    Scheduler::new(config, Box::new(policy), Box::new(allowed))
}

/// Begins a leg when everything before it has ended, and each task of a list when the one before it has.
struct Follow {
    /// What is left of the lists of the leg under way.
    now: Vec<std::vec::IntoIter<Part>>,
    next: VecDeque<Leg>,
}

impl Follow {
    fn begin_leg(&mut self, view: &View<'_>) {
        let is_over = self.now.iter().all(|list| list.as_slice().is_empty());
        if !is_over || view.free() < view.world() {
            return;
        }
        let ready = |part: &Part| is_ready(view, part);
        if let Some(leg) = self.next.pop_front_if(|leg| leg.lists.iter().flatten().all(ready)) {
            self.now = leg.lists.into_iter().map(Vec::into_iter).collect();
        }
    }
}

fn is_ready(view: &View<'_>, part: &Part) -> bool {
    view.request(part.request).is_some_and(|request| request.is_ready())
}

impl Policy for Follow {
    fn key(&self, _: &RequestView<'_>) -> Option<Key> {
        None
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        self.begin_leg(view);
        for list in &mut self.now {
            let Some(part) = list.as_slice().first().filter(|part| is_ready(view, part)) else {
                continue;
            };
            if let Some(grant) = plan.take_exact(&part.ranks) {
                plan.chunk(part.request, part.steps);
                plan.run(part.request, grant, part.layout);
                list.next();
            }
        }
    }
}

/// Allows the layouts of the tour. Nothing is decided by the times.
struct Allowed {
    models: Vec<&'static ModelSpec>,
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
            state: StateSpec::of(self.models[shape.model.index()], shape).unwrap_or_default(),
        }
    }
}
