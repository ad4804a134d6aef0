//! What a task costs in virtual time: stage times from a cost model, noise, overheads.

use crate::charges::Charges;
use crate::noise::Noise;
use crate::setup::Setups;
use flexdit_core::cost::CostModel;
use flexdit_core::{Group, Nanos, Parallelism, Request, RequestId, Shape, Span, Stage, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What single tasks take, where that is known better than by a price for all alike: tasks of a measured run, say.
pub trait TaskTimes: Send + Sync {
    /// The computing time of a task; `None` where the cost model's price stands.
    fn time(&self, task: &Task) -> Option<Nanos>;
}

/// Prices tasks. Not the scheduler's estimator: the two may hold different tables.
pub struct Timing {
    cost: Arc<dyn CostModel>,
    times: Option<Arc<dyn TaskTimes>>,
    charges: Charges,
    noise: Noise,
    setups: Setups,
    shapes: Vec<ShapePrices>,
    /// Index into `shapes`, by request ordinal.
    shape_of: Vec<u32>,
    extrapolated: bool,
}

/// Prices of one shape, filled on first use.
struct ShapePrices {
    shape: Shape,
    known: Vec<(Stage, Parallelism, Nanos)>,
}

/// A priced task: its span, with `started` still to be set, and its whole duration.
pub(crate) struct Charge {
    pub(crate) span: Span,
    pub(crate) duration: Nanos,
}

impl Timing {
    /// Timing of one run over `requests`; `prebuilt` are the system's ready-made groups.
    pub fn new(
        cost: Arc<dyn CostModel>,
        charges: Charges,
        seed: u64,
        requests: &[Request],
        prebuilt: Vec<Group>,
    ) -> Self {
        let mut index = BTreeMap::new();
        let mut shapes = Vec::new();
        let shape_of = requests
            .iter()
            .map(|request| {
                *index.entry(request.shape).or_insert_with(|| {
                    shapes.push(ShapePrices { shape: request.shape, known: Vec::new() });
                    shapes.len() as u32 - 1
                })
            })
            .collect();
        let noise = Noise::new(seed, charges.jitter, charges.stragglers.clone());
        let setups =
            Setups::new(charges.group_setup, charges.group_setup_by_degree.clone(), prebuilt);
        Self { cost, times: None, charges, noise, setups, shapes, shape_of, extrapolated: false }
    }

    /// Tasks take these times where they are known; noise does not touch them.
    pub fn set_times(&mut self, times: Arc<dyn TaskTimes>) {
        self.times = Some(times);
    }

    /// What is charged beside stage times.
    pub fn charges(&self) -> &Charges {
        &self.charges
    }

    /// Whether any price so far lay outside its source's range.
    pub fn extrapolated(&self) -> bool {
        self.extrapolated
    }

    /// Every (shape, stage, layout) that was charged, by first use.
    pub fn layouts(&self) -> impl Iterator<Item = (Shape, Stage, Parallelism)> {
        let of_shape = |prices: &ShapePrices| {
            let shape = prices.shape;
            let used = prices.known.iter().map(move |&(stage, layout, _)| (shape, stage, layout));
            used.collect::<Vec<_>>()
        };
        self.shapes.iter().flat_map(of_shape)
    }

    /// Price of a task that is about to start; `None` when the profile has no such layout.
    pub(crate) fn charge(&mut self, task: &Task) -> Option<Charge> {
        let compute = match self.times.as_ref().and_then(|times| times.time(task)) {
            Some(time) => time,
            None => {
                let unit = self.stage_time(task.request, task.stage, task.parallelism)?;
                self.noise.time(task, unit)
            }
        };
        let setup = self.setups.charge(task);
        // Profiles price groups within one node.
        self.extrapolated |= !self.charges.one_node(task.active());
        let launch = self.charges.launch;
        let span = Span { setup: setup.unwrap_or_default(), launch, ..Span::default() };
        Some(Charge { span, duration: span.setup + launch + compute })
    }

    fn stage_time(
        &mut self,
        request: RequestId,
        stage: Stage,
        parallelism: Parallelism,
    ) -> Option<Nanos> {
        let prices = &mut self.shapes[self.shape_of[request.index()] as usize];
        let known = prices.known.iter().find(|entry| entry.0 == stage && entry.1 == parallelism);
        if let Some(&(_, _, time)) = known {
            return Some(time);
        }
        let price = match stage {
            Stage::TextEncode => self.cost.encode(&prices.shape),
            Stage::Denoise => self.cost.step(&prices.shape, parallelism),
            Stage::VaeDecode => self.cost.decode(&prices.shape, parallelism.patch),
        }?;
        self.extrapolated |= price.extrapolated;
        prices.known.push((stage, parallelism, price.time));
        Some(price.time)
    }

    pub(crate) fn forget(&mut self, request: RequestId) {
        self.setups.forget(request);
    }
}
