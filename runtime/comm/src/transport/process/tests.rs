//! Joining, with threads as ranks: each maps the memory for itself, so nothing but the mapping is shared.

use super::join::connect;
use super::wire::{self, Answer};
use super::{Launcher, join, segment};
use crate::collectives::Collectives as _;
use crate::config::WorldConfig;
use crate::dtype::DType;
use crate::error::{Cause, CommError, JoinFault};
use crate::heap::Arena;
use crate::lane::{Call, LaneOf};
use crate::mapped::Mapped;
use crate::membership::Membership;
use crate::memory::{Location, Memory as _, RankState, Signal};
use crate::message::Message;
use crate::ops::put_get;
use crate::rules::Sound;
use crate::tag::Op;
use flexdit_core::{Group, Rank};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

fn config(ranks: usize) -> WorldConfig {
    let small = WorldConfig::new(ranks);
    WorldConfig {
        window_bytes: 8192,
        piece_bytes: 1024,
        arena_bytes: 1 << 20,
        timeout: Duration::from_secs(20),
        ..small
    }
}

/// What each rank gets that joins with the settings given for it, and what the launcher says.
fn join_all(
    launcher: &Launcher,
    ranks: Vec<(u16, WorldConfig)>,
) -> (Vec<Option<CommError>>, Option<CommError>) {
    let address = launcher.bootstrap().address();
    thread::scope(|scope| {
        let join = |(rank, config)| scope.spawn(move || join(address, Rank(rank), &config).err());
        let threads: Vec<_> = ranks.into_iter().map(join).collect();
        let errors = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        (errors, launcher.joined().err())
    })
}

#[test]
fn ranks_join_together_and_exchange() {
    let config = config(3);
    let launcher = Launcher::listen(&config).expect("a launcher");
    let group: Group = (0..3).rev().map(Rank).collect();
    thread::scope(|scope| {
        for rank in 0..3_u16 {
            let (config, group, launcher) = (&config, &group, &launcher);
            scope.spawn(move || {
                let address = launcher.bootstrap().address();
                let mut endpoint = join(address, Rank(rank), config).expect("joined");
                launcher.joined().expect("joined");
                let lane = endpoint.lane(1);
                let member = lane.member(group).expect("a member");
                lane.begin(1).expect("in order");
                let mine = vec![rank as u8; 30_000];
                let mut all = vec![9; 90_000];
                lane.on(&member).all_gather(&mine, &mut all).expect("gathered");
                for (at, byte) in all.iter().enumerate() {
                    assert_eq!(usize::from(*byte), 2 - at / 30_000);
                }
            });
        }
    });
    assert!(launcher.present().is_empty(), "all have left");
}

#[test]
fn one_rank_with_another_setting_fails_all() {
    let ours = config(4);
    type Change = fn(&mut WorldConfig);
    let changes: [(&str, Change); 6] = [
        ("nonce", |config| config.nonce = 1),
        ("lanes", |config| config.lanes += 1),
        ("depth", |config| config.depth *= 2),
        ("window_bytes", |config| config.window_bytes *= 2),
        ("piece_bytes", |config| config.piece_bytes *= 2),
        ("arena_bytes", |config| config.arena_bytes += 64),
    ];
    for (name, change) in changes {
        let launcher = Launcher::listen(&ours).expect("a launcher");
        let mut theirs = ours.clone();
        change(&mut theirs);
        let ranks = vec![(0, ours.clone()), (1, ours.clone()), (2, theirs), (3, ours.clone())];
        let (errors, launched) = join_all(&launcher, ranks);
        for error in errors.into_iter().chain([launched]) {
            let Some(CommError::Join(JoinFault::Differs { rank, setting, .. })) = error else {
                panic!("{name}: {error:?}");
            };
            assert_eq!((rank, setting), (Rank(2), name));
        }
    }
}

#[test]
fn a_rank_that_is_there_twice_or_outside_or_not_at_all_fails_all() {
    let ours = config(2);
    let join = |ranks: &[u16], config: &WorldConfig| {
        let launcher = Launcher::listen(config).expect("a launcher");
        let (errors, launched) =
            join_all(&launcher, ranks.iter().map(|rank| (*rank, config.clone())).collect());
        let fault = launched.expect("a fault");
        errors.iter().for_each(|error| assert_eq!(error.as_ref(), Some(&fault)));
        fault
    };
    assert_eq!(join(&[1, 1], &ours), CommError::Join(JoinFault::Twice { rank: Rank(1) }));
    let outside = JoinFault::Outside { rank: Rank(2), ranks: 2 };
    assert_eq!(join(&[2, 0], &ours), CommError::Join(outside));
    let hasty = WorldConfig { timeout: Duration::from_millis(100), ..ours };
    let CommError::Join(JoinFault::Missing { missing, waited }) = join(&[], &hasty) else {
        panic!("nobody came");
    };
    assert_eq!(missing.len(), 2);
    assert!(waited >= hasty.timeout);
}

#[test]
fn a_process_that_ends_before_it_joins_fails_all() {
    let config = config(2);
    let mut launcher = Launcher::start(&config, |_, _| Command::new("true")).expect("started");
    let joined = launcher.joined();
    assert!(matches!(joined, Err(CommError::Join(JoinFault::Ended { .. }))), "{joined:?}");
    let ended = launcher.wait(Duration::from_secs(20)).expect("waited");
    assert!(ended.into_iter().all(|status| status.expect("ended").success()));
}

#[test]
fn a_rank_that_goes_after_its_hello_fails_all() {
    let config = config(2);
    let launcher = Launcher::listen(&config).expect("a launcher");
    let address = launcher.bootstrap().address();
    thread::scope(|scope| {
        let other = scope.spawn(|| join(address, Rank(0), &config));
        let socket = connect(address, config.timeout).expect("connected");
        wire::send(&socket, &wire::hello(Rank(1), 0, &config), None).expect("heard");
        let (welcome, file) = wire::receive(&socket).expect("an answer");
        assert_eq!(Answer::decode(&welcome), Some(Answer::Welcome));
        segment::check(file.expect("the memory").as_fd(), &config).expect("sealed");
        drop(socket);
        let ended = CommError::Join(JoinFault::Ended { rank: Rank(1) });
        assert_eq!(other.join().expect("no panic").expect_err("nobody joins"), ended);
        assert_eq!(launcher.joined(), Err(ended.clone()));
        // Who comes late gets the same answer.
        assert_eq!(join(address, Rank(1), &config).expect_err("nobody joins"), ended);
    });
}

#[test]
fn a_process_of_another_version_or_kind_fails_all() {
    let config = config(2);
    let hello = wire::hello(Rank(1), 0, &config);
    let (mut magic, mut version) = (hello, hello);
    (magic[0], version[1]) = (1, 99);
    for (words, name) in
        [(&magic[..], "magic"), (&version[..], "version"), (&hello[..5], "words of hello")]
    {
        let launcher = Launcher::listen(&config).expect("a launcher");
        let address = launcher.bootstrap().address();
        let socket = connect(address, config.timeout).expect("connected");
        wire::send(&socket, words, None).expect("heard");
        let (answer, file) = wire::receive(&socket).expect("an answer");
        let Some(Answer::Fault(fault)) = Answer::decode(&answer) else { panic!("{answer:?}") };
        assert!(file.is_none(), "the memory is not for strangers");
        let JoinFault::Differs { rank: Rank(1), setting, .. } = &fault else { panic!("{fault}") };
        assert_eq!(*setting, name);
        let late = join(address, Rank(0), &config).expect_err("nobody joins");
        assert_eq!(late, CommError::Join(fault));
    }
}

#[test]
fn what_cannot_be_started_is_said() {
    let config = config(3);
    let mut started = 0;
    let error = Launcher::start(&config, |_, _| {
        started += 1;
        Command::new(if started < 3 { "cat" } else { "./there is no such program" })
    });
    let Err(CommError::System { rank: Rank(2), doing, .. }) = error else { panic!("{error:?}") };
    assert_eq!(doing, "start its process");
    assert!(matches!(Launcher::listen(&self::config(65)), Err(CommError::BadWorld(_))));
    let nowhere = join("nowhere", Rank(0), &config);
    assert!(matches!(nowhere, Err(CommError::System { .. })), "{nowhere:?}");
}

#[test]
fn ranks_whose_launcher_is_gone_refuse_to_go_on() {
    let config = config(2);
    let launcher = Launcher::listen(&config).expect("a launcher");
    let address = launcher.bootstrap().address().to_owned();
    let join = |rank| join(&address, Rank(rank), &config).expect("joined");
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| join(1));
        (join(0), second.join().expect("no panic"))
    });
    drop(launcher);
    // Neither leaves before the other has looked: that would be a lost peer.
    for endpoint in &mut [first, second] {
        let rank = endpoint.rank();
        let lane = endpoint.lane(0);
        let group: Group = [rank, Rank(1 - rank.0)].into_iter().collect();
        let member = lane.member(&group).expect("a member");
        // The groups differ, so this would wait for ever.
        let mut byte = [0];
        let error = lane.on(&member).get(1, &mut byte).expect_err("nobody puts");
        assert_eq!(error, CommError::LauncherLost { rank });
        let error = lane.reset(&member).expect_err("no world");
        assert_eq!(error, CommError::LauncherLost { rank });
    }
}

/// Two ranks' lanes over one memory, each with a mapping of its own.
fn two_lanes(config: &WorldConfig) -> [LaneOf<Mapped, Sound>; 2] {
    let file = segment::create(config).expect("memory");
    [Rank(0), Rank(1)].map(|rank| {
        let memory = Arc::new(segment::map(&file, config).expect("a mapping"));
        memory.set_state(rank, RankState::Alive, config.lanes);
        LaneOf::new(memory, rank, 0, Arc::new(config.clone()), 0)
    })
}

/// A call of the group of ranks 0 and 1.
fn call(member: &Membership) -> Call<'_> {
    Call { member, op: Op::PutGet, dtype: DType::Bytes, index: 0 }
}

fn pair(rank: u16) -> Membership {
    let group: Group = [Rank(0), Rank(1)].into_iter().collect();
    Membership::new(&group, Rank(rank), 2).expect("a member")
}

#[test]
fn what_lies_in_the_heap_is_lent_and_read_in_another_mapping() {
    let config = config(2);
    let [mine, theirs] = two_lanes(&config);
    let mut buffer = Arena::new(Arc::clone(&mine.memory), Rank(0)).allocate(5000).expect("room");
    buffer.fill(42);
    let lent = mine.memory.lendable(Rank(0), &buffer[100..]).expect("in the heap");
    assert!(matches!(lent, Location::Heap(_)));
    assert_eq!(mine.memory.lendable(Rank(0), &[0; 64]), None, "elsewhere");
    assert_eq!(mine.memory.lendable(Rank(1), &buffer), None, "in another's heap");
    let mut read = 0;
    // SAFETY: nobody writes to the buffer.
    unsafe {
        theirs.memory.read(Rank(0), lent, 4900, |bytes| {
            read = bytes.iter().filter(|byte| **byte == 42).count();
            assert_ne!(bytes.as_ptr(), buffer[100..].as_ptr(), "another mapping");
        });
    }
    assert_eq!(read, 4900);
}

#[test]
fn a_lender_does_not_wait_for_ever_for_a_reader_that_is_stopped() {
    let config = WorldConfig { timeout: Duration::from_millis(50), ..config(2) };
    let [mut mine, theirs] = two_lanes(&config);
    let reading = Signal::Reading { destination: Rank(1) };
    theirs.memory.signal(Rank(0), 0, reading).store(1, Ordering::Release);
    let member = pair(0);
    let error = put_get::get(&mut mine, call(&member), 1, &mut [0]).expect_err("nobody puts");
    assert!(matches!(error, CommError::Timeout { .. }), "{error}");
}

#[test]
fn what_was_withdrawn_while_it_was_read_is_not_trusted() {
    let config = config(2);
    let [mine, mut theirs] = two_lanes(&config);
    let (tag, location) = (theirs.tag(call(&pair(1)), 64), Location::Heap(0));
    let message = Message { tag, location, length: 64, begin: 0, lent: true };
    let poison = mine.memory.signal(Rank(0), 0, Signal::Poison);
    for (cause, expected) in [(0, true), (Cause::Timeout as u64, false)] {
        let give_up = |_: &[u8]| poison.store(cause, Ordering::Release);
        let member = pair(1);
        let outcome = theirs.read(call(&member), Rank(0), &message, (0, 64), give_up);
        assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
    }
}
