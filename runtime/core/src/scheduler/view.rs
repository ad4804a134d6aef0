//! What a policy sees: a snapshot of requests, ranks and estimates.

use super::phase::{Phase, RankPhase};
use super::policy::Key;
use super::state::{Live, State};
use crate::cost::ShapeCosts;
use crate::group::Group;
use crate::ids::{Rank, RequestId};
use crate::migration::Located;
use crate::rank_set::RankSet;
use crate::request::Request;
use crate::task::Stage;
use crate::units::Nanos;
use core::ops::Bound;

/// The state of the world at one instant, for reading.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(super) state: &'a State,
    pub(super) now: Nanos,
}

impl<'a> View<'a> {
    /// The time.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Ranks in the world, up or down.
    pub fn world(&self) -> u16 {
        self.state.ranks.world()
    }

    /// Number of free ranks: up, with an empty inbox, not reserved.
    pub fn free(&self) -> u16 {
        self.state.ranks.free().len()
    }

    /// The free ranks as a set.
    pub fn free_set(&self) -> &'a RankSet {
        self.state.ranks.free()
    }

    /// The free ranks, ascending.
    pub fn free_ranks(&self) -> impl Iterator<Item = Rank> + 'a {
        self.state.ranks.free().iter()
    }

    /// Whether `rank` is free.
    pub fn is_free(&self, rank: Rank) -> bool {
        self.state.ranks.free().contains(rank)
    }

    /// Whether every rank of `group` is free.
    pub fn all_free(&self, group: &Group) -> bool {
        group.iter().all(|&rank| self.is_free(rank))
    }

    /// Where `rank` stands.
    pub fn rank_phase(&self, rank: Rank) -> RankPhase {
        self.state.ranks.phase(rank)
    }

    /// Whether `rank` is up.
    pub fn rank_up(&self, rank: Rank) -> bool {
        self.rank_phase(rank) != RankPhase::Lost
    }

    /// When `rank` should be free by the estimates; never before now.
    pub fn predicted_free(&self, rank: Rank) -> Nanos {
        match self.rank_phase(rank) {
            RankPhase::Idle | RankPhase::Reserved => self.now,
            _ => self.state.ranks.predicted(rank).max(self.now),
        }
    }

    /// The request, while it lives.
    pub fn request(&self, id: RequestId) -> Option<RequestView<'a>> {
        self.state.slot(id).map(|slot| self.at(slot))
    }

    /// Number of live requests.
    pub fn live(&self) -> u64 {
        self.state.live
    }

    /// Every live request, in no particular but a reproducible order; costs a walk over all.
    pub fn requests(&self) -> impl Iterator<Item = RequestView<'a>> + 'a {
        let view = *self;
        self.state.live_slots().map(move |slot| view.at(slot))
    }

    /// Ready requests that have a [`Key`], in its order.
    pub fn ready(&self) -> impl Iterator<Item = RequestView<'a>> + 'a {
        let view = *self;
        self.state.ready.iter().map(move |&(_, _, slot)| view.at(slot))
    }

    /// Ready requests whose key is at least `from`, in order.
    pub fn ready_from(&self, from: Key) -> impl Iterator<Item = RequestView<'a>> + 'a {
        let view = *self;
        let low = Bound::Included((from, RequestId(0), 0));
        self.state.ready.range((low, Bound::Unbounded)).map(move |&(_, _, slot)| view.at(slot))
    }

    /// Number of ready requests that have a key.
    pub fn ready_len(&self) -> usize {
        self.state.ready.len()
    }

    /// Requests with a task at the head of some rank's inbox, by lowest such rank.
    pub fn running(&self) -> impl Iterator<Item = RequestView<'a>> + 'a {
        let view = *self;
        let ranks = &self.state.ranks;
        (0..self.world()).filter_map(move |rank| {
            let request = view.at(ranks.head_slot(Rank(rank))?);
            (request.group().iter().min() == Some(&Rank(rank))).then_some(request)
        })
    }

    fn at(&self, slot: u32) -> RequestView<'a> {
        RequestView { live: self.state.get(slot), costs: self.state.costs(self.state.get(slot)) }
    }
}

/// One live request, for reading.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    pub(super) live: &'a Live,
    pub(super) costs: &'a ShapeCosts,
}

impl<'a> RequestView<'a> {
    /// Its ordinal.
    pub fn id(&self) -> RequestId {
        self.live.request.id
    }

    /// The request as it arrived.
    pub fn request(&self) -> &'a Request {
        &self.live.request
    }

    /// What the estimator believes its tasks cost.
    pub fn costs(&self) -> &'a ShapeCosts {
        self.costs
    }

    /// Its deadline; [`Nanos::MAX`] without one.
    pub fn deadline(&self) -> Nanos {
        self.live.request.deadline.unwrap_or(Nanos::MAX)
    }

    /// The stage of the next task that is not launched; `None` when all are.
    pub fn next_stage(&self) -> Option<Stage> {
        self.live.issued.stage()
    }

    /// Denoising steps finished.
    pub fn steps_done(&self) -> u32 {
        self.live.done.steps_done(self.live.request.shape.steps)
    }

    /// Denoising steps not finished.
    pub fn steps_left(&self) -> u32 {
        self.live.request.shape.steps - self.steps_done()
    }

    /// Steps its next denoise chunk will have.
    pub fn chunk_steps(&self) -> u32 {
        self.live.issued.chunk(&self.live.request, self.live.chunk_steps).1
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.live.phase
    }

    /// Whether its next task may be started now.
    pub fn is_ready(&self) -> bool {
        self.live.phase == Phase::Ready
    }

    /// Tasks in flight.
    pub fn in_flight(&self) -> usize {
        self.live.in_flight.len()
    }

    /// Group of its last launch; empty before the first.
    pub fn group(&self) -> &'a Group {
        &self.live.group
    }

    /// Where its state is; `None` before its first task ended.
    pub fn located(&self) -> Option<&'a Located> {
        self.live.located.as_ref()
    }

    /// Total degree of its last denoise task; 0 before the first.
    pub fn degree(&self) -> u16 {
        self.live.degree
    }

    /// When it was admitted.
    pub fn admitted_at(&self) -> Nanos {
        self.live.admitted_at
    }

    /// Estimated time of everything unfinished, denoising at `degree`, the other stages on one rank;
    /// `None` when that degree is not feasible.
    pub fn remaining(&self, degree: u16) -> Option<Nanos> {
        let stage = self.live.done.stage();
        let encode = stage == Some(Stage::TextEncode);
        self.costs.remaining(self.steps_left(), encode, stage.is_some(), degree)
    }
}
