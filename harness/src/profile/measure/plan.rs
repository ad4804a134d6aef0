//! Which shapes of which model are timed, where, and how often.

use super::tour::{Amount, Layouts, Tour, Visit};
use crate::experiment::CollectiveKind;
use crate::input::InputError;
use flexdit_core::model::ModelSpec;
use flexdit_core::{Parallelism, Shape};
use serde::{Deserialize, Serialize};

/// Everything that decides what is run; a measurement is resumed under the same plan only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The model.
    pub model: String,
    /// Ranks.
    pub world: u16,
    /// Degrees of a denoising step.
    pub degrees: Vec<u16>,
    /// Degrees of a VAE decode.
    pub patches: Vec<u8>,
    /// The shapes, ascending; their numbers of steps are those of a tour.
    pub shapes: Vec<Shape>,
    /// Denoising steps of a task.
    pub chunk: u32,
    /// Crews for every decode layout, in one tour.
    pub crews: u32,
    /// Tours of all shapes.
    pub rounds: u32,
    /// Whether ranks keep to a core each.
    pub pin: bool,
    /// How ranks talk to each other.
    pub collectives: CollectiveKind,
}

impl Plan {
    /// Refuses what cannot be profiled; `from` names where the plan comes from.
    ///
    /// # Errors
    /// No shape, a layout that the world or the model does not allow, or shapes that one profile cannot price.
    pub fn check(&self, model: &ModelSpec, from: &str) -> Result<(), InputError> {
        let refuse = |message: String| Err(InputError::new(from, message));
        let Some(first) = self.shapes.first() else {
            return refuse(format!("expected a shape of {}, got none", self.model));
        };
        if let Some(wide) = self.degrees.iter().find(|degree| **degree > self.world) {
            return refuse(format!("a degree of {wide} in a world of {} ranks", self.world));
        }
        if let Some(wide) = self.patches.iter().find(|degree| u16::from(**degree) > self.world) {
            return refuse(format!("a patch degree of {wide} in a world of {} ranks", self.world));
        }
        for shape in &self.shapes {
            let size = size(shape);
            let layouts = self.layouts(model, shape);
            if let Err(why) = model.grid(shape.height, shape.width, shape.frames) {
                return refuse(format!("{size}: {why}"));
            }
            if layouts.steps.is_empty() || layouts.decodes.is_empty() {
                return refuse(format!("{} cannot make {size} at any of the degrees", self.model));
            }
            if shape.guidance != first.guidance {
                let message = "guided and unguided shapes of one model: a profile prices text \
                               encoding for one of them; measure them apart";
                return refuse(message.to_owned());
            }
            if shape.text_tokens != first.text_tokens {
                let message = format!(
                    "shapes with {} and {} text tokens: a profile prices text encoding for one \
                     number; measure them apart",
                    first.text_tokens, shape.text_tokens
                );
                return refuse(message);
            }
        }
        Ok(())
    }

    /// The layouts of a shape.
    pub fn layouts(&self, model: &ModelSpec, shape: &Shape) -> Layouts {
        Layouts::of(model, shape, &self.degrees, &self.patches)
    }

    /// Degrees that were asked for and are not measured, since geometry does not allow them, one line each: of every shape, or
    /// of those that it names.
    pub fn dropped(&self, model: &ModelSpec) -> Vec<String> {
        let steps = self.degrees.iter().map(|degree| {
            let layout = u8::try_from(*degree).map(Parallelism::ulysses);
            let has = |layouts: &Layouts| layouts.steps.iter().any(|l| l.degree() == *degree);
            self.without(model, &format!("degree {degree}"), layout.ok(), &has)
        });
        let decodes = self.patches.iter().map(|patch| {
            let layout = Parallelism::patch(*patch);
            let has = |layouts: &Layouts| layouts.decodes.contains(&layout);
            self.without(model, &format!("patch degree {patch}"), Some(layout), &has)
        });
        steps.chain(decodes).flatten().collect()
    }

    fn without(
        &self,
        model: &ModelSpec,
        what: &str,
        layout: Option<Parallelism>,
        has: &dyn Fn(&Layouts) -> bool,
    ) -> Option<String> {
        let lacks = |shape: &&Shape| !has(&self.layouts(model, shape));
        let lacking: Vec<&Shape> = self.shapes.iter().filter(lacks).collect();
        let first = *lacking.first()?;
        let why = match layout.map(|layout| model.check(first, &layout)) {
            Some(Err(why)) => format!(": {why}"),
            _ => String::new(),
        };
        let of = match lacking.len() == self.shapes.len() {
            true => String::new(),
            false => {
                let sizes: Vec<String> = lacking.iter().map(|shape| size(shape)).collect();
                format!(" of {}", sizes.join(", "))
            }
        };
        Some(format!("{what}{of} is not measured{why}"))
    }

    /// The tour of a round, all shapes at once: what the machine does meanwhile touches them alike.
    ///
    /// # Panics
    /// If the plan was not [checked](Plan::check).
    pub fn tour(&self, model: &ModelSpec, round: u32) -> Tour {
        let visit = |shape: &Shape| {
            let layouts = self.layouts(model, shape);
            Visit { shape: *shape, chunk: self.chunk, layouts }
        };
        let visits: Vec<Visit> = self.shapes.iter().map(visit).collect();
        Tour::new(&visits, Amount { world: self.world, crews: self.crews, round })
    }
}

/// A shape's size as people write it: `256x256`, `128x128x17`.
pub fn size(shape: &Shape) -> String {
    let Shape { height, width, frames, .. } = shape;
    if *frames == 1 { format!("{height}x{width}") } else { format!("{height}x{width}x{frames}") }
}

/// Reads `HEIGHTxWIDTH` or `HEIGHTxWIDTHxFRAMES`.
///
/// # Errors
/// Anything else.
pub fn parse_size(text: &str) -> Result<(u32, u32, u32), String> {
    let numbers: Result<Vec<u32>, _> = text.split('x').map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[height, width]) if height > 0 && width > 0 => Ok((height, width, 1)),
        Ok(&[height, width, frames]) if height > 0 && width > 0 && frames > 0 => {
            Ok((height, width, frames))
        }
        _ => Err("expected HEIGHTxWIDTH or HEIGHTxWIDTHxFRAMES, such as 256x256".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::Stage;
    use flexdit_core::model::model;

    fn plan() -> Plan {
        let shape = |side| Shape {
            height: side,
            width: side,
            frames: 1,
            text_tokens: 8,
            ..Shape::default()
        };
        Plan {
            model: "qwen-image".into(),
            world: 2,
            degrees: vec![1, 2],
            patches: vec![1],
            shapes: vec![shape(64), shape(96), shape(128)],
            chunk: 1,
            crews: 1,
            rounds: 2,
            pin: false,
            collectives: CollectiveKind::GroupFree,
        }
    }

    fn refused(change: impl FnOnce(&mut Plan)) -> String {
        let mut plan = plan();
        change(&mut plan);
        plan.check(model("qwen-image").expect("listed"), "here").unwrap_err().to_string()
    }

    #[test]
    fn a_tour_has_every_shape_at_every_layout_and_each_round_another_order() {
        let (plan, qwen) = (plan(), model("qwen-image").expect("listed"));
        plan.check(qwen, "here").expect("sound");
        let tours = [0, 1].map(|round| plan.tour(qwen, round));
        assert_eq!(tours[0], plan.tour(qwen, 0));
        assert_ne!(tours[0].legs, tours[1].legs);
        assert_eq!(tours[0].requests, tours[1].requests);
        for tour in &tours {
            let shapes = tour.shapes();
            for shape in &plan.shapes {
                let of = |layout| {
                    let mine = tour.parts().filter(|part| part.counts && part.layout == layout);
                    let mine = mine.filter(|part| part.stage == Stage::Denoise);
                    mine.filter(|part| shapes[part.request.index()].height == shape.height).count()
                };
                assert_eq!([Parallelism::SINGLE, Parallelism::ulysses(2)].map(of), [2, 2]);
            }
        }
    }

    #[test]
    fn what_one_profile_cannot_price_is_refused() {
        assert_eq!(refused(|p| p.degrees.push(3)), "here: a degree of 3 in a world of 2 ranks");
        assert_eq!(
            refused(|p| p.patches.push(4)),
            "here: a patch degree of 4 in a world of 2 ranks"
        );
        assert_eq!(refused(|p| p.shapes.clear()), "here: expected a shape of qwen-image, got none");
        assert!(refused(|p| p.shapes[1].guidance = true).contains("measure them apart"));
        assert!(refused(|p| p.shapes[2].text_tokens = 9).contains("with 8 and 9 text tokens"));
        assert!(refused(|p| p.shapes[0].height = 7).starts_with("here: 7x64: "));
    }

    #[test]
    fn degrees_that_geometry_does_not_allow_are_named() {
        let qwen = model("qwen-image").expect("listed");
        let mut plan = Plan { world: 64, ..plan() };
        assert_eq!(plan.dropped(qwen), Vec::<String>::new());
        // Qwen-Image has 24 heads; 64 pixels decode in 4 rows, 96 in 6 and 128 in 8.
        (plan.degrees, plan.patches) = (vec![1, 2, 5], vec![1, 6, 64]);
        let dropped = plan.dropped(qwen);
        assert!(dropped[0].starts_with("degree 5 is not measured: "), "{dropped:?}");
        assert!(dropped[1].starts_with("patch degree 6 of 64x64 is not measured: "), "{dropped:?}");
        assert!(dropped[2].starts_with("patch degree 64 is not measured: "), "{dropped:?}");
        assert_eq!(dropped.len(), 3);
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        assert_eq!(parse_size("256x192"), Ok((256, 192, 1)));
        assert_eq!(parse_size("128x96x17"), Ok((128, 96, 17)));
        for wrong in ["", "256", "256x", "0x4", "1x2x3x4", "axb"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        let shape = Shape { height: 4, width: 6, frames: 5, ..Shape::default() };
        assert_eq!(size(&shape), "4x6x5");
    }
}
