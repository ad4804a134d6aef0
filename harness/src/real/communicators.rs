//! Communicators as a driver's way between ranks: made at start-up or at a group's first task, and kept.
//!
//! Owns when a communicator is made, kept and thrown away. Invariant: members of a group agree on the number under which
//! they make one (that of the task), so a failure of one cannot make the others miss each other later.

use flexdit_baselines::communicator::{Communicator, Config, Joined, Store, StoreServer};
use flexdit_comm::{Collectives, CommError, DType};
use flexdit_core::{Group, Rank};
use flexdit_ranks::{Fabric, Groups};
use std::net::{AddrParseError, SocketAddr};
use std::sync::Arc;

/// Communicators over TCP: the loopback interface of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Communicators {
    /// Settings of every rank.
    pub config: Config,
}

impl Communicators {
    /// The store by which ranks that are processes find each other.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn serve() -> Result<StoreWorld, CommError> {
        allow_files();
        let server = Store::serve("127.0.0.1:0").map_err(|error| CommError::System {
            rank: Rank(0),
            doing: "listen for the ranks of the world".into(),
            message: error.to_string(),
        })?;
        Ok(StoreWorld(server))
    }

    /// One rank's communicators, by the address of the store.
    ///
    /// # Errors
    /// An address that is none, or what joining says.
    pub fn join(
        &self,
        address: &str,
        rank: Rank,
        world: u16,
    ) -> Result<Box<dyn Groups>, CommError> {
        allow_files();
        let address = address.parse().map_err(|error: AddrParseError| CommError::System {
            rank,
            doing: format!("connect to the store at `{address}`"),
            message: error.to_string(),
        })?;
        Ok(Box::new(self.on(address, rank, world, None)?))
    }

    fn on(
        &self,
        address: SocketAddr,
        rank: Rank,
        world: u16,
        server: Option<Arc<StoreWorld>>,
    ) -> Result<OnCommunicators, CommError> {
        let joined = Joined::new(rank, usize::from(world), address, self.config)?;
        Ok(OnCommunicators { joined, kept: Vec::new(), task: 0, _server: server })
    }
}

impl Fabric for Communicators {
    fn ranks(&self, world: u16) -> Result<Vec<Box<dyn Groups>>, CommError> {
        let server = Arc::new(Self::serve()?);
        let join = |rank: u16| {
            let kept = Some(Arc::clone(&server));
            let rank = self.on(server.0.address(), Rank(rank), world, kept)?;
            Ok(Box::new(rank) as Box<dyn Groups>)
        };
        (0..world).map(join).collect()
    }
}

/// Lets this process have as many open files as it may: every ordered group that was ever used keeps its sockets, one for each
/// pair of members and end.
fn allow_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Where the system refuses, what it grants is enough for most.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// The store of a world of communicators. Connections tell members of those that are gone.
#[derive(Debug)]
pub struct StoreWorld(StoreServer);

#[cfg(target_os = "linux")]
impl flexdit_ranks::process::World for StoreWorld {
    fn open(&self) -> Result<String, CommError> {
        Ok(self.0.address().to_string())
    }

    fn lost(&self, rank: Rank) {
        // A store that does not answer answers nobody who waits for that rank either.
        let _ = self.0.refuse_all(rank);
    }
}

/// One rank with the communicators that it is in.
struct OnCommunicators {
    joined: Joined,
    /// In the order in which they were made.
    kept: Vec<Communicator>,
    /// Number of the task it is in; 0 before the first.
    task: u64,
    /// Lives as long as a rank that is a thread does.
    _server: Option<Arc<StoreWorld>>,
}

impl OnCommunicators {
    fn place(&self, group: &Group) -> Option<usize> {
        self.kept.iter().position(|kept| kept.membership().group() == group)
    }
}

impl Drop for OnCommunicators {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Its thread dies: peers that wait for it at the store are told by nobody else.
            let _ = self.joined.refuse_all();
        }
    }
}

impl Groups for OnCommunicators {
    fn prebuild(&mut self, groups: &[Group]) -> Result<(), CommError> {
        let own = self.joined.rank();
        for group in groups.iter().filter(|group| group.contains(&own)) {
            if self.place(group).is_none() {
                self.kept.push(self.joined.create_as(group, 0)?);
            }
        }
        Ok(())
    }

    fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        self.task = sequence;
        Ok(())
    }

    fn on<'a>(&'a mut self, group: &Group) -> Result<Box<dyn Collectives + 'a>, CommError> {
        let place = match self.place(group) {
            Some(place) => place,
            None => {
                self.kept.push(self.joined.create_as(group, self.task)?);
                self.kept.len() - 1
            }
        };
        Ok(Box::new(Lent(&mut self.kept[place])))
    }

    fn give_up(&mut self, group: &Group) {
        let inside = |kept: &Communicator| is_within(kept.membership().group(), group);
        // Closed connections are what peers notice; those who have yet to connect hear it from the store.
        self.kept.retain(|kept| !inside(kept));
        // Who waits for this rank in vain gets a time-out, should the store be gone as well.
        let _ = self.joined.refuse(self.task);
    }

    fn reset(&mut self, group: &Group) -> Result<(), CommError> {
        // All members do the same, so their next task makes new ones.
        self.kept.retain(|kept| !is_within(kept.membership().group(), group));
        Ok(())
    }
}

fn is_within(inner: &Group, outer: &Group) -> bool {
    inner.iter().all(|rank| outer.contains(rank))
}

/// A kept communicator, for one task.
struct Lent<'a>(&'a mut Communicator);

impl Collectives for Lent<'_> {
    fn index(&self) -> usize {
        self.0.index()
    }

    fn degree(&self) -> usize {
        self.0.degree()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        self.0.barrier()
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        self.0.broadcast(root, data)
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        self.0.all_gather_ragged(mine, counts, all)
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError> {
        self.0.all_to_all_ragged(send, send_counts, receive, receive_counts)
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        self.0.ring_shift(by, send, receive)
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        self.0.reduce_scatter(dtype, send, receive)
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        self.0.all_reduce(dtype, data)
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        self.0.put(to, data)
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        self.0.get(from, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    fn group(ranks: &[u16]) -> Group {
        ranks.iter().copied().map(Rank).collect()
    }

    /// Two ranks, each in its thread.
    fn with_two<T: Send>(body: impl Fn(u16, &mut dyn Groups) -> T + Sync) -> Vec<T> {
        let ranks = Communicators::default().ranks(2).expect("a world");
        std::thread::scope(|scope| {
            let body = &body;
            let spawn = |(at, mut groups): (usize, Box<dyn Groups>)| {
                scope.spawn(move || body(at as u16, &mut *groups))
            };
            let threads: Vec<_> = ranks.into_iter().enumerate().map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    }

    fn exchange(groups: &mut dyn Groups, rank: u16, of: &Group) -> Result<[u8; 2], CommError> {
        let mut all = [9; 2];
        groups.on(of)?.all_gather(&[rank as u8], &mut all)?;
        Ok(all)
    }

    #[test]
    fn groups_are_made_at_start_up_or_on_demand_and_kept() {
        let found = with_two(|rank, groups| {
            let pair = group(&[0, 1]);
            groups.prebuild(std::slice::from_ref(&pair))?;
            groups.begin(1)?;
            let first = exchange(groups, rank, &pair)?;
            groups.begin(2)?;
            // Another order is another group.
            Ok::<_, CommError>([first, exchange(groups, rank, &group(&[1, 0]))?])
        });
        assert!(found.iter().all(|each| *each == Ok([[0, 1], [1, 0]])), "{found:?}");
    }

    #[cfg(unix)]
    #[test]
    fn groups_may_have_as_many_sockets_as_the_system_allows() {
        use rustix::process::{Resource, getrlimit};
        let _world = Communicators::serve().expect("a world");
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn a_rank_that_dies_before_a_group_is_formed_is_noticed() {
        let mut ranks = Communicators::default().ranks(2).expect("a world");
        let (gone, mut left) = (ranks.pop(), ranks.pop().expect("a rank"));
        let dies = move || {
            let _gone = gone;
            resume_unwind(Box::new("as a lost thread does"))
        };
        let died: Result<(), _> = catch_unwind(AssertUnwindSafe(dies));
        assert!(died.is_err());
        left.begin(7).expect("a number");
        let formed = left.on(&group(&[0, 1])).map(drop);
        let gone = matches!(formed, Err(CommError::PeerLost { peer: Rank(1), .. }));
        assert!(gone, "{formed:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_is_gone_before_a_group_is_formed_is_noticed() {
        use flexdit_ranks::process::World as _;
        let world = Communicators::serve().expect("a world");
        let address = world.open().expect("it is there");
        let mut left = Communicators::default().join(&address, Rank(0), 2).expect("a rank");
        world.lost(Rank(1));
        left.begin(7).expect("a number");
        let formed = left.on(&group(&[1, 0])).map(drop);
        let gone = matches!(formed, Err(CommError::PeerLost { peer: Rank(1), .. }));
        assert!(gone, "{formed:?}");
    }

    #[test]
    fn a_member_that_gives_up_is_noticed_and_a_reset_mends_the_group() {
        let found = with_two(|rank, groups| {
            let pair = group(&[0, 1]);
            groups.begin(7)?;
            if rank == 0 {
                groups.give_up(&pair);
            } else {
                exchange(groups, rank, &pair).expect_err("its peer does not come");
            }
            groups.reset(&pair)?;
            groups.begin(8)?;
            exchange(groups, rank, &pair)
        });
        assert!(found.iter().all(|each| *each == Ok([0, 1])), "{found:?}");
    }
}
