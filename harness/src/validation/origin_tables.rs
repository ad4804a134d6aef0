//! Tables that say where errors come from: prices against what stages took, the machine's drift, charges of each run.

use super::origin::StageRow;
use super::{Level, Origin, Origins, Priced, Validation};
use crate::experiment::CollectiveKind;
use crate::quantity::Duration;
use crate::report::{Block, Cell, Section, Table, number};
use flexdit_core::{Nanos, Stage};
use flexdit_sim::{Charges, GroupSetup};

const WORK: &str = "Prices are held against what the same tasks took in the real runs. What is off here is off before any queue \
                    makes more of it; it is the machine's drift, or tasks that are dearer or cheaper in runs than in tours. What \
                    remains of an error once each run is simulated with every step at the time that it took in the run itself (at \
                    the run's mean, where the simulated system ran it at another layout) tests event logic and charges, given \
                    the durations: queueing, launch, control plane. The durations are the run's own, so it is near zero partly by \
                    construction, and it says nothing of prices. It is hindsight, never a prediction.";

const STAGES: &str =
    "Times of stages in the real runs against their prices (ms; a step, or a whole other stage)";

/// The section with all of them.
pub(super) fn section(validation: &Validation) -> Section {
    let mut blocks = vec![Block::Paragraph(WORK.to_owned()), Block::Table(works(validation))];
    if let Priced::Tours { .. } = validation.priced {
        blocks.push(Block::Table(drift(&validation.levels)));
        blocks.extend(super::pictures::drift(validation).map(Block::Picture));
    }
    blocks.push(Block::Table(stages(&validation.stages)));
    Section::new("Where errors come from", blocks)
}

/// The name of a kind of collectives.
fn words(kind: CollectiveKind) -> &'static str {
    match kind {
        CollectiveKind::GroupFree => "group-free",
        CollectiveKind::Communicators => "communicators",
    }
}

fn signed(share: Option<f64>) -> Cell {
    share.map_or("n/a".into(), |share| format!("{:+.1} %", share * 100.0).into())
}

fn works(validation: &Validation) -> Table {
    let columns = [
        "system",
        "collectives",
        "#time of tasks (s, measured)",
        "#at their prices (s)",
        "#prices off by (derived)",
        "#mean latency off by",
        "#of prices",
        "#given the durations",
    ];
    let mut table = Table::new("Prices against the real runs' own stage times", &columns);
    for work in &validation.works {
        let mut rows = validation.rows.iter();
        let mean = rows.find(|row| {
            row.system == work.system && row.class.is_none() && row.metric == "latency_ms_mean"
        });
        table.row(vec![
            work.system.clone().into(),
            words(work.collectives).into(),
            number(work.measured_s).into(),
            number(work.priced_s).into(),
            signed(work.error()),
            signed(mean.and_then(|row| row.error)),
            signed(mean.and_then(super::Row::of_prices)),
            signed(mean.and_then(|row| row.own)),
        ]);
    }
    table
}

/// How far the price of the same work moved.
fn drift(levels: &[Level]) -> Table {
    let columns = [
        "collectives",
        "#rounds",
        "#cheapest",
        "#dearest",
        "#from one round to the next, mean",
        "#at most",
    ];
    let mut table = Table::new("The runs' work at the prices of single rounds (derived)", &columns);
    for kind in [CollectiveKind::GroupFree, CollectiveKind::Communicators] {
        let rounds = levels.iter().filter(|one| one.collectives == kind && one.system.is_none());
        let rounds: Vec<f64> = rounds.map(|one| one.level).collect();
        if rounds.is_empty() {
            continue;
        }
        let moved: Vec<f64> =
            rounds.windows(2).map(|pair| (pair[1] / pair[0] - 1.0).abs()).collect();
        let mean = moved.iter().sum::<f64>() / moved.len().max(1) as f64;
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let least = rounds.iter().copied().fold(f64::MAX, f64::min);
        table.row(vec![
            words(kind).into(),
            rounds.len().to_string().into(),
            signed(Some(least - 1.0)),
            signed(Some(most(&rounds) - 1.0)),
            format!("{:.1} %", mean * 100.0).into(),
            format!("{:.1} %", most(&moved) * 100.0).into(),
        ]);
    }
    table
}

fn stages(rows: &[StageRow]) -> Table {
    let columns =
        ["system", "shape", "stage", "layout", "#how many", "#measured", "#price", "#price off by"];
    let mut table = Table { folded: true, ..Table::new(STAGES, &columns) };
    for row in rows {
        let stage = match row.stage {
            Stage::Denoise => "step",
            other => other.name(),
        };
        table.row(vec![
            row.system.clone().into(),
            row.shape.clone().into(),
            stage.into(),
            row.layout.to_string().into(),
            row.units.to_string().into(),
            number(row.measured_ms).into(),
            row.price_ms.map_or("n/a".into(), |price| number(price).into()),
            signed(row.price_ms.map(|price| price / row.measured_ms - 1.0)),
        ]);
    }
    table
}

/// What a communicator costs that was not made at start-up; `None` where all are.
fn first_use(charges: &Charges) -> Option<f64> {
    match charges.group_setup {
        GroupSetup::FirstUse { cost, .. } => Some(cost.0 as f64),
        _ => None,
    }
}

/// What was charged beside stages, where every run has charges of its own.
pub(super) fn charges(validation: &Validation) -> Table {
    let columns = [
        "system",
        "#launch",
        "#control plane",
        "#group set-up, 2 ranks",
        "#migration, fixed part",
        "#migration, GB/s",
    ];
    let caption = "What virtual time charged, mean over runs [least, most], and where it comes from: tours and the profile were \
                   measured, the experiment's are its own, defaults are assumed or published";
    let mut table = Table::new(caption, &columns);
    let time = |nanos: f64| Duration(Nanos(nanos.round() as u64)).to_string();
    for work in &validation.works {
        let mine = || validation.pairs.iter().filter(|pair| pair.system == work.system);
        let cell = |value: fn(&Charges) -> Option<f64>,
                    origin: fn(&Origins) -> Origin,
                    words: &dyn Fn(f64) -> String|
         -> Cell {
            let values: Vec<f64> = mine().filter_map(|pair| value(&pair.charges)).collect();
            if values.is_empty() {
                return "none".into();
            }
            let least = values.iter().copied().fold(f64::MAX, f64::min);
            let most = values.iter().copied().fold(0.0, f64::max);
            let mut origins: Vec<&str> = mine().map(|pair| origin(&pair.origins).words()).collect();
            origins.sort_unstable();
            origins.dedup();
            let (least, most, origins) = (words(least), words(most), origins.join(" or "));
            Cell {
                text: words(values.iter().sum::<f64>() / values.len() as f64),
                detail: format!("[{least}, {most}], {origins}"),
            }
        };
        table.row(vec![
            work.system.clone().into(),
            cell(|c| Some(c.launch.0 as f64), |o| o.launch, &time),
            cell(|c| Some(c.control_plane.0 as f64), |o| o.control_plane, &time),
            match work.collectives {
                CollectiveKind::GroupFree => {
                    let first =
                        |c: &Charges| c.group_setup_by_degree.first().map(|(_, t)| t.0 as f64);
                    cell(first, |o| o.group_setup, &time)
                }
                CollectiveKind::Communicators => cell(first_use, |o| o.group_setup, &time),
            },
            cell(|c| Some(c.migration.latency.0 as f64), |o| o.latency, &time),
            cell(|c| Some(c.migration.bytes_per_second as f64 / 1e9), |o| o.bandwidth, &number),
        ]);
    }
    table
}
