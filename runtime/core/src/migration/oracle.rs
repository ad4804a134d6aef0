//! A slow oracle: every token is followed by itself.

use super::layout::Layout;
use super::plan::{Piece, migration, pulls};
use super::state::{Located, StateSpec, layout_of};
use crate::group::Group;
use crate::ids::Rank;
use crate::parallelism::Parallelism;
use crate::task::{Edge, Stage};
use crate::units::Bytes;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use proptest::prelude::*;

/// Which shard a token is in, by counting.
fn shard_of(layout: Layout, grid: [u32; 3], token: u64) -> u32 {
    let [_, rows, columns] = grid;
    let (position, length, parts) = match layout {
        Layout::Replicated => return 0,
        Layout::Tokens { parts } => {
            (token, grid.iter().map(|n| u64::from(*n)).product(), u64::from(parts))
        }
        Layout::Rows { parts } => {
            (token / u64::from(columns) % u64::from(rows), u64::from(rows), u64::from(parts))
        }
    };
    let mut end = 0;
    for part in 0..parts {
        end += length / parts + u64::from(part < length % parts);
        if position < end {
            return part as u32;
        }
    }
    unreachable!("position lies inside")
}

/// Tokens that the `i`-th rank of a placement holds.
fn tokens_of(layout: Layout, grid: [u32; 3], i: usize) -> BTreeSet<u64> {
    let total: u64 = grid.iter().map(|n| u64::from(*n)).product();
    let shard = i as u32 % layout.parts();
    (0..total).filter(|token| shard_of(layout, grid, *token) == shard).collect()
}

#[derive(Clone, Debug)]
struct Case {
    spec: StateSpec,
    from: Located,
    stage: Stage,
    parallelism: Parallelism,
    active: Group,
}

fn placement(stage: Stage, ulysses: u8, cfg: u8, patch: u8) -> Parallelism {
    match stage {
        Stage::TextEncode => Parallelism::SINGLE,
        Stage::Denoise => Parallelism { ulysses, cfg, ..Parallelism::SINGLE },
        Stage::VaeDecode => Parallelism::patch(patch),
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let order = Just((0_u16..10).collect::<Vec<u16>>());
    let degrees = || (1_u8..5, 1_u8..3, 1_u8..4);
    let grid = prop::array::uniform3(1_u32..7);
    let stages = (prop_oneof![Just(Stage::TextEncode), Just(Stage::Denoise)], any::<bool>());
    (grid, degrees(), degrees(), order.clone().prop_shuffle(), order.prop_shuffle(), stages)
        .prop_map(|(grid, a, b, old, new, (before, decode))| {
            let stage = if decode { Stage::VaeDecode } else { Stage::Denoise };
            let take = |order: &[u16], layout: Parallelism| -> Group {
                order.iter().take(usize::from(layout.degree())).map(|r| Rank(*r)).collect()
            };
            let held = placement(before, a.0, a.1, a.2);
            let parallelism = placement(stage, b.0, b.1, b.2);
            let from = Located::after(None, before, held, &take(&old, held));
            let spec = StateSpec { grid, bytes_per_token: 4, embedding: Bytes(1_000_000) };
            Case { spec, from, stage, parallelism, active: take(&new, parallelism) }
        })
}

/// Latent bytes by (destination, source), with embeddings taken off; how many of those came.
fn split(edges: &[Edge], spec: &StateSpec) -> (BTreeMap<(Rank, Rank), u64>, BTreeSet<Rank>) {
    let mut latents = BTreeMap::new();
    let mut embedded = BTreeSet::new();
    for edge in edges {
        let whole = edge.bytes.0 / spec.embedding.0;
        assert!(whole <= 1, "embeddings sent twice");
        if whole == 1 {
            assert!(embedded.insert(edge.dst), "embeddings sent twice");
        }
        latents.insert((edge.dst, edge.src), edge.bytes.0 % spec.embedding.0);
    }
    (latents, embedded)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(512)
    })]
    #[test]
    fn plans_agree_with_following_every_token(case in cases()) {
        let Case { spec, from, stage, parallelism, active } = &case;
        let edges = migration(spec, from, *stage, *parallelism, active);
        let (old, new) = (layout_of(from.stage, from.parallelism), layout_of(*stage, *parallelism));
        prop_assert!(edges.is_sorted_by_key(|edge| (edge.dst, edge.src)));
        prop_assert!(edges.iter().all(|edge| edge.src != edge.dst && edge.bytes.0 > 0));
        let (latents, embedded) = split(&edges, spec);
        let held: BTreeMap<Rank, BTreeSet<u64>> = from.active.iter().enumerate()
            .map(|(i, rank)| (*rank, tokens_of(old, spec.grid, i))).collect();
        for (i, dst) in active.iter().enumerate() {
            let mut lacking = tokens_of(new, spec.grid, i);
            if let Some(own) = held.get(dst) {
                lacking.retain(|token| !own.contains(token));
            }
            let received: u64 = latents.iter().filter(|(k, _)| k.0 == *dst).map(|(_, b)| *b).sum();
            prop_assert_eq!(received, lacking.len() as u64 * 4);
            for (src, own) in &held {
                let sent = latents.get(&(*dst, *src)).copied().unwrap_or(0) / 4;
                let share = lacking.intersection(own).count() as u64;
                let replicas = from.active.len() as u64 / u64::from(old.parts());
                prop_assert!(sent <= share.div_ceil(replicas) && sent >= share / replicas);
            }
            let needs = *stage == Stage::Denoise && !from.embeddings.contains(dst);
            prop_assert_eq!(embedded.contains(dst), needs);
        }
    }

    #[test]
    fn pulls_say_which_tokens_an_edge_is(case in cases()) {
        let Case { spec, from, stage, parallelism, active } = &case;
        let edges = migration(spec, from, *stage, *parallelism, active);
        let (old, new) = (layout_of(from.stage, from.parallelism), layout_of(*stage, *parallelism));
        let mut bytes: BTreeMap<(Rank, Rank), u64> = BTreeMap::new();
        let mut got: BTreeMap<Rank, BTreeSet<u64>> = BTreeMap::new();
        for pull in pulls(spec, from, *stage, *parallelism, active) {
            let edge = bytes.entry((pull.dst, pull.src)).or_default();
            let Piece::Latents { part, start, end } = pull.piece else {
                *edge += spec.embedding.0;
                continue;
            };
            *edge += (end - start) * 4;
            let at = |ranks: &[Rank], rank| ranks.iter().position(|r| *r == rank).expect("named");
            let source = at(&from.active, pull.src);
            prop_assert_eq!(source as u32 % old.parts(), part);
            let held = tokens_of(old, spec.grid, part as usize);
            let wanted = tokens_of(new, spec.grid, at(active, pull.dst));
            let common: Vec<u64> = held.intersection(&wanted).copied().collect();
            for token in &common[start as usize..end as usize] {
                prop_assert!(got.entry(pull.dst).or_default().insert(*token), "pulled twice");
            }
        }
        bytes.retain(|_, bytes| *bytes > 0);
        let of_edges = edges.iter().map(|edge| ((edge.dst, edge.src), edge.bytes.0)).collect();
        prop_assert_eq!(bytes, of_edges);
        for (i, dst) in active.iter().enumerate() {
            let own = from.active.iter().position(|rank| rank == dst);
            let own = own.map(|place| tokens_of(old, spec.grid, place)).unwrap_or_default();
            let lacking: BTreeSet<u64> =
                tokens_of(new, spec.grid, i).difference(&own).copied().collect();
            prop_assert_eq!(got.remove(dst).unwrap_or_default(), lacking);
        }
    }
}
