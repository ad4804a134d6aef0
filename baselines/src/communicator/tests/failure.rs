//! What goes wrong is a typed error for every member, and soon.

use super::{config, group, with_ranks};
use crate::communicator::{Communicator, Config, Joined, Store};
use flexdit_comm::{Cause, Collectives, CommError, DType, Membership, Op};
use flexdit_core::Rank;
use std::sync::Barrier;
use std::time::Duration;

/// Runs `body` by the members of a group of ranks 0 to `degree`; what it returned to each.
fn members<T: Send>(
    degree: u16,
    config: Config,
    body: impl Fn(Communicator) -> T + Sync,
) -> Vec<T> {
    let ranks: Vec<u16> = (0..degree).collect();
    with_ranks(ranks.len(), &ranks, config, |mut joined| {
        body(joined.create(&group(&ranks)).expect("a communicator"))
    })
}

#[test]
fn another_operation_another_size_or_another_root_is_a_mismatch() {
    type Body = fn(&mut Communicator) -> Result<(), CommError>;
    let bodies: [Body; 3] = [
        |c| if c.index() == 0 { c.barrier() } else { c.all_gather(&[1], &mut [0; 2]) },
        |c| {
            let bytes = 10 + c.index();
            c.all_gather(&vec![1; bytes], &mut vec![0; 2 * bytes])
        },
        |c| {
            let dtype = [DType::Bf16, DType::F16][c.index()];
            c.all_reduce(dtype, &mut [0; 64])
        },
    ];
    for body in bodies {
        let results = members(2, config(), |mut member| {
            let error = body(&mut member).expect_err("they disagree");
            let again = member.barrier();
            (error, again, member)
        });
        let mut mismatches = 0;
        for (error, again, _) in &results {
            match error {
                CommError::Mismatch { mine, theirs, .. } => {
                    assert_ne!(mine, theirs);
                    mismatches += 1;
                }
                CommError::Aborted { cause: Cause::Mismatch, .. } => {}
                other => panic!("{other}"),
            }
            assert!(matches!(again, Err(CommError::Poisoned { .. })), "{again:?}");
        }
        assert!(mismatches > 0);
    }
}

#[test]
fn a_call_too_few_is_found_by_its_number() {
    let errors = members(2, config(), |mut member| {
        if member.index() == 0 {
            member.all_gather(&[1], &mut [0; 2])?;
        }
        member.all_gather(&[1], &mut [0; 2])?;
        member.all_gather(&[1], &mut [0; 2])
    });
    // The one with a call more waits for a partner, until the other leaves.
    assert!(matches!(&errors[0], Err(CommError::PeerLost { peer: Rank(1), .. })), "{errors:?}");
    let errors = members(2, config(), |mut member| {
        if member.index() == 0 {
            member.ring_shift(2, &[], &mut [])?;
        }
        member.barrier()
    });
    assert!(errors.iter().any(|e| matches!(e, Err(CommError::Mismatch { .. }))), "{errors:?}");
}

#[test]
fn a_lost_peer_is_named_by_who_waits_for_it_and_the_others_are_told() {
    let results = members(4, config(), |mut member| {
        if member.index() == 2 {
            return Ok(());
        }
        // More than sockets take: senders wait too.
        let bytes = 8 << 20;
        member.all_to_all(&vec![0; 4 * bytes], &mut vec![0; 4 * bytes])
    });
    for (index, result) in results.iter().enumerate() {
        match result {
            Ok(()) => assert_eq!(index, 2),
            Err(CommError::PeerLost { peer, .. }) => assert_eq!(*peer, Rank(2)),
            Err(CommError::Aborted { cause, .. }) => assert_eq!(*cause, Cause::PeerLost),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_sender_learns_that_its_receiver_gave_up() {
    let results = members(2, config(), |mut member| {
        if member.index() == 0 {
            return member.put(1, &vec![0; 32 << 20]);
        }
        let error = member.get(0, &mut [0; 5]).expect_err("another size");
        assert!(matches!(error, CommError::Mismatch { .. }), "{error}");
        Ok(())
    });
    match &results[0] {
        Err(CommError::Aborted { by: Rank(1), cause: Cause::Mismatch, .. }) => {}
        Err(CommError::PeerLost { peer: Rank(1), .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_does_not_come_is_missing_in_the_time_out() {
    let short = Config { timeout: Duration::from_millis(200), ..config() };
    let results = members(3, short, |mut member| {
        if member.index() == 1 {
            return (Ok(()), Some(member));
        }
        (member.all_gather(&[0; 100], &mut [0; 300]), Some(member))
    });
    let errors: Vec<_> = results.into_iter().filter_map(|(result, _)| result.err()).collect();
    assert_eq!(errors.len(), 2);
    let late = errors.iter().filter_map(|error| match error {
        CommError::Timeout { missing, waited, place, graph } => {
            assert!(*waited >= short.timeout && place.op == Op::AllGather);
            assert!(graph.contains("waits for {"), "{graph}");
            Some(missing.clone())
        }
        CommError::Aborted { cause: Cause::Timeout, .. } => None,
        other => panic!("{other}"),
    });
    let late: Vec<_> = late.collect();
    // On a busy machine the other may be late as well.
    assert!(!late.is_empty() && late.iter().all(|late| late.contains(&Rank(1))), "{late:?}");
}

/// Rank 1 forms groups with ranks 0 and 2, which refuse: before it asks, or when it waits for them.
fn refusals(is_waiting: bool) -> Vec<CommError> {
    let before = Barrier::new(3);
    let errors = with_ranks(3, &[0, 1, 2], config(), |mut joined| {
        let groups = [group(&[0, 1]), group(&[1, 2])];
        if joined.rank() == Rank(1) {
            if !is_waiting {
                before.wait();
            }
            return groups.map(|pair| joined.create_as(&pair, 7).expect_err("nobody comes")).into();
        }
        let own = &groups[usize::from(joined.rank() == Rank(2))];
        let member = Membership::new(own, joined.rank(), 3).expect("a member");
        let asked = [format!("group/{:016x}/as/7/1", member.key())];
        while is_waiting && joined.store().present(&asked) == Ok(vec![false]) {
            std::thread::yield_now();
        }
        joined.refuse(7).expect("the store is there");
        // An answer tells that the refusal is known.
        joined.store().present(&asked).expect("the store is there");
        if !is_waiting {
            before.wait();
        }
        Vec::new()
    });
    errors.into_iter().flatten().collect()
}

#[test]
fn who_refuses_is_noticed_in_every_group_of_that_number() {
    for is_waiting in [false, true] {
        let peers = refusals(is_waiting).into_iter().map(|error| match error {
            CommError::PeerLost { peer, .. } => peer,
            other => panic!("{other}"),
        });
        assert_eq!(peers.collect::<Vec<_>>(), [Rank(0), Rank(2)]);
    }
}

#[test]
fn a_rank_that_is_lost_is_waited_for_by_nobody_in_no_group() {
    let server = Store::serve("127.0.0.1:0").expect("a port");
    let join = |rank| Joined::new(Rank(rank), 3, server.address(), config()).expect("joins");
    let pairs = [group(&[0, 2]), group(&[2, 1])];
    let errors = std::thread::scope(|scope| {
        let waits = |rank: u16, number| {
            let (mut joined, pair) = (join(rank), &pairs[usize::from(rank)]);
            scope.spawn(move || joined.create_as(pair, number))
        };
        // Before or after it is asked for, whatever the number.
        let first = waits(0, 7);
        server.refuse_all(Rank(2)).expect("the server answers");
        let second = waits(1, 8);
        [first, second].map(|one| one.join().expect("no panic").expect_err("nobody comes"))
    });
    for error in errors {
        assert!(matches!(error, CommError::PeerLost { peer: Rank(2), .. }), "{error}");
    }
}

#[test]
fn a_member_that_is_gone_before_it_dials_is_noticed() {
    let server = Store::serve("127.0.0.1:0").expect("a port");
    let join = |rank| Joined::new(Rank(rank), 2, server.address(), config()).expect("joins");
    let (mut joined, gone) = (join(0), join(1));
    // Of two members the first dials. It has told all that it has to tell.
    let pair = group(&[1, 0]);
    let member = Membership::new(&pair, Rank(0), 2).expect("a member");
    let prefix = format!("group/{:016x}/as/7", member.key());
    gone.store().set(&format!("{prefix}/1"), gone.address().to_string().as_bytes()).expect("sent");
    gone.store().set(&format!("{prefix}/id-of-1"), &[7; 16]).expect("sent");
    gone.store().present(&["known"]).expect("the store is there");
    drop(gone);
    let error = joined.create_as(&pair, 7).expect_err("it is gone");
    assert!(matches!(error, CommError::PeerLost { peer: Rank(1), .. }), "{error}");
}

#[test]
fn a_refusal_touches_no_other_number() {
    let results = with_ranks(2, &[0, 1], config(), |mut joined| {
        joined.refuse(7).expect("the store is there");
        joined.create_as(&group(&[0, 1]), 17).map(|mut member| member.barrier())
    });
    assert!(results.iter().all(|result| matches!(result, Ok(Ok(())))), "{results:?}");
}

#[test]
fn a_bad_argument_is_refused_and_changes_nothing() {
    members(2, config(), |mut member| {
        let bad = [
            member.all_gather_ragged(&[1], &[1], &mut [0; 2]),
            member.all_gather_ragged(&[1], &[1, 2], &mut [0; 2]),
            member.all_gather_ragged(&[1], &[2, 2], &mut [0; 4]),
            member.all_gather_ragged(&[1], &[usize::MAX, 3], &mut [0; 2]),
            member.all_to_all(&[1], &mut [0; 2]),
            member.all_to_all_ragged(&[1, 2], &[1, 1], &mut [0; 3], &[1, 1]),
            member.broadcast(2, &mut [0; 2]),
            member.ring_shift(4, &[1], &mut [0; 2]),
            member.reduce_scatter(DType::F32, &[0; 8], &mut [0; 8]),
            member.reduce_scatter(DType::F32, &[0; 12], &mut [0; 6]),
            member.all_reduce(DType::Bytes, &mut [0; 8]),
            member.all_reduce(DType::Bf16, &mut [0; 7]),
            member.put(member.index(), &[]),
            member.get(7, &mut []),
        ];
        for (nth, result) in bad.iter().enumerate() {
            assert!(matches!(result, Err(CommError::BadArgument { .. })), "{nth}: {result:?}");
        }
        member.barrier().expect("still in step");
    });
}
