//! What is timed: a tour of some shapes through every stage and layout, as legs that groups of ranks walk side by side.
//!
//! Owns what there is to do, and no clock; who does it when is `deal`'s. Invariant: a leg begins when everything before it has
//! ended, and each of its groups has a list of its own and waits for no other. So a task's neighbours are of any shape, as
//! under load, but steps of different layouts never share the machine.

use super::deal::{Dealer, Duty};
use flexdit_core::model::ModelSpec;
use flexdit_core::{ClassId, Group, Nanos, Parallelism, Request, RequestId, Shape, Stage};

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

/// One shape of a tour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The shape; its number of steps is the tour's business.
    pub shape: Shape,
    /// Steps of a chunk.
    pub chunk: u32,
    /// Where it is timed: at least one layout of either stage.
    pub layouts: Layouts,
}

/// One task of a tour.
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

/// What is done between two points at which all ranks are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// What each group of ranks does, one task after the other; groups share no rank.
    pub lists: Vec<Vec<Part>>,
}

/// One pass of some shapes through every stage and layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tour {
    /// The requests, all there from the beginning; which request has which shape does not depend on the round.
    pub requests: Vec<Request>,
    /// One after the other.
    pub legs: Vec<Leg>,
}

/// How much of everything a tour has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Ranks.
    pub world: u16,
    /// Crews for every decode layout.
    pub crews: u32,
    /// Which tour of the same shapes it is: each has orders of its own.
    pub round: u32,
}

/// Requests that go through all stages together: one of every shape for each rank.
struct Crew {
    /// By shape.
    members: Vec<Vec<RequestId>>,
    /// Where they decode, by shape.
    decodes: Vec<Parallelism>,
    counts: bool,
}

impl Tour {
    /// A tour: crews of one request of every shape for each rank, each of which goes through all step layouts of its shape
    /// once and decodes at one layout. So a decode layout has half as many samples as a step layout where there are two of
    /// them, and as many where there is one; a shape with fewer decode layouts than another has more of each. A crew that
    /// does not count comes first.
    ///
    /// What one rank does alone is one leg: a crew's text encoding, its steps at degree 1, and what is left to decode at
    /// degree 1 of the crew before. A leg for each wider step layout follows, in an order that turns from crew to crew, and
    /// one for each wider decode layout.
    ///
    /// # Panics
    /// If a shape has no decode layout, or if a layout is wider than the world.
    pub fn new(visits: &[Visit], amount: Amount) -> Self {
        let steps = wide(visits.iter().flat_map(|visit| &visit.layouts.steps));
        let decodes = wide(visits.iter().flat_map(|visit| &visit.layouts.decodes));
        let most = visits.iter().map(|visit| visit.layouts.decodes.len()).max();
        let timed = amount.crews as usize * most.unwrap_or(0);
        let mut dealer = Dealer::new(amount.world, amount.round);
        let mut tour = Self { requests: Vec::new(), legs: Vec::new() };
        let mut before: Option<Crew> = None;
        for place in 0..=timed {
            let crew = tour.crew(visits, amount.world, place);
            let mut alone = crew.begins(visits);
            alone.extend(before.iter().flat_map(|before| before.decodes_at(Parallelism::SINGLE)));
            tour.legs.extend(dealer.leg(1, alone));
            for at in 0..steps.len() {
                let layout = steps[(at + place + amount.round as usize) % steps.len()];
                tour.legs.extend(dealer.leg(layout.degree(), crew.steps_at(visits, layout)));
            }
            for layout in &decodes {
                tour.legs.extend(dealer.leg(layout.degree(), crew.decodes_at(*layout)));
            }
            before = Some(crew);
        }
        let left = before.iter().flat_map(|crew| crew.decodes_at(Parallelism::SINGLE)).collect();
        tour.legs.extend(dealer.leg(1, left));
        tour
    }

    fn crew(&mut self, visits: &[Visit], world: u16, place: usize) -> Crew {
        let mut crew = Crew { members: Vec::new(), decodes: Vec::new(), counts: place > 0 };
        for Visit { shape, chunk, layouts } in visits {
            let steps = layouts.steps.len() as u32 * chunk;
            let member = |_| self.arrive(Shape { steps, ..*shape });
            crew.members.push((0..world).map(member).collect());
            let decode = match place.checked_sub(1) {
                None => layouts.decodes.iter().max_by_key(|layout| layout.degree()),
                Some(timed) => layouts.decodes.iter().cycle().nth(timed),
            };
            crew.decodes.push(*decode.expect("a decode layout"));
        }
        crew
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

    /// The shape of every request.
    pub fn shapes(&self) -> Vec<Shape> {
        self.requests.iter().map(|request| request.shape).collect()
    }

    /// The parts; those of one request in their order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.legs.iter().flat_map(|leg| &leg.lists).flatten()
    }
}

impl Crew {
    /// Text encoding, and a chunk at degree 1 where the shape has that.
    fn begins(&self, visits: &[Visit]) -> Vec<Duty> {
        let of_shape = |(members, visit): (&Vec<RequestId>, &Visit)| {
            let mut tasks = vec![(Stage::TextEncode, Parallelism::SINGLE, 0)];
            if visit.layouts.steps.contains(&Parallelism::SINGLE) {
                tasks.push((Stage::Denoise, Parallelism::SINGLE, visit.chunk));
            }
            self.duties(members, &tasks)
        };
        self.members.iter().zip(visits).flat_map(of_shape).collect()
    }

    /// A chunk of every request whose shape has this layout.
    fn steps_at(&self, visits: &[Visit], layout: Parallelism) -> Vec<Duty> {
        let all = self.members.iter().zip(visits);
        let mine = all.filter(|(_, visit)| visit.layouts.steps.contains(&layout));
        mine.flat_map(|(members, visit)| {
            self.duties(members, &[(Stage::Denoise, layout, visit.chunk)])
        })
        .collect()
    }

    /// Decoding of every request that does it at this layout.
    fn decodes_at(&self, layout: Parallelism) -> Vec<Duty> {
        let all = self.members.iter().zip(&self.decodes);
        let mine = all.filter(|(_, decode)| **decode == layout);
        mine.flat_map(|(members, _)| self.duties(members, &[(Stage::VaeDecode, layout, 0)]))
            .collect()
    }

    fn duties(&self, members: &[RequestId], tasks: &[(Stage, Parallelism, u32)]) -> Vec<Duty> {
        let duty = |request: &RequestId| Duty {
            request: *request,
            tasks: tasks.to_vec(),
            counts: self.counts,
        };
        members.iter().map(duty).collect()
    }
}

/// The layouts of several ranks, ascending, each once.
fn wide<'a>(layouts: impl Iterator<Item = &'a Parallelism>) -> Vec<Parallelism> {
    let mut wide: Vec<Parallelism> =
        layouts.filter(|layout| layout.degree() > 1).copied().collect();
    wide.sort_unstable();
    wide.dedup();
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::model::model;
    use std::collections::BTreeMap;

    fn shape(guidance: bool, side: u32) -> Shape {
        Shape {
            guidance,
            height: side,
            width: side,
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
        let plain = Layouts::of(qwen, &shape(false, 64), &[1, 2, 5], &[1, 2, 9]);
        assert_eq!(
            (names(&plain.steps), names(&plain.decodes)),
            (vec!["1".to_owned(), "u2".to_owned()], vec!["1".to_owned(), "patch2".to_owned()])
        );
        let guided = Layouts::of(qwen, &shape(true, 64), &[1, 2, 4], &[1]);
        assert_eq!(names(&guided.steps), ["1", "u2", "u4", "cfg2", "cfg2u2"]);
    }

    /// Shapes of three sizes; the last has the first layouts alone.
    fn visits(degrees: &[u16], patches: &[u8]) -> Vec<Visit> {
        let qwen = model("qwen-image").expect("listed");
        let visit = |(side, degrees, patches)| {
            let shape = shape(true, side);
            Visit { shape, chunk: 2, layouts: Layouts::of(qwen, &shape, degrees, patches) }
        };
        let few = (128, &degrees[..1], &patches[..1]);
        [(64, degrees, patches), (96, degrees, patches), few].map(visit).into()
    }

    /// Tasks that count, by size, stage and layout.
    fn counted(tour: &Tour) -> BTreeMap<(u32, Stage, String), usize> {
        let shapes = tour.shapes();
        let mut counted = BTreeMap::new();
        for part in tour.parts().filter(|part| part.counts) {
            let side = shapes[part.request.index()].height;
            *counted.entry((side, part.stage, part.layout.to_string())).or_default() += 1;
        }
        counted
    }

    #[test]
    fn every_request_goes_through_its_stages_once_and_in_order() {
        for (world, degrees, patches) in
            [(2, vec![1, 2], vec![1, 2]), (3, vec![1, 2, 3], vec![1, 2]), (4, vec![2, 4], vec![2])]
        {
            let visits = visits(&degrees, &patches);
            let tour = Tour::new(&visits, Amount { world, crews: 3, round: 1 });
            let crews = 1 + 3 * patches.len();
            assert_eq!(tour.requests.len(), crews * visits.len() * usize::from(world));
            for request in &tour.requests {
                let mine: Vec<&Part> =
                    tour.parts().filter(|part| part.request == request.id).collect();
                let layouts =
                    &visits.iter().find(|visit| visit.shape.height == request.shape.height);
                let layouts = &layouts.expect("a shape of the tour").layouts;
                assert_eq!(
                    (mine[0].stage, mine[0].layout),
                    (Stage::TextEncode, Parallelism::SINGLE)
                );
                let [_, steps @ .., last] = &mine[..] else { panic!("{mine:?}") };
                assert!(steps.iter().all(|part| part.stage == Stage::Denoise && part.steps == 2));
                let mut at: Vec<Parallelism> = steps.iter().map(|part| part.layout).collect();
                assert_eq!(at.len() as u32 * 2, request.shape.steps);
                at.sort_unstable();
                let mut all = layouts.steps.clone();
                all.sort_unstable();
                assert_eq!(at, all);
                assert!(last.stage == Stage::VaeDecode && layouts.decodes.contains(&last.layout));
                // What one rank can do happens where the request began: nothing has to move for it.
                let alone = mine.iter().filter(|part| part.ranks.len() == 1);
                assert!(alone.clone().all(|part| part.ranks == mine[0].ranks), "{mine:?}");
            }
        }
    }

    #[test]
    fn a_layout_is_timed_as_often_as_crews_say_and_the_first_crew_does_not_count() {
        let tour = Tour::new(&visits(&[1, 2], &[1, 2]), Amount { world: 2, crews: 3, round: 0 });
        let counted = counted(&tour);
        let of = |side, stage, layout: &str| {
            counted.get(&(side, stage, layout.to_owned())).copied().unwrap_or(0)
        };
        for side in [64, 96] {
            for layout in ["1", "u2", "cfg2"] {
                assert_eq!(of(side, Stage::Denoise, layout), 12, "{side} {layout}");
            }
            for layout in ["1", "patch2"] {
                assert_eq!(of(side, Stage::VaeDecode, layout), 6, "{side} {layout}");
            }
        }
        for side in [64, 96, 128] {
            assert_eq!(of(side, Stage::TextEncode, "1"), 12);
        }
        // A shape that has fewer layouts has more of each.
        assert_eq!((of(128, Stage::Denoise, "1"), of(128, Stage::Denoise, "u2")), (12, 0));
        assert_eq!((of(128, Stage::VaeDecode, "1"), of(128, Stage::VaeDecode, "patch2")), (12, 0));
        let uncounted = tour.parts().filter(|part| !part.counts);
        assert!(uncounted.map(|part| part.request.index()).all(|request| request < 6));
    }

    #[test]
    fn ranks_that_work_alone_do_all_shapes_and_stages_beside_each_other() {
        let tour = Tour::new(&visits(&[1, 2], &[1]), Amount { world: 2, crews: 2, round: 0 });
        let shapes = tour.shapes();
        let singles = |leg: &&Leg| leg.lists[0][0].ranks.len() == 1;
        let singles: Vec<&Leg> = tour.legs.iter().filter(singles).collect();
        // One for every crew, and one for what is left to decode.
        assert_eq!(singles.len(), 4);
        for leg in &singles {
            let work = |list: &Vec<Part>| {
                let one = |part: &Part| {
                    (part.stage, shapes[part.request.index()].height, part.layout, part.steps)
                };
                let mut work: Vec<_> = list.iter().map(one).collect();
                work.sort_unstable();
                work
            };
            assert_eq!(leg.lists.len(), 2);
            assert_eq!(work(&leg.lists[0]), work(&leg.lists[1]));
        }
        let middle = &singles[1].lists;
        assert_eq!(middle[0].len(), 9, "encode, step and decode of three shapes");
        let order = |list: &Vec<Part>| -> Vec<_> {
            list.iter().map(|part| (part.stage, shapes[part.request.index()].height)).collect()
        };
        assert_ne!(order(&middle[0]), order(&middle[1]));
    }

    #[test]
    fn legs_of_several_ranks_have_one_layout_and_their_order_turns() {
        let visits = visits(&[1, 2], &[1]);
        let orders = [0, 1].map(|round| {
            let tour = Tour::new(&visits, Amount { world: 2, crews: 2, round });
            let of_leg = |leg: &Leg| {
                let mut layouts = leg.lists.iter().flatten().map(|part| part.layout);
                let first = layouts.next().expect("a part");
                assert!(layouts.all(|layout| layout == first));
                first.to_string()
            };
            let wide = tour.legs.iter().map(of_leg).filter(|layout| layout != "1");
            wide.collect::<Vec<_>>()
        });
        assert_eq!(orders[0], ["cfg2", "u2", "u2", "cfg2", "cfg2", "u2"]);
        assert_eq!(orders[1], ["u2", "cfg2", "cfg2", "u2", "u2", "cfg2"]);
    }
}
