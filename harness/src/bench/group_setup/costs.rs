//! The measured prices of forming groups as a file that experiments can charge.

use super::results::{At, Results};
use super::schedule::{History, Phase};
use crate::bench::launch::Contestant;
use crate::profile::setup::{SetupCharge, SetupContestant, SetupEntry, SetupFile, SetupLabel};
use crate::quantity::Duration;
use flexdit_core::Nanos;

/// The prices of every contestant, of each degree in the smallest world that has it.
pub fn costs(results: &Results) -> SetupFile {
    let contestants = Contestant::ALL.into_iter().filter_map(|contestant| {
        let places = results.places().into_iter().filter(|at| at.contestant == contestant);
        let mut degrees: Vec<SetupEntry> = Vec::new();
        // By ascending world: the first of a degree is that of the smallest.
        for entry in places.filter_map(|at| entry(results, at)) {
            if degrees.iter().all(|known| known.degree != entry.degree) {
                degrees.push(entry);
            }
        }
        degrees.sort_by_key(|entry| entry.degree);
        let charge = match contestant.is_group_free() {
            true => SetupCharge::PerUse,
            false => SetupCharge::FirstUse,
        };
        let name = contestant.name().to_owned();
        (!degrees.is_empty()).then_some(SetupContestant { name, charge, degrees })
    });
    let machine = &results.provenance.machine;
    let words = machine.words();
    SetupFile {
        label: SetupLabel::Measured,
        source: format!("{} (medians of the slowest member)", results.provenance.command_line()),
        machine: words.rsplit_once(", ").map_or(words.as_str(), |(rest, _)| rest).to_owned(),
        date: machine.date.clone(),
        contestants: contestants.collect(),
    }
}

fn entry(results: &Results, at: At) -> Option<SetupEntry> {
    let time = |nanos: f64| Duration(Nanos::from_f64(nanos));
    let p50 = |phase, history| Some(time(results.time(at, phase, history)?.p50_ns));
    Some(SetupEntry {
        degree: at.degree as u16,
        world: at.world as u16,
        form: time(results.forming(at)?.p50_ns),
        first: p50(Phase::First, History::NewTuple)?,
        steady: p50(Phase::Steady, History::Used)?,
    })
}

/// The file as YAML that names its schema.
///
/// # Errors
/// When it cannot be written as YAML, which would be a defect.
pub fn costs_text(results: &Results) -> anyhow::Result<String> {
    let yaml = serde_yaml::to_string(&costs(results))?;
    Ok(format!(
        "# yaml-language-server: $schema=schema.json\n\
         # What forming a group takes beyond a collective on a group in use is form + (first - steady).\n{yaml}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::group_setup::{Key, Row, Spec};
    use crate::bench::provenance::Provenance;
    use crate::bench::samples::Checked;
    use crate::bench::statistics::Statistics;
    use crate::input::Document;
    use crate::profile::setup::read;

    fn row(contestant: Contestant, world: usize, phase: Phase, history: History, ns: f64) -> Row {
        let key = Key { world, degree: 2, contestant, phase, history };
        let time = Statistics::of(vec![ns]).unwrap();
        Row { key, ranks_per_core: 1.0, members_per_core: 1.0, count: 1, time, late: 0.0 }
    }

    #[test]
    fn the_file_has_the_medians_of_the_smallest_world_and_reads_back() {
        use Contestant::{CommunicatorTcp, GroupFreeThread};
        let mut rows = Vec::new();
        for world in [8, 4] {
            let scale = world as f64;
            rows.extend([
                row(GroupFreeThread, world, Phase::FormMany, History::Used, 15.2 * scale),
                row(GroupFreeThread, world, Phase::First, History::NewTuple, 500.0 * scale),
                row(GroupFreeThread, world, Phase::Steady, History::Used, 250.0 * scale),
                row(CommunicatorTcp, world, Phase::Form, History::NewTuple, 1e6),
                row(CommunicatorTcp, world, Phase::First, History::NewTuple, 9e3),
            ]);
        }
        let results = Results {
            provenance: Provenance::default(),
            spec: Spec::quick(),
            clock_ns: 20.0,
            rows,
            checked: Checked::default(),
        };
        let text = costs_text(&results).unwrap();
        let file = read(&Document::parse("x.yaml", &text).unwrap()).unwrap();
        assert_eq!(file, costs(&results));
        assert_eq!(file.contestants.len(), 1, "a communicator without a steady state is left out");
        let entry = file.contestants[0].degrees[0];
        assert_eq!((entry.world, entry.form.0, entry.price()), (4, Nanos(61), Nanos(1_061)));
        assert_eq!(file.contestants[0].charge, SetupCharge::PerUse);
    }
}
