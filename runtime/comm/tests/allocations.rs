//! Forming a group of up to eight ranks allocates nothing, and neither does any operation once its lane is warm.
//!
//! One test alone in its process: the allocator counts.

use flexdit_comm::transport::thread;
use flexdit_comm::{Collectives, CommError, DType, Lane, Membership, WorldConfig};
use flexdit_core::{Group, Rank};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator; counting touches no memory but a plain thread-local number,
// which needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same, and `alloc` got the memory there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocates in `work`.
fn count(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

type Operate = fn(&mut dyn Collectives, &[u8], &mut [u8]) -> Result<(), CommError>;

/// Every operation, by name, on `send` and `receive` of as many bytes as there are members times a share.
const OPERATIONS: [(&str, Operate); 9] = [
    ("barrier", |on, _, _| on.barrier()),
    ("broadcast", |on, _, into| on.broadcast(1, into)),
    ("all_gather", |on, from, into| {
        let share = from.len() / on.degree();
        on.all_gather(&from[..share], into)
    }),
    ("all_to_all", |on, from, into| on.all_to_all(from, into)),
    ("ring_shift", |on, from, into| on.ring_shift(1, from, into)),
    ("reduce_scatter", |on, from, into| {
        let share = into.len() / on.degree();
        on.reduce_scatter(DType::F32, from, &mut into[..share])
    }),
    ("all_reduce f32", |on, _, into| on.all_reduce(DType::F32, into)),
    ("all_reduce bf16", |on, _, into| on.all_reduce(DType::Bf16, into)),
    ("put and get", |on, from, into| match on.index() {
        0 => on.put(1, from),
        1 => on.get(0, into),
        _ => Ok(()),
    }),
];

/// Allocations of each operation at some sizes, after as many rounds to warm up.
fn steady_state(lane: &mut Lane, group: &Group) -> Vec<(&'static str, usize, u64)> {
    let member = lane.member(group).expect("a member");
    let mut sequence = 0;
    let mut counts = Vec::new();
    for share in [0, 4, 256, 1024, 60_000] {
        let bytes = share * group.len();
        let (send, mut receive) = (vec![0; bytes], vec![0; bytes]);
        for (name, operate) in OPERATIONS {
            let mut run = || {
                for _ in 0..20 {
                    sequence += 1;
                    lane.begin(sequence).expect("in order");
                    operate(&mut lane.on(&member), &send, &mut receive).expect(name);
                }
            };
            run();
            counts.push((name, bytes, count(run)));
        }
    }
    // Nobody leaves while others are counting: they would make up an error, though in vain.
    lane.on(&member).barrier().expect("a barrier");
    counts
}

#[test]
fn groups_and_warm_operations_allocate_nothing() {
    assert!(count(|| drop(black_box(vec![0_u8; 9]))) == 1, "the allocator counts");
    let ranks: Vec<Rank> = (0..8).rev().map(Rank).collect();
    for degree in 1..=8 {
        let allocations = count(|| {
            for _ in 0..1000 {
                let group: Group = black_box(&ranks[8 - degree..]).iter().copied().collect();
                black_box(Membership::new(&group, Rank(0), 8).expect("a group"));
            }
        });
        assert_eq!(allocations, 0, "groups of {degree}");
    }
    for (degree, lend_bytes) in [(2, 16 << 10), (2, usize::MAX), (5, 16 << 10), (8, usize::MAX)] {
        // So small that the book of its readers never grows.
        let window_bytes = 4096 / degree * 64;
        let piece_bytes = 8 << 10;
        let config =
            WorldConfig { lend_bytes, window_bytes, piece_bytes, ..WorldConfig::new(degree) };
        let group = Group::consecutive(Rank(0), degree);
        let world = thread::world(&config).expect("a world");
        std::thread::scope(|scope| {
            let run = |mut end: flexdit_comm::Endpoint| {
                let group = &group;
                scope.spawn(move || steady_state(end.lane(0), group))
            };
            let ranks: Vec<_> = world.into_iter().map(run).collect();
            for (rank, counts) in ranks.into_iter().enumerate() {
                for (name, bytes, count) in counts.join().expect("a rank") {
                    let what = format!("{name} of {bytes} bytes, rank {rank} of {degree}");
                    assert_eq!(count, 0, "{what}, lending from {lend_bytes} bytes on");
                }
            }
        });
    }
}
