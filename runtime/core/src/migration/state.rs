//! A request's moving state: its size, and where it lies.

use super::layout::Layout;
use crate::group::Group;
use crate::ids::Rank;
use crate::model::{Infeasible, ModelSpec};
use crate::parallelism::Parallelism;
use crate::request::Shape;
use crate::task::Stage;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of one latent value: solver state is kept in single precision.
const LATENT_BYTES: u32 = 4;
/// Bytes of one value of a text embedding.
const EMBEDDING_BYTES: u64 = 2;

/// Sizes of the state that moves when a request changes ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSpec {
    /// Latent tokens as (frames, rows, columns).
    pub grid: [u32; 3],
    /// Bytes of one latent token and of the solver's history of it.
    pub bytes_per_token: u32,
    /// Bytes of the text embeddings, of both guidance branches if the request is guided.
    pub embedding: Bytes,
}

impl StateSpec {
    /// The state of a request of this shape.
    ///
    /// # Errors
    /// As [`ModelSpec::grid`].
    pub fn of(model: &ModelSpec, shape: &Shape) -> Result<Self, Infeasible> {
        let values = model.channels * model.patch.iter().product::<u32>();
        let branches = if shape.guidance { 2 } else { 1 };
        let text = u64::from(shape.text_tokens) * u64::from(model.text_dim);
        Ok(Self {
            grid: model.grid(shape.height, shape.width, shape.frames)?,
            bytes_per_token: values * LATENT_BYTES * (1 + model.history),
            embedding: Bytes(text * EMBEDDING_BYTES * branches),
        })
    }

    /// Latent tokens.
    pub fn tokens(&self) -> u64 {
        self.grid.iter().map(|n| u64::from(*n)).product()
    }

    /// Bytes of all latents, their history included.
    pub fn latents(&self) -> Bytes {
        Bytes(self.tokens() * u64::from(self.bytes_per_token))
    }

    /// Bytes of latents on each rank of a task (the largest shard), with its embeddings.
    pub fn per_rank(&self, stage: Stage, parallelism: Parallelism) -> Bytes {
        let parts = layout_of(stage, parallelism).parts();
        let tokens = self.tokens().div_ceil(u64::from(parts.max(1)));
        let latents = Bytes(tokens * u64::from(self.bytes_per_token));
        if stage == Stage::VaeDecode { latents } else { latents + self.embedding }
    }
}

/// The layout of latents that a task of `stage` reads and leaves.
pub fn layout_of(stage: Stage, parallelism: Parallelism) -> Layout {
    match stage {
        Stage::TextEncode => Layout::Replicated,
        Stage::Denoise => Layout::Tokens { parts: u32::from(parallelism.sequence()) },
        Stage::VaeDecode => Layout::Rows { parts: u32::from(parallelism.patch) },
    }
}

/// Where a request's state lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The stage that left it.
    pub stage: Stage,
    /// How that task was split.
    pub parallelism: Parallelism,
    /// The ranks that computed, in order: rank `i` holds shard `i mod parts` of the latents.
    pub active: Group,
    /// Every rank that holds the text embeddings.
    pub embeddings: Group,
}

impl Located {
    /// Where the state lies after a task, given where it lay `before` (nothing computed yet:
    /// `None`). Embeddings stay wherever they were, too, until released.
    pub fn after(
        before: Option<&Self>,
        stage: Stage,
        parallelism: Parallelism,
        active: &[Rank],
    ) -> Self {
        let mut embeddings = before.map_or_else(Group::default, |old| old.embeddings.clone());
        if stage != Stage::VaeDecode {
            for rank in active.iter().filter(|rank| !before_has(before, **rank)) {
                embeddings.push(*rank);
            }
        }
        Self { stage, parallelism, active: Group::from(active), embeddings }
    }

    /// Whether `rank` holds any of it.
    pub fn holds(&self, rank: Rank) -> bool {
        self.active.contains(&rank) || self.embeddings.contains(&rank)
    }

    /// Every rank that holds any of it: those that computed, then the other replicas of the embeddings.
    pub fn holders(&self) -> Group {
        let mut ranks = self.active.clone();
        for &rank in self.embeddings.iter().filter(|rank| !self.active.contains(rank)) {
            ranks.push(rank);
        }
        ranks
    }

    /// Forgets the embeddings on every rank that did not compute: they were released.
    pub fn release_elsewhere(&mut self) {
        let active = &self.active;
        self.embeddings = self.embeddings.iter().copied().filter(|r| active.contains(r)).collect();
    }

    /// The state without what lay on the ranks `gone`; `None` if some of it had no other copy.
    ///
    /// When a rank that computed is gone, one holder of each shard is kept, as a single guidance branch:
    /// an intact branch if there is one. The other copies count as given up, their embeddings too.
    pub fn without(&self, gone: &[Rank]) -> Option<Self> {
        let left = |rank: &&Rank| !gone.contains(rank);
        let embeddings: Group = self.embeddings.iter().filter(left).copied().collect();
        if embeddings.is_empty() && self.stage != Stage::VaeDecode {
            return None;
        }
        if self.active.iter().all(|rank| left(&rank)) {
            return Some(Self { embeddings, ..self.clone() });
        }
        let parts = layout_of(self.stage, self.parallelism).parts() as usize;
        let intact = |branch: &&[Rank]| branch.len() == parts && branch.iter().all(|r| left(&r));
        let active: Group = match self.active.chunks(parts.max(1)).find(intact) {
            Some(branch) => Group::from(branch),
            None => {
                let holder = |part| self.active.iter().skip(part).step_by(parts).find(left);
                (0..parts).map(|part| holder(part).copied()).collect::<Option<Group>>()?
            }
        };
        let given_up = |rank: &Rank| self.active.contains(rank) && !active.contains(rank);
        let embeddings = embeddings.iter().copied().filter(|rank| !given_up(rank)).collect();
        let parallelism = Parallelism { cfg: 1, ..self.parallelism };
        Some(Self { stage: self.stage, parallelism, active, embeddings })
    }
}

fn before_has(before: Option<&Located>, rank: Rank) -> bool {
    before.is_some_and(|old| old.embeddings.contains(&rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::migration;
    use crate::model::model;
    use alloc::vec::Vec;

    fn ranks(ids: &[u16]) -> Group {
        ids.iter().map(|id| Rank(*id)).collect()
    }

    #[test]
    fn state_is_one_to_twenty_megabytes() {
        let spec = |name: &str, height, width, frames, guidance| {
            let shape =
                Shape { height, width, frames, guidance, text_tokens: 512, ..Shape::default() };
            StateSpec::of(model(name).expect("listed"), &shape).expect("feasible")
        };
        let qwen = spec("qwen-image", 512, 512, 1, false);
        assert_eq!(qwen.embedding, Bytes(3_670_016));
        assert_eq!(qwen.latents(), Bytes(1_024 * 64 * 4));
        let wan = spec("wan2.2-ti2v-5b", 720, 1280, 81, true);
        assert_eq!(wan.latents(), Bytes(18_480 * 192 * 4));
        assert_eq!(wan.embedding, Bytes(2 * 512 * 4096 * 2));
        // UniPC's three buffers move beside the latents.
        let small = spec("small-video", 64, 64, 5, false);
        assert_eq!(small.latents(), Bytes(2 * 16 * (16 * 4) * 4));
    }

    #[test]
    fn embeddings_stay_where_they_were_until_released() {
        let encoded = Located::after(None, Stage::TextEncode, Parallelism::SINGLE, &ranks(&[3]));
        assert_eq!(encoded.embeddings, ranks(&[3]));
        let layout = Parallelism::ulysses(2);
        let mut moved = Located::after(Some(&encoded), Stage::Denoise, layout, &ranks(&[0, 1]));
        assert_eq!(moved.embeddings, ranks(&[3, 0, 1]));
        moved.release_elsewhere();
        assert_eq!(moved.embeddings, ranks(&[0, 1]));
    }

    #[test]
    fn losing_a_shard_loses_the_state_losing_a_replica_does_not() {
        let sharded =
            Located::after(None, Stage::Denoise, Parallelism::ulysses(2), &ranks(&[0, 1]));
        assert_eq!(sharded.without(&[Rank(1)]), None);
        assert_eq!(sharded.without(&[Rank(5)]), Some(sharded.clone()));
        let both = Parallelism { cfg: 2, ..Parallelism::SINGLE };
        let branches = Located::after(None, Stage::Denoise, both, &ranks(&[0, 1]));
        assert_eq!(branches.without(&[Rank(1)]).map(|left| left.active), Some(ranks(&[0])));
        assert_eq!(branches.without(&[Rank(1), Rank(0)]), None);
    }

    #[test]
    fn a_shard_that_another_guidance_branch_holds_is_not_lost() {
        let layout = Parallelism { cfg: 2, ..Parallelism::ulysses(2) };
        let both = Located::after(None, Stage::Denoise, layout, &ranks(&[0, 1, 2, 3]));
        let single = |active: &[u16]| {
            Some(Located::after(None, Stage::Denoise, Parallelism::ulysses(2), &ranks(active)))
        };
        assert_eq!(both.without(&[Rank(1)]), single(&[2, 3]));
        assert_eq!(both.without(&[Rank(3)]), single(&[0, 1]));
        let mixed = single(&[2, 1]).map(|left| Located { embeddings: ranks(&[1, 2]), ..left });
        assert_eq!(both.without(&[Rank(0), Rank(3)]), mixed);
        assert_eq!(both.without(&[Rank(1), Rank(3)]), None);
        // Rank 2 holds the first half, rank 1 the second: going on there moves nothing, swapped halves do.
        let spec = StateSpec { grid: [1, 1, 5], bytes_per_token: 10, embedding: Bytes(7) };
        let left = both.without(&[Rank(0), Rank(3)]).expect("kept");
        let to = |active: &[u16]| {
            let edges = migration(
                &spec,
                &left,
                Stage::Denoise,
                Parallelism::ulysses(active.len() as u8),
                &ranks(active),
            );
            edges.iter().map(|e| (e.src.0, e.dst.0, e.bytes.0)).collect::<Vec<_>>()
        };
        assert_eq!(to(&[2, 1]), []);
        assert_eq!(to(&[1, 2]), [(2, 1, 30), (1, 2, 20)]);
        assert_eq!(to(&[2]), [(1, 2, 20)]);
        assert_eq!(to(&[0]), [(1, 0, 27), (2, 0, 30)]);
    }
}
