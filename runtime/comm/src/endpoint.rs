//! What a rank holds of the world: its lanes, and a handle by which others can make it give up.

use crate::config::WorldConfig;
use crate::error::CommError;
use crate::graph;
use crate::group_free::GroupFree;
use crate::heap::{Arena, HeapBuffer};
use crate::lane::LaneOf;
use crate::mapped::Mapped;
use crate::membership::Membership;
use crate::memory::{Memory, RankState, Signal};
use crate::rules::Sound;
use flexdit_core::{Group, Rank};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whatever a transport keeps as long as a rank takes part.
pub(crate) type Link = Box<dyn Any + Send + Sync>;

/// A rank's presence: while one of these lives, the rank takes part.
struct Presence {
    memory: Arc<Mapped>,
    rank: Rank,
    lanes: usize,
    /// What ties the rank to others by means of the operating system; let go of after the rank has left.
    _link: Option<Link>,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presence({})", self.rank)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let lost = std::thread::panicking();
        let state = if lost { RankState::Lost } else { RankState::Closed };
        self.memory.set_state(self.rank, state, self.lanes);
    }
}

/// One rank's end of a world. Dropping it, and all lanes taken from it, leaves the world; a panic loses the rank.
#[derive(Debug)]
pub struct Endpoint {
    lanes: Vec<Lane>,
    arena: Arena,
    aborter: Aborter,
    config: Arc<WorldConfig>,
}

impl Endpoint {
    /// Rank `rank` of the world in `memory`, from now on alive.
    pub(crate) fn join(
        memory: Arc<Mapped>,
        rank: Rank,
        config: &Arc<WorldConfig>,
        link: Option<Link>,
    ) -> Self {
        let lanes = config.lanes;
        memory.write_header(rank, config, std::process::id());
        memory.set_state(rank, RankState::Alive, lanes);
        let presence = Arc::new(Presence { memory: Arc::clone(&memory), rank, lanes, _link: link });
        let lane = |lane| Lane {
            inner: LaneOf::new(Arc::clone(&memory), rank, lane, Arc::clone(config), 0),
            presence: Arc::clone(&presence),
            apart: false,
        };
        Self {
            lanes: (0..lanes).map(lane).collect(),
            arena: Arena::new(Arc::clone(&memory), rank),
            aborter: Aborter { memory, rank },
            config: Arc::clone(config),
        }
    }

    /// This rank.
    pub fn rank(&self) -> Rank {
        self.aborter.rank
    }

    /// The settings of the world.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// A lane, for one thread at a time.
    ///
    /// # Panics
    ///
    /// If there is no such lane, or the lanes were taken.
    pub fn lane(&mut self, lane: usize) -> &mut Lane {
        &mut self.lanes[lane]
    }

    /// Takes the lanes, to use them on several threads.
    ///
    /// A thread that panics while it holds one gives that lane up; the rank itself is lost with the last of them.
    pub fn take_lanes(&mut self) -> Vec<Lane> {
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.iter_mut().for_each(|lane| lane.apart = true);
        lanes
    }

    /// Zeroed bytes in this rank's heap, which peers read without a copy in between.
    ///
    /// # Errors
    ///
    /// [`CommError::BadWorld`] if the arena has no such room left.
    pub fn allocate(&self, bytes: usize) -> Result<HeapBuffer, CommError> {
        self.arena.allocate(bytes)
    }

    /// A handle with which any thread makes this rank give up what it waits for.
    pub fn aborter(&self) -> Aborter {
        self.aborter.clone()
    }
}

/// Makes a rank give up.
#[derive(Clone, Debug)]
pub struct Aborter {
    memory: Arc<Mapped>,
    rank: Rank,
}

impl Aborter {
    /// Makes the rank's current or next operation on `lane` fail, unless all that it waits for is there.
    pub fn abort(&self, lane: usize) {
        self.memory.signal(self.rank, lane, Signal::Asked).store(1, Ordering::Release);
        self.memory.fence();
        self.memory.ring(self.rank, lane);
    }
}

/// One ordering domain of a rank: operations on it happen one after the other, in the order of their tasks.
///
/// ```
/// use flexdit_comm::{Collectives as _, Membership, WorldConfig, transport::thread};
/// use flexdit_core::{Group, Rank};
///
/// let group: Group = [Rank(1), Rank(0)].into_iter().collect();
/// std::thread::scope(|scope| {
///     for mut endpoint in thread::world(&WorldConfig::new(2)).expect("a world") {
///         let group = &group;
///         scope.spawn(move || {
///             let member = Membership::new(group, endpoint.rank(), 2)?;
///             let lane = endpoint.lane(0);
///             lane.begin(1)?;
///             let (mine, mut all) = ([member.index() as u8], [0; 2]);
///             lane.on(&member).all_gather(&mine, &mut all)?;
///             assert_eq!(all, [0, 1]);
///             Ok::<(), flexdit_comm::CommError>(())
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct Lane {
    inner: LaneOf<Mapped, Sound>,
    presence: Arc<Presence>,
    /// Taken from its endpoint: a panic of its thread need not lose the rank.
    apart: bool,
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The last one loses the rank, which says more.
        if self.apart && std::thread::panicking() && Arc::strong_count(&self.presence) > 1 {
            self.inner.abandon();
        }
    }
}

impl Lane {
    /// This rank.
    pub fn rank(&self) -> Rank {
        self.inner.me
    }

    /// Which of the rank's lanes this is.
    pub fn index(&self) -> usize {
        self.inner.lane
    }

    /// This rank's place in a group of this world.
    ///
    /// # Errors
    ///
    /// As [`Membership::new`].
    pub fn member(&self, group: &Group) -> Result<Membership, CommError> {
        Membership::new(group, self.inner.me, self.inner.config.ranks)
    }

    /// Enters the task with the given global sequence number, at least 1.
    ///
    /// # Errors
    ///
    /// [`CommError::OutOfOrder`] if the number is not above the last one.
    pub fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        self.inner.begin(sequence)
    }

    /// The collectives of a group. Every member calls the same operations in the same task.
    pub fn on<'a>(&'a mut self, member: &'a Membership) -> GroupFree<'a> {
        GroupFree::new(&mut self.inner, member)
    }

    /// The ranks that have not left the world, in order: of whom groups can be formed.
    pub fn present(&self) -> Group {
        let all = u64::MAX >> (Group::MAX - self.inner.config.ranks);
        graph::ranks(all & !self.inner.gone())
    }

    /// Gives up the task that this rank is in with the other members: poisons the lane, as a failed operation would, so that
    /// whoever waits for this rank gets an error soon. Does nothing if the lane has failed already.
    pub fn give_up(&mut self, member: &Membership) {
        self.inner.give_up(member);
    }

    /// Whether an operation failed and the lane was not reset since.
    pub fn is_poisoned(&self) -> bool {
        self.inner.is_poisoned()
    }

    /// Whether [`reset`](Self::reset) of this group would leave out nobody who may still read what this rank sent. Readers
    /// that are merely slow are done soon.
    pub fn can_reset(&mut self, member: &Membership) -> bool {
        self.inner.check_readers(member).is_ok()
    }

    /// Agrees new message counts with the other members and makes a failed lane usable again; collective.
    ///
    /// Members are the ranks that stay, and all give the same group. A rank that failed with another keeps refusing operations with it until
    /// both take part in one reset. Healthy ranks may take part.
    ///
    /// # Errors
    ///
    /// [`CommError::BadGroup`] if a living rank that may still read this rank's window is left out;
    /// [`CommError::Timeout`] or [`CommError::PeerLost`] if a member does not come, after which the lane has failed.
    pub fn reset(&mut self, member: &Membership) -> Result<(), CommError> {
        self.inner.reset(member)
    }
}
