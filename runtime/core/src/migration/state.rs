//! A request's moving state: its size, and where it lies.

use super::layout::Layout;
use crate::group::Group;
use crate::ids::Rank;
use crate::model::{Infeasible, ModelSpec};
use crate::parallelism::Parallelism;
use crate::request::Shape;
use crate::task::Stage;
use crate::units::Bytes;

/// Bytes of one latent value: solver state is kept in single precision.
const LATENT_BYTES: u32 = 4;
/// Bytes of one value of a text embedding.
const EMBEDDING_BYTES: u64 = 2;

/// Sizes of the state that moves when a request changes ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSpec {
    /// Latent tokens as (frames, rows, columns).
    pub grid: [u32; 3],
    /// Bytes of one latent token.
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
            bytes_per_token: values * LATENT_BYTES,
            embedding: Bytes(text * EMBEDDING_BYTES * branches),
        })
    }

    /// Latent tokens.
    pub fn tokens(&self) -> u64 {
        self.grid.iter().map(|n| u64::from(*n)).product()
    }

    /// Bytes of all latents.
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
pub(super) fn layout_of(stage: Stage, parallelism: Parallelism) -> Layout {
    match stage {
        Stage::TextEncode => Layout::Replicated,
        Stage::Denoise => Layout::Tokens { parts: u32::from(parallelism.sequence()) },
        Stage::VaeDecode => Layout::Rows { parts: u32::from(parallelism.patch) },
    }
}

/// Where a request's state lies.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The state without `rank`; `None` if something it held has no other copy. The group keeps its
    /// order, so a lost shard's place is only given up when the layout is replicated.
    pub fn without(&self, rank: Rank) -> Option<Self> {
        let embeddings: Group = self.embeddings.iter().copied().filter(|r| *r != rank).collect();
        if embeddings.is_empty() && self.stage != Stage::VaeDecode {
            return None;
        }
        if !self.active.contains(&rank) {
            return Some(Self { embeddings, ..self.clone() });
        }
        let replicated = layout_of(self.stage, self.parallelism).parts() == 1;
        let active: Group = self.active.iter().copied().filter(|r| *r != rank).collect();
        (replicated && !active.is_empty()).then(|| Self {
            stage: self.stage,
            parallelism: self.parallelism,
            active,
            embeddings,
        })
    }
}

fn before_has(before: Option<&Located>, rank: Rank) -> bool {
    before.is_some_and(|old| old.embeddings.contains(&rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::model;

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
        assert_eq!(sharded.without(Rank(1)), None);
        assert_eq!(sharded.without(Rank(5)), Some(sharded.clone()));
        let both = Parallelism { cfg: 2, ..Parallelism::SINGLE };
        let branches = Located::after(None, Stage::Denoise, both, &ranks(&[0, 1]));
        assert_eq!(branches.without(Rank(1)).map(|left| left.active), Some(ranks(&[0])));
    }
}
