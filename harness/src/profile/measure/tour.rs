//! What is timed: a tour of one shape through every stage and layout, as turns that all ranks take together.
//!
//! Owns the order of work and no clock. Invariant: in a turn every rank that finds a place does the same work, as under
//! load; a turn begins when everything before it has ended, so tasks of different layouts never share the machine.

use flexdit_core::model::ModelSpec;
use flexdit_core::{ClassId, Group, Nanos, Parallelism, Rank, Request, RequestId, Shape, Stage};

/// The layouts of one shape that are timed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// Of a denoising step.
    pub steps: Vec<Parallelism>,
    /// Of a VAE decode.
    pub decodes: Vec<Parallelism>,
}

impl Layouts {
    /// Everything that geometry allows of these degrees: Ulysses for a step, guidance branches on different ranks too if the
    /// shape is guided; rows for a decode. No ring.
    pub fn of(model: &ModelSpec, shape: &Shape, degrees: &[u16], patches: &[u8]) -> Self {
        let narrow = |degree: u16| u8::try_from(degree).ok();
        let plain =
            degrees.iter().filter_map(|degree| Some(Parallelism::ulysses(narrow(*degree)?)));
        let even = degrees.iter().filter(|degree| shape.guidance && degree.is_multiple_of(2));
        let split = even.filter_map(|degree| {
            Some(Parallelism { cfg: 2, ..Parallelism::ulysses(narrow(degree / 2)?) })
        });
        let feasible = |layout: &Parallelism| model.check(shape, layout).is_ok();
        Self {
            steps: plain.chain(split).filter(feasible).collect(),
            decodes: patches.iter().map(|p| Parallelism::patch(*p)).filter(feasible).collect(),
        }
    }
}

/// One task of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose.
    pub request: RequestId,
    /// The stage.
    pub stage: Stage,
    /// Where.
    pub ranks: Group,
    /// How it is split.
    pub layout: Parallelism,
    /// Denoising steps; 0 in other stages.
    pub steps: u32,
    /// Whether its time counts: the first of a tour pays for cold memory.
    pub counts: bool,
}

/// One pass of a shape through every stage and layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tour {
    /// The requests, all there from the beginning.
    pub requests: Vec<Request>,
    /// Tasks that begin together, turn by turn.
    pub turns: Vec<Vec<Part>>,
}

/// How much of everything a tour has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Ranks.
    pub world: u16,
    /// Steps of a chunk.
    pub chunk: u32,
    /// Crews for every decode layout.
    pub crews: u32,
    /// Turns the order of layouts: what comes after what differs from pass to pass.
    pub turn: usize,
}

impl Tour {
    /// A tour: crews of one request a rank, each of which goes through all step layouts once and decodes at one layout. So a
    /// decode layout has half as many samples as a step layout where there are two of them, and as many where there is one. A
    /// crew that does not count comes first.
    ///
    /// # Panics
    /// Without a layout, or if a layout is wider than the world.
    pub fn new(shape: Shape, layouts: &Layouts, amount: Amount) -> Self {
        let count = layouts.steps.len() as u32;
        let first = layouts.decodes.iter().max_by_key(|layout| layout.degree());
        let warm = (*first.expect("a decode layout"), false);
        let decodes = || layouts.decodes.iter().map(|decode| (*decode, true));
        let timed = (0..amount.crews).flat_map(|_| decodes());
        let mut tour = Self { requests: Vec::new(), turns: Vec::new() };
        for (place, (decode, counts)) in std::iter::once(warm).chain(timed).enumerate() {
            let steps = count * amount.chunk;
            let crew: Vec<RequestId> =
                (0..amount.world).map(|_| tour.arrive(Shape { steps, ..shape })).collect();
            let stage = |stage, layout, steps| Work { stage, layout, steps, counts };
            tour.work(&crew, amount.world, stage(Stage::TextEncode, Parallelism::SINGLE, 0));
            for at in 0..layouts.steps.len() {
                let layout = layouts.steps[(at + place + amount.turn) % layouts.steps.len()];
                tour.work(&crew, amount.world, stage(Stage::Denoise, layout, amount.chunk));
            }
            tour.work(&crew, amount.world, stage(Stage::VaeDecode, decode, 0));
        }
        tour
    }

    fn arrive(&mut self, shape: Shape) -> RequestId {
        let id = RequestId(self.requests.len() as u32);
        self.requests.push(Request {
            id,
            class: ClassId(0),
            shape,
            chunk_steps: 1,
            priority: 0,
            preemptible: true,
            arrival: Nanos::ZERO,
            deadline: None,
            t_single: None,
        });
        id
    }

    /// Turns in which every request of the crew does this work once, as many at a time as find ranks.
    fn work(&mut self, crew: &[RequestId], world: u16, work: Work) {
        let degree = work.layout.degree();
        let groups = world / degree;
        assert!(groups > 0, "a layout of {degree} ranks in a world of {world}");
        for some in crew.chunks(usize::from(groups)) {
            let part = |(request, first): (&RequestId, u16)| Part {
                request: *request,
                stage: work.stage,
                ranks: Group::consecutive(Rank(first), degree.into()),
                layout: work.layout,
                steps: work.steps,
                counts: work.counts,
            };
            self.turns.push(some.iter().zip((0..).step_by(degree.into())).map(part).collect());
        }
    }

    /// The parts in the order in which they are launched.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.turns.iter().flatten()
    }
}

/// What a crew does.
#[derive(Clone, Copy)]
struct Work {
    stage: Stage,
    layout: Parallelism,
    steps: u32,
    counts: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::model::model;

    fn shape(guidance: bool) -> Shape {
        Shape {
            guidance,
            height: 64,
            width: 64,
            frames: 1,
            text_tokens: 8,
            steps: 1,
            ..Shape::default()
        }
    }

    fn names(layouts: &[Parallelism]) -> Vec<String> {
        layouts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn layouts_are_those_that_geometry_allows() {
        let qwen = model("qwen-image").expect("listed");
        let plain = Layouts::of(qwen, &shape(false), &[1, 2, 5], &[1, 2, 9]);
        assert_eq!(
            (names(&plain.steps), names(&plain.decodes)),
            (vec!["1".to_owned(), "u2".to_owned()], vec!["1".to_owned(), "patch2".to_owned()])
        );
        let guided = Layouts::of(qwen, &shape(true), &[1, 2, 4], &[1]);
        assert_eq!(names(&guided.steps), ["1", "u2", "u4", "cfg2", "cfg2u2"]);
    }

    #[test]
    fn every_turn_fills_the_ranks_with_the_same_work_and_every_request_ends() {
        let qwen = model("qwen-image").expect("listed");
        let layouts = Layouts::of(qwen, &shape(true), &[1, 2, 3], &[1, 2]);
        let amount = Amount { world: 3, chunk: 2, crews: 4, turn: 1 };
        let tour = Tour::new(shape(true), &layouts, amount);
        assert_eq!(tour.requests.len(), 27);
        let mut steps = vec![0; 27];
        let mut decoded = vec![0; 27];
        for turn in &tour.turns {
            let ranks: usize = turn.iter().map(|part| part.ranks.len()).sum();
            assert!(ranks <= 3 && turn.iter().all(|part| part.layout == turn[0].layout));
            for part in turn {
                steps[part.request.index()] += part.steps;
                decoded[part.request.index()] += u32::from(part.stage == Stage::VaeDecode);
            }
        }
        let asked: Vec<u32> = tour.requests.iter().map(|request| request.shape.steps).collect();
        assert_eq!(steps, asked);
        assert_eq!(decoded, [1; 27]);
        let uncounted = tour.parts().filter(|part| !part.counts);
        assert!(uncounted.map(|part| part.request.index()).all(|request| request < 3));
        let counted = |stage, layout| {
            let alike = |part: &&Part| part.counts && (part.stage, part.layout) == (stage, layout);
            tour.parts().filter(alike).count()
        };
        for layout in layouts.steps {
            assert_eq!(counted(Stage::Denoise, layout), 24, "{layout}");
        }
        for layout in layouts.decodes {
            assert_eq!(counted(Stage::VaeDecode, layout), 12, "{layout}");
        }
    }
}
