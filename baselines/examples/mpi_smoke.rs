//! Checks OpenMPI's communicators against plain expectations, and measures them beside those over TCP, in the same processes.
//!
//! `mpirun -n 2 --oversubscribe target/release/examples/mpi_smoke`; every printed time is measured: the mean of a batch of
//! calls, maximum over ranks, median over batches. It needs the feature `mpi` and does not replace `flexdit bench`.

use flexdit_baselines::communicator::{Config, Joined, MpiWorld, Store};
use flexdit_comm::{Collectives, CommError, DType, TypedCollectives};
use flexdit_core::{Group, Rank};
use std::time::Instant;

const BATCHES: usize = 11;
const SIZES: [usize; 8] = [64, 512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = MpiWorld::start()?;
    let (rank, ranks) = (world.rank(), world.world());
    let all = Group::consecutive(Rank(0), ranks);
    let reversed: Group = all.iter().rev().copied().collect();
    for group in [&all, &reversed] {
        let mut member = world.create(group)?;
        check(&mut member)?;
        member.destroy()?;
    }
    let mut mpi = world.create(&all)?;
    // The ranks meet at rank 0's store, whose port MPI tells the others.
    let server = if rank.0 == 0 { Some(Store::serve("127.0.0.1:0")?) } else { None };
    let mut port = server.as_ref().map_or(0, |server| server.address().port()).to_le_bytes();
    mpi.broadcast(0, &mut port)?;
    let store = std::net::SocketAddr::from(([127, 0, 0, 1], u16::from_le_bytes(port)));
    let mut joined = Joined::new(rank, ranks, store, Config::default())?;
    let mut tcp = joined.create(&reversed)?;
    check(&mut tcp)?;
    tcp.destroy()?;

    let say = |line: String| {
        if rank.0 == 0 {
            println!("{line}");
        }
    };
    say(format!("{ranks} ranks, measured, us              MPI       TCP"));
    let a = time(&mut mpi, 50, |_| world.create(&all)?.destroy())?;
    let mut base = joined.create(&all)?;
    let b = time(&mut base, 50, |_| joined.create(&all)?.destroy())?;
    say(format!("create and destroy           {a:>10.2}{b:>10.2}"));
    let mut tcp = joined.create(&all)?;
    let (a, b) = (time(&mut mpi, 2000, |m| m.barrier())?, time(&mut tcp, 2000, |m| m.barrier())?);
    say(format!("barrier                      {a:>10.2}{b:>10.2}"));
    for bytes in SIZES {
        let calls = (32 << 20) / bytes.max(16 << 10);
        let (send, mut receive) = (vec![1; bytes * ranks], vec![0; bytes * ranks]);
        let a = time(&mut mpi, calls, |m| m.all_to_all(&send, &mut receive))?;
        let b = time(&mut tcp, calls, |m| m.all_to_all(&send, &mut receive))?;
        say(format!("all_to_all {bytes:>8} to each   {a:>10.2}{b:>10.2}"));
        let a = time(&mut mpi, calls, |m| m.all_gather(&send[..bytes], &mut receive))?;
        let b = time(&mut tcp, calls, |m| m.all_gather(&send[..bytes], &mut receive))?;
        say(format!("all_gather {bytes:>8} from each {a:>10.2}{b:>10.2}"));
        let data = &mut receive[..bytes];
        let a = time(&mut mpi, calls, |m| m.all_reduce(DType::F32, data))?;
        let b = time(&mut tcp, calls, |m| m.all_reduce(DType::F32, data))?;
        let (mut x, mut y) = (vec![0.0; bytes / 4], vec![0.0; bytes / 4]);
        let c = time(&mut mpi, calls, |m| {
            m.all_reduce_any_order(&x, &mut y);
            std::mem::swap(&mut x, &mut y);
            Ok(())
        })?;
        say(format!("all_reduce {bytes:>8} in order  {a:>10.2}{b:>10.2}   MPI_Allreduce {c:.2}"));
    }
    tcp.destroy()?;
    base.destroy()?;
    mpi.destroy()?;
    Ok(())
}

/// Microseconds of one call: mean of a batch, maximum over ranks, median over batches.
fn time<C: Collectives>(
    member: &mut C,
    calls: usize,
    mut call: impl FnMut(&mut C) -> Result<(), CommError>,
) -> Result<f64, CommError> {
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..=BATCHES {
        member.barrier()?;
        #[expect(clippy::disallowed_methods, reason = "this example measures")]
        let begin = Instant::now();
        for _ in 0..calls {
            call(member)?;
        }
        let mine = begin.elapsed().as_secs_f32() * 1e6 / calls as f32;
        let mut all = vec![0.0; member.degree()];
        member.all_gather_of(&[mine], &mut all)?;
        batches.push(all.into_iter().fold(0.0, f32::max));
    }
    // The first one warms up.
    let batches = &mut batches[1..];
    batches.sort_by(f32::total_cmp);
    Ok(f64::from(batches[batches.len() / 2]))
}

/// Every operation once or more, against what must come out.
fn check(member: &mut impl Collectives) -> Result<(), CommError> {
    let (own, degree) = (member.index(), member.degree());
    for bytes in [0, 1, 77, 5000, (1 << 20) + 1] {
        let fill = |from: usize, to: usize| vec![(from * 16 + to) as u8 + 1; bytes];
        member.barrier()?;
        let mut data = fill(own, 0);
        member.broadcast(degree - 1, &mut data)?;
        assert_eq!(data, fill(degree - 1, 0), "broadcast of {bytes}");

        let to_all: Vec<u8> = (0..degree).flat_map(|to| fill(own, to)).collect();
        let from_all: Vec<u8> = (0..degree).flat_map(|from| fill(from, own)).collect();
        let mut all = vec![0; bytes * degree];
        member.all_to_all(&to_all, &mut all)?;
        assert_eq!(all, from_all, "all_to_all of {bytes}");
        let counts = vec![bytes; degree];
        member.all_to_all_ragged(&to_all, &counts, &mut all, &counts)?;
        assert_eq!(all, from_all, "ragged all_to_all of {bytes}");

        let of_all: Vec<u8> = (0..degree).flat_map(|from| fill(from, 0)).collect();
        member.all_gather(&fill(own, 0), &mut all)?;
        assert_eq!(all, of_all, "all_gather of {bytes}");
        let counts: Vec<usize> = (0..degree).map(|from| bytes * (from % 2)).collect();
        let mut odd = vec![0; counts.iter().sum()];
        member.all_gather_ragged(&fill(own, 0)[..counts[own]], &counts, &mut odd)?;
        let expected = (0..degree).filter(|from| from % 2 == 1).flat_map(|from| fill(from, 0));
        assert_eq!(odd, expected.collect::<Vec<u8>>(), "ragged all_gather of {bytes}");

        member.ring_shift(1, &fill(own, 9), &mut data)?;
        assert_eq!(data, fill((own + degree - 1) % degree, 9), "ring_shift of {bytes}");
        if degree > 1 && own == 0 {
            member.put(1, &fill(0, 1))?;
        } else if own == 1 {
            member.get(0, &mut data)?;
            assert_eq!(data, fill(0, 1), "put of {bytes}");
        }
    }
    for elements in [0, 1, 1003, 300_001] {
        let sum = (1..=degree).sum::<usize>() as f32;
        let mut data = vec![own as f32 + 1.0; elements];
        member.all_reduce_of(&mut data)?;
        assert!(data.iter().all(|x| *x == sum), "all_reduce of {elements}");
        let send = vec![own as f32 + 1.0; elements * degree];
        let mut share = vec![0.0; elements];
        member.reduce_scatter_of(&send, &mut share)?;
        assert!(share.iter().all(|x| *x == sum), "reduce_scatter of {elements}");
    }
    Ok(())
}
