//! A policy that does anything a policy can do, also what it must not.

use super::dice::Dice;
use flexdit_core::scheduler::phase::{Phase, RankPhase};
use flexdit_core::scheduler::{Grant, Key, Plan, Policy, RequestView, View};
use flexdit_core::{Group, Nanos, Parallelism, Rank, RequestId, Stage};

/// Seeded random decisions, legal and illegal. Every request ends in time: it acts again soon, and starts
/// something whenever it can.
pub struct Chaos {
    dice: Dice,
    /// A grant kept for a later plan, which must refuse it.
    kept: Option<Grant>,
}

impl Chaos {
    /// The chaos of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed, 3), kept: None }
    }

    fn layout(&mut self, request: &RequestView<'_>, most: u16) -> Option<Parallelism> {
        let costs = request.costs();
        let entries = match request.next_stage()? {
            Stage::TextEncode => return Some(Parallelism::SINGLE),
            Stage::Denoise => &costs.steps,
            Stage::VaeDecode => &costs.decodes,
        };
        let fits: Vec<_> = entries.iter().filter(|entry| entry.degree <= most).collect();
        (!fits.is_empty()).then(|| self.dice.pick(&fits).parallelism)
    }

    /// Starts the request on random free ranks, often those that have its data, sometimes more than needed.
    fn start(&mut self, request: &RequestView<'_>, plan: &mut Plan<'_>) {
        let Some(layout) = self.layout(request, plan.free()) else { return };
        let mut count = layout.degree();
        if self.dice.chance(0.2) {
            count = (count + self.dice.range(0, 2) as u16).min(plan.free());
        }
        let mut prefer: Vec<Rank> = request.located().map_or(vec![], |l| l.active.to_vec());
        if self.dice.chance(0.4) {
            let world = u64::from(count) * 3;
            prefer = (0..6).map(|_| Rank(self.dice.range(0, world) as u16)).collect();
            prefer.retain(|rank| plan.is_free(*rank));
        }
        if self.dice.chance(0.3) {
            prefer.reverse();
        }
        let Some(grant) = plan.take(count, &prefer) else { return };
        plan.run(request.id(), grant, layout);
    }

    fn ranks(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let rank = Rank(self.dice.range(0, u64::from(view.world()) - 1) as u16);
        let until = view.now() + self.dice.time(Nanos::from_millis(30));
        match self.dice.range(0, 3) {
            0 => plan.reserve(rank, until),
            1 => plan.unreserve(rank),
            _ => {}
        }
    }

    fn one(&mut self, view: &View<'_>, request: &RequestView<'_>, plan: &mut Plan<'_>) {
        let id = request.id();
        match self.dice.range(0, 9) {
            0 => plan.chunk(id, self.dice.range(0, 4) as u32),
            1 if request.phase() == Phase::Running => {
                let most = request.group().len() as u16;
                if let Some(layout) = self.layout(request, most) {
                    plan.run_ahead(id, layout);
                }
            }
            2 if self.dice.chance(0.3) => plan.pause(id),
            3 if request.phase() == Phase::Paused => plan.resume(id),
            4 => self.reserved(view, request, plan),
            5 if self.dice.chance(0.03) => plan.shed(id),
            _ => {}
        }
    }

    /// Starts the request on reserved ranks, asking for them twice.
    fn reserved(&mut self, view: &View<'_>, request: &RequestView<'_>, plan: &mut Plan<'_>) {
        let ranks = (0..view.world().min(64)).map(Rank);
        let held: Group =
            ranks.filter(|rank| view.rank_phase(*rank) == RankPhase::Reserved).take(4).collect();
        let Some(layout) = self.layout(request, held.len() as u16) else { return };
        for _ in 0..2 {
            if let Some(grant) = plan.take_reserved(&held) {
                plan.run(request.id(), grant, layout);
            }
        }
    }

    /// What no policy may do: each of these must be refused, and nothing may break.
    fn crime(&mut self, id: RequestId, view: &View<'_>, plan: &mut Plan<'_>) {
        match self.dice.range(0, 6) {
            0 => {
                if let Some(grant) = self.kept.take() {
                    plan.run(id, grant, Parallelism::SINGLE);
                }
                self.kept = plan.take(1, &[]);
            }
            1 => {
                plan.pause(id);
                plan.pause(id);
                plan.resume(id);
                plan.resume(id);
            }
            2 => {
                plan.pause(id);
                if let Some(grant) = plan.take(1, &[]) {
                    plan.run(id, grant, Parallelism::SINGLE);
                }
            }
            3 if self.dice.chance(0.1) => {
                plan.shed(id);
                plan.shed(id);
                plan.chunk(id, 2);
                plan.pause(id);
                if let Some(grant) = plan.take(1, &[]) {
                    plan.run(id, grant, Parallelism::SINGLE);
                }
            }
            4 => {
                plan.run_ahead(id, Parallelism::SINGLE);
                plan.run_ahead(id, Parallelism::ulysses(200));
            }
            5 => {
                let twice: Group = [Rank(0), Rank(0)].into_iter().collect();
                if let Some(grant) = plan.take_exact(&twice) {
                    plan.run(id, grant, Parallelism::SINGLE);
                }
            }
            _ => {
                plan.chunk(RequestId(id.0 + 10_000), 1);
                plan.reserve(Rank(view.world() - 1), Nanos::ZERO);
            }
        }
    }
}

impl Policy for Chaos {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        (!request.id().0.is_multiple_of(3)).then_some([request.deadline().0, 0, 0])
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let mut live: Vec<RequestView<'_>> = view.requests().collect();
        if live.is_empty() {
            return;
        }
        live.sort_by_key(|request| request.id());
        let from = self.dice.range(0, live.len() as u64 - 1) as usize;
        live.rotate_left(from);
        if self.dice.chance(0.2) {
            self.crime(live[0].id(), view, plan);
        }
        if self.dice.chance(0.2) {
            self.ranks(view, plan);
        }
        for request in live.iter().take(8) {
            self.one(view, request, plan);
        }
        for request in live.iter().filter(|request| request.is_ready()) {
            if plan.free() > 0 && self.dice.chance(0.6) {
                self.start(request, plan);
            }
        }
        plan.wake_at(view.now() + Nanos(1) + self.dice.time(Nanos::from_millis(20)));
    }
}
