//! Copies that turn one placement into another.

use super::layout::{Boxes, overlap, ragged};
use super::state::{Located, StateSpec, layout_of};
use crate::ids::Rank;
use crate::parallelism::Parallelism;
use crate::task::{Edge, Stage};
use crate::units::Bytes;
use alloc::vec::Vec;

/// One part of the state, pulled by one rank from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Rank that holds it.
    pub src: Rank,
    /// Rank that pulls it.
    pub dst: Rank,
    /// What it is.
    pub piece: Piece,
}

/// A part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Of the tokens that shard `part` of the old layout and the destination's new shard have in common, in
    /// ascending order, those from `start` on before `end`.
    Latents {
        /// Index of the old shard.
        part: u32,
        /// First of the common tokens.
        start: u64,
        /// The one past the last.
        end: u64,
    },
    /// All of the embeddings.
    Embeddings,
}

impl Piece {
    fn bytes(self, spec: &StateSpec) -> Bytes {
        match self {
            Self::Latents { start, end, .. } => {
                Bytes((end - start) * u64::from(spec.bytes_per_token))
            }
            Self::Embeddings => spec.embedding,
        }
    }
}

/// Every pull behind the edges of [`migration`] with the same arguments: which part each copy is. One edge joins the
/// pulls between its ranks.
pub fn pulls(
    spec: &StateSpec,
    from: &Located,
    stage: Stage,
    parallelism: Parallelism,
    active: &[Rank],
) -> Vec<Pull> {
    let mut pulls = Vec::new();
    each_pull(spec, from, stage, parallelism, active, &mut |pull| pulls.push(pull));
    pulls
}

/// The copies that bring the state of `from` to where a task of `stage`, split by `parallelism`
/// over `active`, needs it: latents in the task's layout, embeddings on every rank that denoises.
/// Ordered by (destination, source); empty if nothing moves, at the cost of comparing two groups.
///
/// A rank takes what it holds from itself. A shard that several ranks hold is sent by all of them
/// in equal parts; several destinations of the embeddings are spread over the ranks that hold them.
///
/// ```
/// use flexdit_core::migration::{Located, StateSpec, migration};
/// use flexdit_core::{Bytes, Parallelism, Rank, Stage};
/// let spec = StateSpec { grid: [1, 32, 32], bytes_per_token: 256, embedding: Bytes(1_000) };
/// let one = Located::after(None, Stage::TextEncode, Parallelism::SINGLE, &[Rank(0)]);
/// let edges =
///     migration(&spec, &one, Stage::Denoise, Parallelism::ulysses(2), &[Rank(0), Rank(1)]);
/// // Rank 0 has its half already; rank 1 pulls the other half and the embeddings.
/// assert_eq!(edges.len(), 1);
/// assert_eq!(edges[0].bytes, Bytes(512 * 256 + 1_000));
/// ```
pub fn migration(
    spec: &StateSpec,
    from: &Located,
    stage: Stage,
    parallelism: Parallelism,
    active: &[Rank],
) -> Vec<Edge> {
    let mut edges = Vec::new();
    each_pull(spec, from, stage, parallelism, active, &mut |Pull { src, dst, piece }| {
        edges.push(Edge { src, dst, bytes: piece.bytes(spec) });
    });
    merge(&mut edges);
    edges
}

fn each_pull(
    spec: &StateSpec,
    from: &Located,
    stage: Stage,
    parallelism: Parallelism,
    active: &[Rank],
    emit: &mut impl FnMut(Pull),
) {
    // A rank that denoised holds the embeddings, too.
    let stays = from.stage == stage && from.parallelism == parallelism && *from.active == *active;
    if stage == Stage::TextEncode || stays {
        return;
    }
    let (old, new) = (layout_of(from.stage, from.parallelism), layout_of(stage, parallelism));
    let latents_stay = (old == new || old.parts() == 1 && new.parts() == 1)
        && active
            .iter()
            .enumerate()
            .all(|(i, rank)| holds(from, old.parts(), new.parts(), i, rank));
    if !latents_stay {
        let shards = |parts, layout: super::Layout| -> Vec<Boxes> {
            (0..parts).map(|i| layout.shard(spec.grid, i)).collect()
        };
        let held = shards(old.parts(), old);
        let wanted = shards(new.parts(), new);
        for (i, dst) in active.iter().enumerate() {
            let shard = &wanted[i % wanted.len()];
            pull_latents(from, &held, shard, (i, *dst), emit);
        }
    }
    if stage == Stage::Denoise {
        pull_embeddings(from, active, emit);
    }
}

/// Whether destination `i` already holds its new shard; only asked of equal layouts.
fn holds(from: &Located, old_parts: u32, new_parts: u32, i: usize, rank: &Rank) -> bool {
    let place = from.active.iter().position(|held| held == rank);
    place.is_some_and(|place| place % old_parts as usize == i % new_parts as usize)
}

/// What destination `dst` (the `i`-th of its task) lacks of its shard.
fn pull_latents(
    from: &Located,
    held: &[Boxes],
    shard: &Boxes,
    (i, dst): (usize, Rank),
    emit: &mut impl FnMut(Pull),
) {
    let own = from.active.iter().position(|rank| *rank == dst).map(|place| place % held.len());
    for (part, boxes) in held.iter().enumerate() {
        if own == Some(part) {
            continue;
        }
        let tokens = overlap(boxes, shard);
        if tokens == 0 {
            continue;
        }
        let sources = from.active.len().saturating_sub(part).div_ceil(held.len());
        for piece in 0..sources {
            let (start, end) = ragged(tokens, sources as u32, piece as u32);
            // Destinations start at different sources, so that the longer pieces spread.
            let src = from.active[part + (piece + i) % sources * held.len()];
            emit(Pull { src, dst, piece: Piece::Latents { part: part as u32, start, end } });
        }
    }
}

/// A copy of the embeddings for every rank that lacks them, from each holder in turn.
fn pull_embeddings(from: &Located, active: &[Rank], emit: &mut impl FnMut(Pull)) {
    if from.embeddings.is_empty() {
        return;
    }
    let lacking = active.iter().filter(|rank| !from.embeddings.contains(rank));
    for (dst, src) in lacking.zip(from.embeddings.iter().cycle()) {
        emit(Pull { src: *src, dst: *dst, piece: Piece::Embeddings });
    }
}

/// Orders edges, joins those between the same ranks and drops empty ones.
fn merge(edges: &mut Vec<Edge>) {
    edges.retain(|edge| edge.bytes > Bytes::ZERO);
    edges.sort_unstable_by_key(|edge| (edge.dst, edge.src));
    edges.dedup_by(|next, kept| {
        let same = next.src == kept.src && next.dst == kept.dst;
        if same {
            kept.bytes += next.bytes;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;

    fn ranks(ids: &[u16]) -> Group {
        ids.iter().map(|id| Rank(*id)).collect()
    }

    fn edge(src: u16, dst: u16, bytes: u64) -> Edge {
        Edge { src: Rank(src), dst: Rank(dst), bytes: Bytes(bytes) }
    }

    fn denoised(layout: Parallelism, on: &[u16]) -> Located {
        Located::after(None, Stage::Denoise, layout, &ranks(on))
    }

    const FIVE: StateSpec = StateSpec { grid: [1, 1, 5], bytes_per_token: 10, embedding: Bytes(7) };

    #[test]
    fn five_tokens_from_three_plus_two_to_two_one_one_one() {
        let from = denoised(Parallelism::ulysses(2), &[0, 1]);
        let to = ranks(&[0, 1, 2, 3]);
        let edges = migration(&FIVE, &from, Stage::Denoise, Parallelism::ulysses(4), &to);
        // Rank 0 keeps tokens 0-1, rank 1 pulls token 2 from 0, ranks 2 and 3 pull 3 and 4 from 1;
        // ranks 2 and 3 get the embeddings from 0 and 1.
        assert_eq!(edges, [edge(0, 1, 10), edge(0, 2, 7), edge(1, 2, 10), edge(1, 3, 17)]);
    }

    #[test]
    fn nothing_moves_when_the_placement_stays() {
        let layout = Parallelism { cfg: 2, ..Parallelism::ulysses(2) };
        let from = denoised(layout, &[4, 5, 6, 7]);
        assert!(migration(&FIVE, &from, Stage::Denoise, layout, &ranks(&[4, 5, 6, 7])).is_empty());
    }

    #[test]
    fn a_cfg_replica_continues_alone_without_a_message() {
        let both = Parallelism { cfg: 2, ..Parallelism::SINGLE };
        let from = denoised(both, &[2, 3]);
        for alone in [2, 3] {
            let to = ranks(&[alone]);
            let edges = migration(&FIVE, &from, Stage::Denoise, Parallelism::SINGLE, &to);
            assert!(edges.is_empty());
            assert!(migration(&FIVE, &from, Stage::VaeDecode, Parallelism::SINGLE, &to).is_empty());
        }
    }

    #[test]
    fn replicas_share_the_sending() {
        let from = denoised(Parallelism { cfg: 2, ..Parallelism::SINGLE }, &[0, 1]);
        let edges = migration(&FIVE, &from, Stage::VaeDecode, Parallelism::SINGLE, &ranks(&[9]));
        assert_eq!(edges, [edge(0, 9, 30), edge(1, 9, 20)]);
    }

    #[test]
    fn decoding_gathers_latents_and_no_embeddings() {
        let from = denoised(Parallelism::ulysses(4), &[0, 1, 2, 3]);
        let edges = migration(&FIVE, &from, Stage::VaeDecode, Parallelism::SINGLE, &ranks(&[0]));
        assert_eq!(edges, [edge(1, 0, 10), edge(2, 0, 10), edge(3, 0, 10)]);
    }

    #[test]
    fn swapped_ranks_of_one_group_exchange_their_shards() {
        let from = denoised(Parallelism::ulysses(2), &[0, 1]);
        let to = ranks(&[1, 0]);
        let edges = migration(&FIVE, &from, Stage::Denoise, Parallelism::ulysses(2), &to);
        assert_eq!(edges, [edge(1, 0, 20), edge(0, 1, 30)]);
    }
}
