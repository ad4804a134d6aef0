//! Making and destroying communicators: many, overlapping, alive at once.

use super::{config, group, with_ranks};
use crate::communicator::{Joined, Store};
use flexdit_comm::{Collectives, CommError};
use flexdit_core::Rank;
use std::time::Duration;

#[test]
fn overlapping_communicators_live_at_once_and_do_not_mix() {
    // Every rank's list of groups is a part of one order.
    let groups: Vec<_> =
        [&[0, 1][..], &[1, 0], &[1, 2], &[0, 2], &[2, 0, 1], &[0, 1], &[3, 1], &[3, 2, 1, 0]]
            .map(group)
            .into();
    with_ranks(4, &[0, 1, 2, 3], config(), |mut joined| {
        let rank = joined.rank();
        let mine = || groups.iter().filter(|group| group.contains(&rank));
        let mut communicators: Vec<_> =
            mine().map(|group| joined.create(group).expect("a communicator")).collect();
        for (group, communicator) in mine().zip(&mut communicators) {
            let mut all = vec![0; group.len()];
            communicator.all_gather(&[rank.0 as u8], &mut all).expect("an all-gather");
            assert!(all.iter().zip(group.iter()).all(|(byte, rank)| u16::from(*byte) == rank.0));
        }
        // In another order than they were made, but the same for all.
        for communicator in communicators.into_iter().rev() {
            communicator.destroy().expect("all destroy it");
        }
    });
}

#[test]
fn groups_are_made_and_destroyed_again_and_again() {
    with_ranks(3, &[0, 1, 2], config(), |mut joined| {
        for round in 0..200_u16 {
            let out = Rank(round % 3);
            let ranks: Vec<u16> = (0..3).filter(|rank| Rank(*rank) != out).collect();
            if joined.rank() == out {
                continue;
            }
            let mut communicator = joined.create(&group(&ranks)).expect("a communicator");
            communicator.barrier().expect("a barrier");
            communicator.destroy().expect("all destroy it");
        }
    });
}

#[test]
fn destroying_leaves_nothing_in_the_store() {
    let server = Store::serve("127.0.0.1:0").expect("a port");
    let pair = group(&[1, 0]);
    std::thread::scope(|scope| {
        for rank in [0, 1] {
            let (pair, store) = (&pair, server.address());
            scope.spawn(move || {
                let mut joined = Joined::new(Rank(rank), 2, store, config()).expect("joins");
                let communicator = joined.create(pair).expect("a communicator");
                let keys = communicator.keys.clone();
                assert_eq!(joined.store().present(&keys), Ok(vec![true; 3]));
                communicator.destroy().expect("all destroy it");
                if rank == 1 {
                    // Requests of one connection are carried out in order, and it was the first member's.
                    assert_eq!(joined.store().present(&keys), Ok(vec![false; 3]));
                }
            });
        }
    });
}

#[test]
fn a_group_of_one_needs_nobody() {
    with_ranks(4, &[2], config(), |mut joined| {
        let mut alone = joined.create(&group(&[2])).expect("a communicator");
        alone.barrier().expect("a barrier");
        let mut all = [0; 3];
        alone.all_gather(&[1, 2, 3], &mut all).expect("an all-gather");
        assert_eq!(all, [1, 2, 3]);
        alone.destroy().expect("destroyed");
    });
}

#[test]
fn groups_that_cannot_be_are_refused() {
    with_ranks(4, &[2], config(), |mut joined| {
        for ranks in [&[][..], &[0, 1], &[2, 2], &[2, 4]] {
            let error = joined.create(&group(ranks)).expect_err("no group");
            assert!(matches!(error, CommError::BadGroup { .. }), "{error}");
        }
    });
}

#[test]
fn a_rank_joins_once_and_the_same_world_as_others() {
    let server = Store::serve("127.0.0.1:0").expect("a port");
    let store = server.address();
    let join = |rank, world| Joined::new(Rank(rank), world, store, config());
    let refused = |rank, world| match join(rank, world) {
        Err(CommError::BadWorld(why)) => why,
        other => panic!("{other:?}"),
    };
    let first = join(0, 2).expect("joins");
    assert_eq!(refused(0, 2), "rank 0 has joined before");
    assert_eq!(refused(1, 3), "rank 1 joins 3 ranks where others joined 2");
    assert_eq!(refused(2, 2), "rank 2 is not in a world of 2 ranks, of at most 64");
    drop(first);
    join(0, 2).expect("the rank had left");
    drop(server);
    let gone = join(1, 2).expect_err("no store");
    assert!(matches!(gone, CommError::System { .. }), "{gone}");
}

#[test]
fn strangers_at_the_door_are_turned_away() {
    with_ranks(2, &[0, 1], config(), |mut joined| {
        let pair = group(&[0, 1]);
        // Members that come after this find somebody else in the queue before them.
        let door = joined.address();
        let silent = std::net::TcpStream::connect(door).expect("a connection");
        let mut loud = std::net::TcpStream::connect(door).expect("a connection");
        std::io::Write::write_all(&mut loud, &[b'x'; 64]).expect("written");
        let mut member = joined.create(&pair).expect("a communicator");
        member.barrier().expect("a barrier");
        drop((silent, loud));
    });
}

#[test]
fn a_member_that_does_not_come_is_named() {
    let short = super::Config { timeout: Duration::from_millis(200), ..config() };
    let errors = with_ranks(4, &[0, 1], short, |mut joined| joined.create(&group(&[0, 3, 1])));
    for error in errors.into_iter().map(|result| result.expect_err("rank 3 is not there")) {
        let CommError::Timeout { missing, .. } = &error else { panic!("{error}") };
        assert!(missing.contains(&Rank(3)), "{missing}");
    }
}
