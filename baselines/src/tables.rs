//! Costs for the tests: the published Qwen-Image table on H20, 50 steps, three image sizes.

use crate::offer::ClassOffer;
use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::{Bytes, ClassId, Nanos, Parallelism, Request, RequestId, Shape};
use std::sync::Arc;

/// Milliseconds of a step at degree 1, 2, 4 for 512, 1024 and 1536 pixels.
const STEPS: [(u32, [u64; 3]); 3] =
    [(512, [155, 161, 172]), (1024, [605, 350, 207]), (1536, [1557, 880, 464])];

struct Qwen;

impl Estimator for Qwen {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let Some((_, times)) = STEPS.iter().find(|(side, _)| *side == shape.width) else {
            return ShapeCosts::default();
        };
        let degree = |(i, ms): (usize, &u64)| {
            let degree = 1_u8 << i;
            let parallelism = Parallelism::ulysses(degree);
            DegreeCost { degree: u16::from(degree), parallelism, time: Nanos::from_millis(*ms) }
        };
        let time = Nanos::from_millis(100);
        ShapeCosts {
            encode: Some(Nanos::from_millis(107)),
            steps: times.iter().enumerate().map(degree).collect(),
            decodes: vec![DegreeCost { degree: 1, parallelism: Parallelism::SINGLE, time }],
            state: StateSpec {
                grid: [1, shape.height / 16, shape.width / 16],
                bytes_per_token: 256,
                embedding: Bytes(3_670_016),
            },
        }
    }
}

/// Beliefs equal to the table.
pub(crate) fn qwen() -> Arc<dyn Estimator> {
    Arc::new(Qwen)
}

/// A square image of `side` pixels in 50 steps.
pub(crate) fn image(side: u32) -> Shape {
    let steps = 50;
    Shape { height: side, width: side, frames: 1, text_tokens: 512, steps, ..Shape::default() }
}

/// A request of class 0, 1 or 2 for 512, 1024 or 1536 pixels.
pub(crate) fn request(id: u32, class: u16, arrival: Nanos) -> Request {
    Request {
        id: RequestId(id),
        class: ClassId(class),
        shape: image(STEPS[usize::from(class)].0),
        chunk_steps: 1,
        priority: 0,
        preemptible: true,
        arrival,
        deadline: None,
        t_single: None,
    }
}

/// The three classes in equal shares.
pub(crate) fn qwen_offers() -> Vec<ClassOffer> {
    let offer = |(class, name): (u16, &str)| {
        let shape = image(STEPS[usize::from(class)].0);
        ClassOffer {
            class: ClassId(class),
            name: name.to_owned(),
            share: 1.0,
            steps: 50,
            costs: Qwen.costs(&shape),
        }
    };
    [(0, "S"), (1, "M"), (2, "L")].map(offer).into()
}
