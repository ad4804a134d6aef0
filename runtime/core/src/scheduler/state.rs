//! The scheduler's book of live requests.

use super::cursor::Cursor;
use super::phase::{Input, Phase};
use super::policy::Key;
use super::ranks::Ranks;
use crate::cost::{DegreeCost, ShapeCosts};
use crate::event::FailReason;
use crate::group::Group;
use crate::ids::{RequestId, TaskId, TransferId};
use crate::migration::Located;
use crate::parallelism::Parallelism;
use crate::request::{Request, Shape};
use crate::task::Stage;
use crate::units::Nanos;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::Cell;
use smallvec::SmallVec;

/// A task that was launched and not yet reported by every rank of its group.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) task: TaskId,
    /// Ranks that have not reported.
    pub(super) left: u16,
    pub(super) failed: Option<FailReason>,
    /// Version that it leaves.
    pub(super) output: u32,
    pub(super) stage: Stage,
    pub(super) steps: u32,
    pub(super) parallelism: Parallelism,
}

/// A transfer that was issued and not yet acknowledged.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) transfer: TransferId,
    /// Where the state will be.
    pub(super) to: Located,
}

/// A live request.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) request: Request,
    /// Index into [`State::shapes`].
    pub(super) shape: u32,
    pub(super) phase: Phase,
    /// Its key in the ready queue while it is there.
    pub(super) key: Option<Key>,
    /// Next task by what is finished.
    pub(super) done: Cursor,
    /// Next task by what is launched; ahead of `done` by the tasks in flight.
    pub(super) issued: Cursor,
    /// Version of its state by what is finished.
    pub(super) version: u32,
    /// The version that its last text encoding left: where it begins again when all else is lost.
    pub(super) encoded: u32,
    /// The last version that a launched task was told to make. It only grows: what runs again after a loss
    /// has other content than what was lost, so it never has its name.
    pub(super) named: u32,
    /// Group of its last launch; empty before.
    pub(super) group: Group,
    /// Total degree of its last denoise task; 0 before.
    pub(super) degree: u16,
    /// Where its state is; `None` before its first task ended.
    pub(super) located: Option<Located>,
    pub(super) moving: Option<Moving>,
    pub(super) in_flight: SmallVec<[InFlight; 2]>,
    /// Set when a rank took the state with it: where to start again at the next boundary.
    pub(super) lost: bool,
    /// Ranks that went down while something was in flight: what they held is lost, even if they are
    /// back since.
    pub(super) gone: Group,
    pub(super) retries: u8,
    pub(super) chunk_steps: u32,
    pub(super) admitted_at: Nanos,
    /// Number of the decision in which a plan last ran it.
    pub(super) planned: Cell<u64>,
}

impl Live {
    /// Drops the embeddings that went down with ranks. Once nothing is in flight, those ranks, back up,
    /// may hold new ones.
    pub(super) fn forget_gone(&mut self) {
        if self.gone.is_empty() {
            return;
        }
        if let Some(place) = &mut self.located {
            let gone = &self.gone;
            let kept = place.embeddings.iter().copied().filter(|rank| !gone.contains(rank));
            place.embeddings = kept.collect();
        }
        if self.in_flight.is_empty() {
            self.gone = Group::default();
        }
    }

    /// Moves to the next phase.
    ///
    /// # Panics
    /// If the table forbids it: a broken caller.
    pub(super) fn change(&mut self, input: Input) {
        let Some(after) = self.phase.after(input) else {
            panic!("{} cannot take {input:?} while {:?}", self.request.id, self.phase);
        };
        self.phase = after;
    }
}

/// Everything the scheduler knows; policies see it through [`super::View`].
#[derive(Debug)]
pub(super) struct State {
    pub(super) ranks: Ranks,
    pub(super) shapes: Vec<ShapeCosts>,
    shape_index: BTreeMap<Shape, u32>,
    slots: Vec<Option<Live>>,
    vacant: Vec<u32>,
    /// Slot by request ordinal; `u32::MAX` when not live.
    slot_of: Vec<u32>,
    pub(super) ready: BTreeSet<(Key, RequestId, u32)>,
    pub(super) live: u64,
    pub(super) credits: u8,
    pub(super) decision: u64,
}

const NO_SLOT: u32 = u32::MAX;

impl State {
    pub(super) fn new(world: u16, credits: u8) -> Self {
        Self {
            ranks: Ranks::new(world),
            shapes: Vec::new(),
            shape_index: BTreeMap::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            slot_of: Vec::new(),
            ready: BTreeSet::new(),
            live: 0,
            credits,
            decision: 0,
        }
    }

    /// The index of the shape's costs, asking `estimate` the first time.
    pub(super) fn shape(&mut self, shape: &Shape, estimate: impl FnOnce() -> ShapeCosts) -> u32 {
        if let Some(&index) = self.shape_index.get(shape) {
            return index;
        }
        let index = self.shapes.len() as u32;
        self.shapes.push(estimate());
        self.shape_index.insert(*shape, index);
        index
    }

    /// Admits a request and returns its slot.
    ///
    /// # Panics
    /// If a request of that ordinal is live.
    pub(super) fn admit(&mut self, request: Request, shape: u32, now: Nanos) -> u32 {
        let live = Live {
            request,
            shape,
            phase: Phase::Ready,
            key: None,
            done: Cursor::START,
            issued: Cursor::START,
            version: 0,
            encoded: 0,
            named: 0,
            group: Group::default(),
            degree: 0,
            located: None,
            moving: None,
            in_flight: SmallVec::new(),
            lost: false,
            gone: Group::default(),
            retries: 0,
            chunk_steps: request.chunk_steps,
            admitted_at: now,
            planned: Cell::new(u64::MAX),
        };
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(live);
        let ordinal = request.id.index();
        if ordinal >= self.slot_of.len() {
            self.slot_of.resize(ordinal + 1, NO_SLOT);
        }
        assert_eq!(self.slot_of[ordinal], NO_SLOT, "{} arrived twice", request.id);
        self.slot_of[ordinal] = slot;
        self.live += 1;
        slot
    }

    /// Forgets an ended request.
    pub(super) fn remove(&mut self, slot: u32) -> Live {
        let live = self.slots[slot as usize].take().expect("an ended request has a slot");
        self.slot_of[live.request.id.index()] = NO_SLOT;
        self.vacant.push(slot);
        self.live -= 1;
        live
    }

    pub(super) fn slot(&self, id: RequestId) -> Option<u32> {
        self.slot_of.get(id.index()).copied().filter(|&slot| slot != NO_SLOT)
    }

    pub(super) fn get(&self, slot: u32) -> &Live {
        self.slots[slot as usize].as_ref().expect("a slot in use holds a request")
    }

    /// The request in a slot, if it has not ended.
    pub(super) fn try_get(&self, slot: u32) -> Option<&Live> {
        self.slots[slot as usize].as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Live {
        self.slots[slot as usize].as_mut().expect("a slot in use holds a request")
    }

    pub(super) fn costs(&self, live: &Live) -> &ShapeCosts {
        &self.shapes[live.shape as usize]
    }

    /// Slots in use, ascending.
    pub(super) fn live_slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().enumerate().filter(|(_, live)| live.is_some()).map(|(i, _)| i as u32)
    }

    /// Estimated time of a task of `stage` with `steps` steps, or `None` when that layout is not feasible.
    pub(super) fn task_time(
        &self,
        live: &Live,
        stage: Stage,
        steps: u32,
        parallelism: Parallelism,
    ) -> Option<Nanos> {
        let costs = self.costs(live);
        let degree = parallelism.degree();
        let find = |entries: &[DegreeCost]| {
            entries
                .iter()
                .find(|e| e.degree == degree && e.parallelism == parallelism)
                .map(|e| e.time)
        };
        match stage {
            Stage::TextEncode => costs.encode.filter(|_| parallelism == Parallelism::SINGLE),
            Stage::Denoise => find(&costs.steps).map(|time| time * u64::from(steps)),
            Stage::VaeDecode => find(&costs.decodes),
        }
    }
}
