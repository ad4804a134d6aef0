//! A rank that has joined: its listener, its line to the store, and the creation of communicators.
//!
//! A creation costs every member one message to the store and one back, whatever the degree: the request carries the own
//! address (and the first member's the id) and asks for everybody's; the answer comes when all have asked.
//! Then the connections, and a barrier.
//!
//! Invariant: [`Joined::create`] returns when every member has connected to every other, or with a typed error.

use super::mesh::{self, Id};
use super::progress::Fault;
use super::{Communicator, Config, Store, StoreError, describe};
use flexdit_comm::{Collectives, CommError, Membership, Op};
use flexdit_core::{Group, Rank};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// One rank of a world whose ranks meet at a [`Store`]. Threads and processes alike.
#[derive(Debug)]
pub struct Joined {
    rank: Rank,
    world: usize,
    config: Config,
    store: Arc<Store>,
    listener: TcpListener,
    address: SocketAddr,
    /// How many communicators were created over each ordered group, by its key. The members agree in it.
    created: BTreeMap<u64, u64>,
    /// Says apart what this and any other rank ever makes.
    random: RandomState,
    /// What this rank wrote into the store when it joined.
    ticket: String,
}

impl Joined {
    /// Joins as `rank` of `world` ranks. Contacts the store, and no other rank.
    ///
    /// The rank listens on the address by which the store sees it, on a port that the system chooses.
    ///
    /// # Errors
    ///
    /// [`CommError::BadWorld`] if the rank is outside the world, is taken, or others joined a world of another
    /// size; [`CommError::System`] if the store cannot be reached or the system refuses to listen.
    pub fn new(
        rank: Rank,
        world: usize,
        store: SocketAddr,
        config: Config,
    ) -> Result<Self, CommError> {
        if rank.index() >= world || world > Group::MAX {
            let most = Group::MAX;
            let why = format!("{rank} is not in a world of {world} ranks, of at most {most}");
            return Err(CommError::BadWorld(why));
        }
        let failed = |error| system(rank, &error);
        let store = Store::connect(store, config.timeout).map_err(failed)?;
        let random = RandomState::new();
        let ticket = format!("rank/{}", rank.0);
        let size = store.claim("world", world.to_string().as_bytes()).map_err(failed)?;
        if size != world.to_string().as_bytes() {
            let size = String::from_utf8_lossy(&size);
            let why = format!("{rank} joins {world} ranks where others joined {size}");
            return Err(CommError::BadWorld(why));
        }
        let mine = random.hash_one(&ticket).to_le_bytes();
        if store.claim(&ticket, &mine).map_err(failed)? != mine {
            return Err(CommError::BadWorld(format!("{rank} has joined before")));
        }
        let own = store.own_address().map_err(failed)?;
        let listen = || {
            let listener = TcpListener::bind(own)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(|error: std::io::Error| CommError::System {
            rank,
            doing: "listen for peers".into(),
            message: error.to_string(),
        })?;
        let (store, created) = (Arc::new(store), BTreeMap::new());
        Ok(Self { rank, world, config, store, listener, address, created, random, ticket })
    }

    /// This rank.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// Number of ranks of the world.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Where this rank listens for its peers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This rank's line to the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Creates a communicator over an ordered group. Every member calls it, with groups that they share in the same
    /// order; others are not involved. A group of one contacts nobody.
    ///
    /// # Errors
    ///
    /// [`CommError::BadGroup`] before anything is sent; [`CommError::Timeout`] with the ranks that did not come;
    /// [`CommError::PeerLost`] if one that came is gone; [`CommError::System`].
    pub fn create(&mut self, group: &Group) -> Result<Communicator, CommError> {
        let membership = Membership::new(group, self.rank, self.world)?;
        let nth = self.created.entry(membership.key()).or_default();
        *nth += 1;
        let prefix = format!("group/{:016x}/{nth}", membership.key());
        self.create_under(&prefix, membership)
    }

    /// As [`Joined::create`], for members that agree on a number which they use once for this group: what one of them
    /// did or failed to do before cannot make them miss each other.
    ///
    /// # Errors
    ///
    /// As [`Joined::create`]; [`CommError::PeerLost`] also if a member has [refused](Joined::refuse).
    pub fn create_as(&mut self, group: &Group, number: u64) -> Result<Communicator, CommError> {
        let membership = Membership::new(group, self.rank, self.world)?;
        let prefix = numbered(&membership, number);
        self.create_under(&prefix, membership)
    }

    /// Lets members that are, or will be, in [`Joined::create_as`] with this number, and any group that this rank is in, know that
    /// it does not come.
    ///
    /// # Errors
    ///
    /// [`CommError::System`] if the store cannot be reached.
    pub fn refuse(&self, number: u64) -> Result<(), CommError> {
        let prefix = format!("as/{number}");
        let endings = [address_key(&prefix, self.rank), id_key(&prefix, self.rank)];
        self.store.refuse(&endings).map_err(|error| system(self.rank, &error))
    }

    /// Lets whoever waits for this rank in a creation, or ever will, know that it does not come: it is lost.
    ///
    /// # Errors
    ///
    /// [`CommError::System`] if the store cannot be reached.
    pub fn refuse_all(&self) -> Result<(), CommError> {
        self.store.refuse(&endings_of(self.rank)).map_err(|error| system(self.rank, &error))
    }

    fn create_under(
        &mut self,
        prefix: &str,
        membership: Membership,
    ) -> Result<Communicator, CommError> {
        let (own, degree) = (membership.index(), membership.degree());
        let mut keys = Vec::new();
        let mut links = vec![None];
        if degree > 1 {
            let members = membership.group().iter();
            keys.extend(members.map(|member| address_key(prefix, *member)));
            keys.push(id_key(prefix, membership.rank_at(0)));
            let (id, addresses) = self.meet(&membership, &keys)?;
            let Config { timeout, spins, .. } = self.config;
            links = mesh::connect_all(id, own, &addresses, &self.listener, timeout, spins)
                .map_err(|fault| describe(&membership, Op::Barrier, 0, 0, fault))?;
        }
        let buffer_bytes = self.config.buffer_bytes.next_multiple_of(4).max(4);
        let mut communicator = Communicator {
            links,
            config: Config { buffer_bytes, ..self.config },
            sequence: 0,
            puts: vec![0; degree],
            gets: vec![0; degree],
            poisoned: false,
            parts: Vec::with_capacity(if degree > 1 { buffer_bytes * degree } else { 0 }),
            sums: Vec::with_capacity(if degree > 1 { buffer_bytes / 2 } else { 0 }),
            store: Arc::clone(&self.store),
            keys,
            membership,
        };
        communicator.barrier()?;
        Ok(communicator)
    }

    /// Tells the store the own address, and learns the id and all addresses.
    fn meet(
        &self,
        membership: &Membership,
        keys: &[String],
    ) -> Result<(Id, Vec<SocketAddr>), CommError> {
        let (own, degree) = (membership.index(), membership.degree());
        let address = self.address.to_string();
        let (addresses, id) = keys.split_at(degree);
        let new = self.id(keys);
        let mine = (addresses[own].as_str(), address.as_bytes());
        let values = [mine, (id[0].as_str(), &new[..])];
        let values = if own == 0 { &values[..] } else { &values[..1] };
        let answer = match self.store.set_and_get(values, keys) {
            Ok(answer) => answer,
            Err(StoreError::TimedOut(waited)) => {
                let there = self.store.present(addresses).unwrap_or_default();
                let missing = (0..degree).filter(|at| there.get(*at) == Some(&false)).collect();
                let fault = Fault::Late { missing, waited };
                return Err(describe(membership, Op::Barrier, 0, 0, fault));
            }
            Err(error) => return Err(system(self.rank, &error)),
        };
        if let Some(peer) = answer.iter().take(degree).position(Vec::is_empty) {
            return Err(describe(membership, Op::Barrier, 0, 0, Fault::Lost { peer }));
        }
        let read = || {
            let id = Id::try_from(answer.get(degree)?.as_slice()).ok()?;
            let parse = |value: &Vec<u8>| std::str::from_utf8(value).ok()?.parse().ok();
            Some((id, answer[..degree].iter().map(parse).collect::<Option<Vec<_>>>()?))
        };
        read().ok_or_else(|| CommError::System {
            rank: self.rank,
            doing: "read the addresses of peers".into(),
            message: "they are malformed".into(),
        })
    }

    /// A new id: what it names, and the random numbers of this process.
    fn id(&self, keys: &[String]) -> Id {
        let half = |salt: u8| self.random.hash_one((salt, keys)).to_le_bytes();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&half(0));
        id[8..].copy_from_slice(&half(1));
        id
    }
}

impl Drop for Joined {
    /// Leaves: another may join as this rank.
    fn drop(&mut self) {
        let _ = self.store.remove(&[&self.ticket]);
    }
}

/// Where members meet that agree on a number.
fn numbered(membership: &Membership, number: u64) -> String {
    format!("group/{:016x}/as/{number}", membership.key())
}

/// Where a member tells its address.
fn address_key(prefix: &str, member: Rank) -> String {
    format!("{prefix}/{}", member.0)
}

/// Where the first member tells the id.
fn id_key(prefix: &str, first: Rank) -> String {
    format!("{prefix}/id-of-{}", first.0)
}

/// How all keys end under which a rank tells anything, whatever the group and its number.
pub(super) fn endings_of(rank: Rank) -> [String; 2] {
    [address_key("", rank), id_key("", rank)]
}

/// An error of the store in the words of [`CommError`].
pub(super) fn system(rank: Rank, error: &StoreError) -> CommError {
    CommError::System { rank, doing: "use the store".into(), message: error.to_string() }
}
