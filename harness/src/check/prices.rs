//! Random cost tables and charges of a case.

use super::dice::Dice;
use flexdit_core::cost::{
    CostBook, CostEntry, CostStage, CostTable, Curve, Mode, Provenance, Quadratic,
};
use flexdit_core::model::{gpu, model};
use flexdit_core::{Nanos, Parallelism};
use flexdit_sim::{Charges, GroupSetup, MigrationCharge, Occupies, Stragglers};

const MODELS: [&str; 4] = ["qwen-image", "wan2.2-ti2v-5b", "hunyuanvideo", "cogvideox-2b"];
const DEGREES: [u8; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

fn entry(b: f64, c: f64) -> CostEntry {
    let curve = Curve::quadratic(Quadratic { a: 0.0, b, c }, None);
    CostEntry { curve, provenance: Provenance::Derived, source: "drawn".to_owned() }
}

/// A table of one or two models at random layouts; degree 1 is always priced.
pub(super) fn book(dice: &mut Dice) -> CostBook {
    let count = dice.range(1, 2);
    CostBook::new((0..count).map(|_| table(dice)).collect())
}

fn table(dice: &mut Dice) -> CostTable {
    let name = dice.pick(&MODELS);
    let gpu = gpu("h20").expect("a listed GPU");
    let mut table = CostTable::new(model(name).expect("a listed model"), gpu, Mode::Eager);
    let per_token = 0.002 + 0.03 * dice.unit();
    let loss = 0.2 * dice.unit();
    for degree in DEGREES {
        let mut layouts = vec![Parallelism::ulysses(degree)];
        if degree > 1 {
            layouts.push(Parallelism { ring: degree, ..Parallelism::SINGLE });
            layouts.push(Parallelism { cfg: 2, ring: degree.div_ceil(2), ..Parallelism::SINGLE });
            layouts.retain(|_| dice.chance(0.6));
        }
        for layout in layouts {
            let ranks = f64::from(layout.degree());
            let slope = per_token * (1.0 + loss * (ranks - 1.0)) / ranks;
            for guidance in [false, true] {
                if layout.cfg == 1 || guidance {
                    let twice = if guidance { 2.0 } else { 1.0 };
                    let cost = entry(slope * twice, 1.0 + 5.0 * dice.unit());
                    table.insert(CostStage::Step { guidance }, layout, cost);
                }
            }
        }
    }
    for patch in [1, 2, 4] {
        if patch == 1 || dice.chance(0.5) {
            let cost = entry(0.0, 5.0 + 50.0 * dice.unit() / f64::from(patch));
            table.insert(CostStage::VaeDecode, Parallelism::patch(patch), cost);
        }
    }
    let single = [
        (CostStage::TextEncode, 50.0),
        (CostStage::DitPrepare, 10.0),
        (CostStage::TimestepPrepare, 1.0),
        (CostStage::Finalize, 1.0),
    ];
    for (stage, most) in single {
        table.insert(stage, Parallelism::SINGLE, entry(0.0, most * dice.unit()));
    }
    table
}

/// Charges of every mode.
pub(super) fn charges(dice: &mut Dice, world: u16) -> Charges {
    if dice.chance(0.15) {
        return Charges::free();
    }
    let cost = dice.time(Nanos::from_millis(100));
    let group_setup = match dice.range(0, 3) {
        0 => GroupSetup::Free,
        1 => GroupSetup::PerUse(cost),
        2 => GroupSetup::Fixed(cost),
        _ => GroupSetup::FirstUse { cost, capacity: dice.range(0, 4) as u32 },
    };
    let occupies = dice.pick(&[Occupies::Both, Occupies::Destination]);
    let migration = MigrationCharge {
        // Long moves give faults and cancellations something to hit.
        latency: dice.time(Nanos::from_millis(300)),
        bytes_per_second: dice.pick(&[0, 1_000_000_000, 200_000_000_000]),
        inter_node_bytes_per_second: dice.pick(&[0, 10_000_000_000]),
        occupies,
    };
    let stragglers = match dice.range(0, 3) {
        0 => Stragglers {
            probability: 0.1,
            factor: 4.0,
            slow_ranks: vec![(dice.range(0, u64::from(world) - 1) as u16, 1.7)],
        },
        _ => Stragglers::default(),
    };
    let micro = |dice: &mut Dice| Nanos::from_micros(dice.range(0, 50));
    Charges {
        migration,
        group_setup,
        launch: micro(dice),
        start_delay: if dice.chance(0.3) { micro(dice) } else { Nanos::ZERO },
        control_plane: micro(dice),
        planning: if dice.chance(0.3) { micro(dice) } else { Nanos::ZERO },
        jitter: if dice.chance(0.3) { 0.2 } else { 0.0 },
        stragglers,
        ranks_per_node: dice.pick(&[0, 2, 8]),
        group_setup_by_degree: match dice.chance(0.2) {
            true => [2, 5].map(|degree| (degree, dice.time(Nanos::from_millis(100)))).into(),
            false => Vec::new(),
        },
    }
}
