//! A policy that reconfigures at random: other ranks, degrees and chunks all the time.

use flexdit_core::scheduler::{Plan, Policy, RequestView, View};
use flexdit_core::{Nanos, Parallelism, Rank, RequestId, Stage};
use rand::RngExt as _;
use rand_pcg::Pcg64;
use std::collections::BTreeMap;

/// Steps of the longest chunk.
const CHUNK: u32 = 2;

/// Pause before it looks again for more ranks than are free.
const PAUSE: Nanos = Nanos::from_micros(200);

/// Seeded random placements, degrees, chunks and run-ahead, all of them legal. What it does in real time depends on
/// when ranks become free, so two runs differ; what must not differ is the pictures.
///
/// ```
/// use flexdit::verify::Restless;
/// use flexdit_core::scheduler::Policy;
/// let policy: Box<dyn Policy> = Box::new(Restless::new(1));
/// ```
#[derive(Debug)]
pub struct Restless {
    dice: Pcg64,
    /// Ranks that must be free before anything starts: without it nothing would ever run on several.
    wanted: u16,
    /// Where each request stood when it was last asked whether to run ahead. It is asked once at each place, however often the
    /// policy is woken meanwhile: a busy machine wakes it so often that hardly anything would change ranks.
    asked: BTreeMap<RequestId, (Option<Stage>, u32)>,
}

impl Restless {
    /// The policy of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Pcg64::new(u128::from(seed), 0x0000_7265_7374_6c65_7373),
            wanted: 1,
            asked: BTreeMap::new(),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.dice.random_range(0..100) < percent
    }

    /// A priced layout of the next stage on at most so many ranks, often the widest.
    fn layout(&mut self, request: &RequestView<'_>, most: u16) -> Option<Parallelism> {
        let entries = match request.next_stage()? {
            Stage::TextEncode => return Some(Parallelism::SINGLE),
            Stage::Denoise => &request.costs().steps,
            Stage::VaeDecode => &request.costs().decodes,
        };
        let fits: Vec<_> = entries.iter().filter(|entry| entry.degree <= most).collect();
        let widest = fits.iter().max_by_key(|entry| entry.degree)?;
        let any = fits[self.dice.random_range(0..fits.len())];
        Some(if self.chance(70) { widest.parallelism } else { any.parallelism })
    }

    /// Whether a request has come on since it was last asked.
    fn is_new(&mut self, request: &RequestView<'_>) -> bool {
        let place = (request.next_stage(), request.steps_left());
        self.asked.insert(request.id(), place) != Some(place)
    }

    fn start(&mut self, request: &RequestView<'_>, world: u16, plan: &mut Plan<'_>) {
        let Some(layout) = self.layout(request, plan.free()) else { return };
        let held = u16::from(self.chance(20));
        let count = (layout.degree() + held).min(plan.free());
        let prefer: Vec<Rank> = (0..3).map(|_| Rank(self.dice.random_range(0..world))).collect();
        if let Some(grant) = plan.take(count, &prefer) {
            plan.run(request.id(), grant, layout);
            self.wanted = self.dice.random_range(1..=world);
        }
    }
}

impl Policy for Restless {
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let mut live: Vec<RequestView<'_>> = view.requests().collect();
        if live.is_empty() {
            return;
        }
        for request in &live {
            plan.chunk(request.id(), self.dice.random_range(1..=CHUNK));
        }
        let from = self.dice.random_range(0..live.len());
        live.rotate_left(from);
        for request in &live {
            if request.is_ready() && plan.free() >= self.wanted {
                self.start(request, view.world(), plan);
            } else if plan.credit(request.id()) && self.is_new(request) && self.chance(25) {
                let most = request.group().len() as u16;
                if let Some(layout) = self.layout(request, most) {
                    plan.run_ahead(request.id(), layout);
                }
            }
        }
        plan.wake_at(view.now() + PAUSE);
    }
}
