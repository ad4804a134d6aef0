//! Static lanes: the world cut into groups of equal degree, each running one task at a time.

mod lane;

use super::params::{ParamError, ParamInfo, ParamKind, Params};
use super::registry::PolicyInfo;
use crate::group::Group;
use crate::ids::{Rank, RequestId};
use crate::parallelism::Parallelism;
use crate::scheduler::{Key, Plan, Policy, RequestView, View};
use crate::task::Stage;
use crate::units::Nanos;
use alloc::boxed::Box;
use alloc::vec::Vec;
use lane::{Lane, Waiting};

const DEGREE: ParamInfo = ParamInfo {
    name: "degree",
    kind: ParamKind::Integer { min: 1, max: Group::MAX as u64, default: 1 },
    unit: "ranks",
    doc: "ranks of a lane; must divide the world",
};
const RUN_AHEAD: ParamInfo = ParamInfo {
    name: "run-ahead",
    kind: ParamKind::Flag { default: false },
    unit: "",
    doc: "queue a request's next task behind the one in flight",
};

/// The registry's entry of first come, first served.
pub const FCFS: PolicyInfo = PolicyInfo {
    name: "fcfs",
    doc: "static lanes; one request at a time per lane, first come, first served",
    params: &[DEGREE, RUN_AHEAD],
    build: |params, world| build(LaneOrder::Fcfs, params, world),
};
/// The registry's entry of shortest job first.
pub const SJF: PolicyInfo = PolicyInfo {
    name: "sjf",
    doc: "static lanes; the least estimated work at submission first, not preemptive",
    params: &[DEGREE, RUN_AHEAD],
    build: |params, world| build(LaneOrder::Sjf, params, world),
};
/// The registry's entry of shortest remaining time first.
pub const SRTF: PolicyInfo = PolicyInfo {
    name: "srtf",
    doc: "static lanes; at each task boundary the least remaining estimated work first",
    params: &[DEGREE],
    build: |params, world| build(LaneOrder::Srtf, params, world),
};

fn build(order: LaneOrder, params: &Params, world: u16) -> Result<Box<dyn Policy>, ParamError> {
    let run_ahead = order != LaneOrder::Srtf && params.flag("run-ahead");
    Ok(Box::new(Lanes::new(order, params.integer("degree") as u16, world, run_ahead)?))
}

/// Order in which a lane takes its requests; equals go by arrival, then ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOrder {
    /// By arrival.
    Fcfs,
    /// By total estimated work, decided when the lane is free.
    Sjf,
    /// By remaining estimated work, decided at every task boundary; ties keep the one running.
    Srtf,
}

/// Where a request stands here.
#[derive(Clone, Copy, Debug)]
struct Slot {
    lane: u32,
    /// Its unfinished work as last estimated; part of its lane's sum.
    remaining: Nanos,
    /// Key of its valid entry in the lane's queue, while it waits there.
    queued: Option<u64>,
}

const NO_LANE: u32 = u32::MAX;
const VACANT: Slot = Slot { lane: NO_LANE, remaining: Nanos::ZERO, queued: None };

/// First come, shortest job or shortest remaining time first on lanes of one degree.
///
/// A request is bound on arrival to the lane with the least estimated unfinished work (ties: the
/// lowest) and stays there. The lane is held by its request throughout: text encode and VAE decode
/// run on the lane's first rank while the others wait. A decision looks only at lanes on which
/// something happened. A lane is lost while one of its ranks is down; its requests move to others.
///
/// ```
/// use flexdit_core::policy::scenario;
/// let report = scenario::run(
///     "policy srtf degree=2
///      world 4
///      shape S 100 60
///      at 0 S steps=9
///      at 0 S steps=5
///      at 5 S steps=1",
/// );
/// // The third joins the lane with less work and passes the longer one there after its encode.
/// assert_eq!(
///     report,
///     "S0: 0 encode {0,1}; 10 denoise u2 {0,1} x9; 550 decode {0,1}; done 560\n\
///      S1: 0 encode {2,3}; 90 denoise u2 {2,3} x5; 390 decode {2,3}; done 400\n\
///      S2: 10 encode {2,3}; 20 denoise u2 {2,3} x1; 80 decode {2,3}; done 90\n"
/// );
/// ```
#[derive(Debug)]
pub struct Lanes {
    order: LaneOrder,
    run_ahead: bool,
    lanes: Vec<Lane>,
    /// By request ordinal.
    slots: Vec<Slot>,
    /// Lanes to look at in the next decision.
    dirty: Vec<u32>,
    /// Requests that cannot run at this degree.
    infeasible: Vec<RequestId>,
    /// Requests that wait for a lane to come back.
    homeless: Vec<RequestId>,
}

impl Lanes {
    /// Lanes of `degree` consecutive ranks over the world.
    ///
    /// # Errors
    /// A degree that does not divide the world.
    pub fn new(
        order: LaneOrder,
        degree: u16,
        world: u16,
        run_ahead: bool,
    ) -> Result<Self, ParamError> {
        if degree == 0 || !world.is_multiple_of(degree) {
            return Err(ParamError::NotDivisible { degree, world });
        }
        let ranks = |i| Group::consecutive(Rank(i * degree), usize::from(degree));
        Ok(Self {
            order,
            run_ahead,
            lanes: (0..world / degree).map(|i| Lane::new(ranks(i))).collect(),
            slots: Vec::new(),
            dirty: Vec::new(),
            infeasible: Vec::new(),
            homeless: Vec::new(),
        })
    }

    fn degree(&self) -> u16 {
        self.lanes[0].ranks.len() as u16
    }

    fn mark(&mut self, lane: u32) {
        let state = &mut self.lanes[lane as usize];
        if !core::mem::replace(&mut state.dirty, true) {
            self.dirty.push(lane);
        }
    }

    /// Binds a request to the lane with the least unfinished work and queues it there.
    fn bind(&mut self, request: &RequestView<'_>) {
        let id = request.id();
        let Some(remaining) = request.remaining(self.degree()) else {
            return self.infeasible.push(id);
        };
        let up = self.lanes.iter().enumerate().filter(|(_, lane)| lane.up);
        let Some((at, _)) = up.min_by_key(|(_, lane)| lane.work) else {
            return self.homeless.push(id);
        };
        if id.index() >= self.slots.len() {
            self.slots.resize(id.index() + 1, VACANT);
        }
        self.lanes[at].work += remaining;
        self.slots[id.index()] = Slot { lane: at as u32, remaining, queued: None };
        self.enqueue(request, at as u32);
        self.mark(at as u32);
    }

    /// Puts a bound request into its lane's queue.
    fn enqueue(&mut self, request: &RequestView<'_>, lane: u32) {
        let id = request.id();
        let slot = &mut self.slots[id.index()];
        let key = match self.order {
            LaneOrder::Fcfs => 0,
            LaneOrder::Sjf | LaneOrder::Srtf => slot.remaining.0,
        };
        slot.queued = Some(key);
        let arrival = request.request().arrival;
        self.lanes[lane as usize].queue.push(Waiting { key, arrival, id });
    }

    /// Takes a request off its lane; returns the lane.
    fn unbind(&mut self, id: RequestId) -> Option<u32> {
        let slot = core::mem::replace(self.slots.get_mut(id.index())?, VACANT);
        let lane = self.lanes.get_mut(slot.lane as usize)?;
        lane.work -= slot.remaining;
        if lane.active == Some(id) {
            lane.active = None;
            lane.running = false;
        }
        Some(slot.lane)
    }

    /// The first waiting request of a lane that is still bound there, without taking it.
    fn front(&mut self, lane: u32) -> Option<Waiting> {
        let queue = &mut self.lanes[lane as usize].queue;
        loop {
            let first = *queue.peek()?;
            let slot = self.slots[first.id.index()];
            if slot.lane == lane && slot.queued == Some(first.key) {
                return Some(first);
            }
            queue.pop();
        }
    }

    /// The request that the idle lane runs next; it becomes the active one.
    fn next(&mut self, lane: u32, view: &View<'_>) -> Option<RequestId> {
        let active = self.lanes[lane as usize].active;
        if active.is_some() && self.order != LaneOrder::Srtf {
            return active;
        }
        let Some(first) = self.front(lane) else { return active };
        if let Some(active) = active {
            if self.slots[active.index()].remaining.0 <= first.key {
                return Some(active);
            }
            if let Some(request) = view.request(active) {
                self.enqueue(&request, lane);
            }
        }
        let state = &mut self.lanes[lane as usize];
        state.queue.pop();
        state.active = Some(first.id);
        self.slots[first.id.index()].queued = None;
        Some(first.id)
    }

    /// Starts what the lane runs next; true if the lane is to be looked at again.
    fn serve(&mut self, lane: u32, view: &View<'_>, plan: &mut Plan<'_>) -> bool {
        let state = &self.lanes[lane as usize];
        if state.running {
            return self.run_ahead && self.queue_ahead(lane, view, plan);
        }
        if !state.up {
            return false;
        }
        let Some(id) = self.next(lane, view) else { return false };
        let Some(request) = view.request(id) else { return false };
        let Some(parallelism) = self.parallelism(&request) else { return false };
        let Some(grant) = plan.take_exact(&self.lanes[lane as usize].ranks) else { return true };
        if !plan.run(id, grant, parallelism) {
            plan.shed(id);
            return true;
        }
        self.lanes[lane as usize].running = true;
        if self.run_ahead {
            // Credit is there only once the task is in flight.
            plan.wake_at(view.now() + Nanos(1));
        }
        self.run_ahead
    }

    /// Queues the active request's next task behind the one in flight, if credit is left; true while
    /// its inputs are still on their way.
    fn queue_ahead(&self, lane: u32, view: &View<'_>, plan: &mut Plan<'_>) -> bool {
        let active = self.lanes[lane as usize].active;
        let Some(request) = active.and_then(|id| view.request(id)) else { return false };
        if request.in_flight() > 1 || request.next_stage().is_none() {
            return false;
        }
        if plan.credit(request.id()) {
            let parallelism = self.parallelism(&request);
            return !parallelism.is_some_and(|p| plan.run_ahead(request.id(), p));
        }
        true
    }

    fn parallelism(&self, request: &RequestView<'_>) -> Option<Parallelism> {
        match request.next_stage()? {
            Stage::Denoise => Some(request.costs().step_entry(self.degree())?.parallelism),
            Stage::TextEncode | Stage::VaeDecode => Some(Parallelism::SINGLE),
        }
    }

    /// Binds every request of a lost lane that is not in flight elsewhere.
    fn evacuate(&mut self, lane: u32, view: &View<'_>) {
        let mut queue = core::mem::take(&mut self.lanes[lane as usize].queue);
        while let Some(waiting) = queue.pop() {
            let slot = self.slots[waiting.id.index()];
            if slot.lane == lane && slot.queued == Some(waiting.key) {
                self.rebind(waiting.id, view);
            }
        }
        let state = &self.lanes[lane as usize];
        if let Some(active) = state.active.filter(|_| !state.running) {
            self.rebind(active, view);
        }
    }

    fn rebind(&mut self, id: RequestId, view: &View<'_>) {
        self.unbind(id);
        if let Some(request) = view.request(id) {
            self.bind(&request);
        }
    }
}

impl Policy for Lanes {
    fn key(&self, _request: &RequestView<'_>) -> Option<Key> {
        None
    }

    fn admitted(&mut self, view: &View<'_>, id: RequestId) {
        if let Some(request) = view.request(id) {
            self.bind(&request);
        }
    }

    fn boundary(&mut self, view: &View<'_>, id: RequestId) {
        let Some(request) = view.request(id) else { return };
        let degree = self.degree();
        let Some(slot) = self.slots.get_mut(id.index()) else { return };
        let Some(lane) = self.lanes.get_mut(slot.lane as usize) else { return };
        let lost = !lane.up;
        let remaining = request.remaining(degree).unwrap_or(slot.remaining);
        lane.work = lane.work + remaining - slot.remaining;
        slot.remaining = remaining;
        lane.running = request.in_flight() > 0;
        let at = slot.lane;
        if lost && request.in_flight() == 0 {
            return self.rebind(id, view);
        }
        self.mark(at);
    }

    fn ended(&mut self, _view: &View<'_>, id: RequestId) {
        self.homeless.retain(|&waiting| waiting != id);
        if let Some(lane) = self.unbind(id) {
            self.mark(lane);
        }
    }

    fn world_changed(&mut self, view: &View<'_>) {
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            let up = lane.ranks.iter().all(|&rank| view.rank_up(rank));
            match (core::mem::replace(&mut lane.up, up), up) {
                (true, false) => self.evacuate(at as u32, view),
                (false, true) => self.mark(at as u32),
                _ => {}
            }
        }
        for id in core::mem::take(&mut self.homeless) {
            if let Some(request) = view.request(id) {
                self.bind(&request);
            }
        }
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        for id in self.infeasible.drain(..) {
            if view.request(id).is_some() {
                plan.shed(id);
            }
        }
        let mut kept = 0;
        for i in 0..self.dirty.len() {
            let lane = self.dirty[i];
            if self.serve(lane, view, plan) {
                self.dirty[kept] = lane;
                kept += 1;
            } else {
                self.lanes[lane as usize].dirty = false;
            }
        }
        self.dirty.truncate(kept);
    }

    fn prebuilt(&self) -> Vec<Group> {
        self.lanes.iter().map(|lane| lane.ranks.clone()).filter(|ranks| ranks.len() > 1).collect()
    }
}
