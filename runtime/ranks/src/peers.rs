//! The other ranks of a task, whoever carries the messages: group-free lanes here, communicators behind the same trait.
//!
//! Owns the seam between workers and collectives. Invariant: every member of a group forms it in the same task.

use crate::clock::Clock;
use flexdit_comm::{Collectives, CommError, Endpoint, Membership, WorldConfig, transport::thread};
use flexdit_core::{Group, Nanos, Rank};

/// Ends what computes elsewhere for a rank. Called from any thread, at any time.
pub type Ender = Box<dyn Fn() + Send + Sync>;

/// One rank's way to its peers.
pub trait Groups: Send {
    /// Makes groups that exist before the first request. All ranks get the same list and skip those they are not in.
    ///
    /// # Errors
    /// If a member does not come.
    fn prebuild(&mut self, _groups: &[Group]) -> Result<(), CommError> {
        Ok(())
    }

    /// Enters the task with this global sequence number.
    ///
    /// # Errors
    /// If the number is not above the last one.
    fn begin(&mut self, sequence: u64) -> Result<(), CommError>;

    /// The collectives of an ordered group that this rank is in; forming it may cost.
    ///
    /// # Errors
    /// If it cannot be formed.
    fn on<'a>(&'a mut self, group: &Group) -> Result<Box<dyn Collectives + 'a>, CommError>;

    /// This rank gives up its task: members of the group that wait for it get an error soon.
    fn give_up(&mut self, group: &Group);

    /// Whether nobody outside these ranks may still read what this one sent. Asked before a reset, again and again for a
    /// while.
    fn can_reset(&mut self, _group: &Group) -> bool {
        true
    }

    /// Makes collectives among these ranks usable again after any of them failed; all of them call it.
    ///
    /// # Errors
    /// If a member does not come.
    fn reset(&mut self, group: &Group) -> Result<(), CommError>;

    /// Where a rank that does not compute on this thread does: its core, or why it keeps to none.
    fn pinned(&self) -> Option<Result<usize, String>> {
        None
    }

    /// Calls `lost` if the rank ends by itself, also while nothing is asked of it.
    fn watch(&mut self, _lost: Box<dyn FnOnce() + Send>) {}

    /// Whether the rank has ended by itself, so that nothing can be asked of it.
    fn is_lost(&self) -> bool {
        false
    }

    /// What ends whatever computes elsewhere for the rank, should it hang: then it ends by itself. `None` if nothing does.
    fn ender(&self) -> Option<Ender> {
        None
    }

    /// The rank is to be lost: ends whatever computes elsewhere for it.
    fn lose(&mut self) {}
}

/// Makes every rank's way to its peers, before the ranks start.
pub trait Fabric {
    /// One for each rank, in order.
    ///
    /// # Errors
    /// If the world cannot be made.
    fn ranks(&self, world: u16) -> Result<Vec<Box<dyn Groups>>, CommError>;
}

/// Group-free collectives over threads: a group is a value, formed locally.
#[derive(Clone, Debug, Default)]
pub struct GroupFree {
    /// Settings of the world; `None` takes the defaults for its ranks.
    pub config: Option<WorldConfig>,
}

impl GroupFree {
    /// The settings of a world.
    pub(crate) fn config(&self, world: u16) -> WorldConfig {
        let ranks = usize::from(world);
        match &self.config {
            Some(config) => WorldConfig { ranks, ..config.clone() },
            // Tasks need one lane: migration reads its sources' memory.
            None => WorldConfig { lanes: 1, ..WorldConfig::new(ranks) },
        }
    }
}

impl Fabric for GroupFree {
    fn ranks(&self, world: u16) -> Result<Vec<Box<dyn Groups>>, CommError> {
        let endpoints = thread::world(&self.config(world))?;
        let lane = |endpoint| Box::new(OnLane::new(endpoint)) as Box<dyn Groups>;
        Ok(endpoints.into_iter().map(lane).collect())
    }
}

/// A rank's first lane.
#[derive(Debug)]
pub(crate) struct OnLane {
    endpoint: Endpoint,
    /// The group in use.
    member: Option<Membership>,
}

impl OnLane {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, member: None }
    }

    fn member(&self, group: &Group) -> Result<Membership, CommError> {
        Membership::new(group, self.endpoint.rank(), self.endpoint.config().ranks)
    }
}

impl Groups for OnLane {
    fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        self.endpoint.lane(0).begin(sequence)
    }

    fn on<'a>(&'a mut self, group: &Group) -> Result<Box<dyn Collectives + 'a>, CommError> {
        let member = self.member(group)?;
        let member = self.member.insert(member);
        Ok(Box::new(self.endpoint.lane(0).on(member)))
    }

    fn give_up(&mut self, group: &Group) {
        if let Ok(member) = self.member(group) {
            self.endpoint.lane(0).give_up(&member);
        }
    }

    fn can_reset(&mut self, group: &Group) -> bool {
        let member = self.member(group);
        member.is_ok_and(|member| self.endpoint.lane(0).can_reset(&member))
    }

    fn reset(&mut self, group: &Group) -> Result<(), CommError> {
        let member = self.member(group)?;
        self.endpoint.lane(0).reset(&member)
    }
}

/// The computing ranks of one task, as one of them sees them.
pub struct Peers<'a> {
    groups: &'a mut dyn Groups,
    active: Group,
    rank: Rank,
    clock: Clock,
    setup: Nanos,
}

impl<'a> Peers<'a> {
    pub(crate) fn new(
        groups: &'a mut dyn Groups,
        active: &[Rank],
        rank: Rank,
        clock: Clock,
    ) -> Self {
        Self { groups, active: active.into(), rank, clock, setup: Nanos::ZERO }
    }

    /// This rank.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// The computing ranks in order.
    pub fn active(&self) -> &Group {
        &self.active
    }

    /// Time spent on forming groups so far.
    pub fn setup(&self) -> Nanos {
        self.setup
    }

    /// Counts time that the rank's process spent on forming groups.
    #[cfg(target_os = "linux")]
    pub(crate) fn add_setup(&mut self, time: Nanos) {
        self.setup += time;
    }

    /// Collectives of all computing ranks.
    ///
    /// # Errors
    /// If the group cannot be formed.
    pub fn all(&mut self) -> Result<Box<dyn Collectives + '_>, CommError> {
        let before = self.clock.now();
        let result = self.groups.on(&self.active);
        self.setup += self.clock.now() - before;
        result
    }

    /// Collectives of the computing ranks at these places, in this order; this rank's is among them.
    ///
    /// # Errors
    /// If the group cannot be formed.
    pub fn among(&mut self, places: &[usize]) -> Result<Box<dyn Collectives + '_>, CommError> {
        let before = self.clock.now();
        let group: Group = places.iter().map(|place| self.active[*place]).collect();
        let result = self.groups.on(&group);
        self.setup += self.clock.now() - before;
        result
    }
}
