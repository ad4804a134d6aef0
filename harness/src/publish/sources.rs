//! Where the prices of an experiment come from, and which were used outside their range.

use crate::campaign::Setting;
use crate::plot::axis::plain as number;
use crate::report::{Label, ProfileNote};
use crate::workload::Workload;
use flexdit_core::Parallelism;
use flexdit_core::cost::{CostEntry, CostKey, CostStage, CostTable, Provenance};

/// One note per (model, stage, source), with the layouts it prices.
pub fn profiles(setting: &Setting, workload: &Workload) -> Vec<ProfileNote> {
    setting.book.tables().iter().flat_map(|table| of_table(table, workload)).collect()
}

/// Entries of one stage that share their source.
struct Same<'a> {
    stage: CostStage,
    entry: &'a CostEntry,
    layouts: Vec<Parallelism>,
    extrapolated: bool,
}

fn of_table(table: &CostTable, workload: &Workload) -> Vec<ProfileNote> {
    let mut groups: Vec<Same<'_>> = Vec::new();
    for (key, entry) in table.entries().filter(|(key, _)| used(table, workload, key)) {
        let extrapolated = outside(table, workload, key);
        let same = |group: &&mut Same<'_>| {
            group.stage == key.stage
                && group.entry.source == entry.source
                && group.entry.provenance == entry.provenance
        };
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.layouts.push(key.parallelism);
                group.extrapolated |= extrapolated;
            }
            None => groups.push(Same {
                stage: key.stage,
                entry,
                layouts: vec![key.parallelism],
                extrapolated,
            }),
        }
    }
    groups.iter().map(|group| note(table, group)).collect()
}

fn note(table: &CostTable, group: &Same<'_>) -> ProfileNote {
    let layouts: Vec<String> = group.layouts.iter().map(Parallelism::to_string).collect();
    let layouts = match layouts.as_slice() {
        [one] if one == "1" => String::new(),
        layouts => format!(", layouts {}", layouts.join(", ")),
    };
    let name = format!(
        "{} on {} ({}): {}{layouts}",
        table.model.name,
        table.gpu.name,
        table.mode,
        group.stage.name()
    );
    let unit = match group.stage {
        CostStage::TextEncode => "text tokens",
        CostStage::DitPrepare | CostStage::Step { .. } => "latent tokens",
        CostStage::TimestepPrepare => "steps",
        CostStage::VaeDecode | CostStage::Finalize => "voxels",
    };
    let range = match group.entry.curve.range() {
        Some((low, high)) if low == high => format!("{} {unit}", number(low)),
        Some((low, high)) => format!("{} to {} {unit}", number(low), number(high)),
        None => "any size".to_owned(),
    };
    ProfileNote {
        name,
        source: group.entry.source.clone(),
        label: Some(label(group.entry.provenance)),
        range,
        extrapolated: group.extrapolated,
    }
}

fn label(provenance: Provenance) -> Label {
    match provenance {
        Provenance::Measured => Label::Measured,
        Provenance::Published => Label::Published,
        Provenance::Simulated => Label::Simulated,
        Provenance::Derived => Label::Derived,
    }
}

/// The classes of the workload that the table's model serves and that pay for `stage`.
fn shapes<'a>(
    table: &'a CostTable,
    workload: &'a Workload,
    stage: CostStage,
) -> impl Iterator<Item = &'a flexdit_core::Shape> {
    let classes = workload.classes.iter().map(|class| &class.shape);
    classes.filter(move |shape| {
        let model = workload.models.get(shape.model.index());
        let same_model = model.is_some_and(|model| model.name == table.model.name);
        let pays = match stage {
            CostStage::Step { guidance } => guidance == shape.guidance,
            _ => true,
        };
        same_model && pays
    })
}

fn used(table: &CostTable, workload: &Workload, key: &CostKey) -> bool {
    shapes(table, workload, key.stage)
        .any(|shape| table.price(key.stage, shape, key.parallelism).is_some())
}

fn outside(table: &CostTable, workload: &Workload, key: &CostKey) -> bool {
    shapes(table, workload, key.stage).any(|shape| {
        let price = table.price(key.stage, shape, key.parallelism);
        price.is_some_and(|price| price.extrapolated)
    })
}
