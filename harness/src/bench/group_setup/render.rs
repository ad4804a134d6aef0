//! The report of the group-setup benchmark.

use super::results::{At, Results};
use super::schedule::{History, Phase};
use super::tables::{four_numbers, ratios, times};
use crate::bench::launch::Contestant;
use crate::bench::statistics::time;
use crate::bench::{chart, goal, published};
use crate::plot::lines::{LineChart, Panel};
use crate::report::{Block, Document, Picture, Section, Table};

impl Results {
    /// The whole report.
    pub fn document(&self) -> Document {
        let worlds = self.worlds();
        let mut sections = vec![Section::new(
            "The four numbers",
            vec![
                Block::Table(four_numbers(self, &worlds, true)),
                Block::List(columns()),
                Block::Picture(self.picture()),
            ],
        )];
        let pairs = self.pairs();
        if !pairs.is_empty() {
            let table = Block::Table(ratios(self, &pairs));
            sections.push(Section::new("With and without communicators", vec![table]));
        }
        sections.push(Section::new("Goals", vec![Block::Table(goal::table(&self.goals()))]));
        sections.push(Section::new("Published", vec![Block::Table(published::table())]));
        sections.push(Section::new("How it was measured", vec![Block::List(self.method())]));
        let again = Block::Commands(vec![self.provenance.command_line()]);
        sections.push(Section::new("Run it again", vec![again]));
        Document { title: "What forming a group costs".to_owned(), lead: self.lead(), sections }
    }

    /// The tables for a document such as the README: one world's four numbers, and the ratios.
    pub fn excerpt(&self) -> Vec<Table> {
        let world = self.shown_world();
        let threads = |pair: &(At, At)| pair.0.contestant == Contestant::GroupFreeThread;
        let pairs: Vec<(At, At)> = self.pairs().into_iter().filter(threads).collect();
        let mut tables = vec![four_numbers(self, &[world], false)];
        if !pairs.is_empty() {
            tables.push(ratios(self, &pairs));
        }
        tables
    }

    /// The tables for a terminal.
    pub fn terminal(&self) -> Vec<Table> {
        let mut tables = vec![four_numbers(self, &self.worlds(), false)];
        let pairs = self.pairs();
        if !pairs.is_empty() {
            tables.push(ratios(self, &pairs));
        }
        tables.push(goal::table(&self.goals()));
        tables
    }

    fn worlds(&self) -> Vec<usize> {
        let mut worlds: Vec<usize> = self.rows.iter().map(|row| row.key.world).collect();
        worlds.sort_unstable();
        worlds.dedup();
        worlds
    }

    /// The smallest world in which every degree fits.
    fn shown_world(&self) -> usize {
        let widest = self.rows.iter().map(|row| row.key.degree).max().unwrap_or(0);
        let worlds = self.worlds();
        let fits = worlds.iter().copied().find(|world| *world >= widest);
        fits.or(worlds.last().copied()).unwrap_or(0)
    }

    /// What came out, in sentences.
    pub fn lead(&self) -> Vec<String> {
        let mut lead = vec![format!(
            "Times are {}; ratios are derived from them. Every byte of every collective was checked: \
             {} wrong of {}.",
            self.provenance.measured_on(),
            self.checked.wrong,
            self.checked.bytes
        )];
        let world = self.shown_world();
        let pair = self.pairs().into_iter().find(|(free, _)| free.world == world);
        if let Some((free, other)) = pair
            && let (Some(slow), Some(fast)) = (self.change(other), self.change(free))
        {
            lead.push(format!(
                "A change to a never-used group of {} in a world of {world} costs {} ({}) and {} ({}): {} as much.",
                free.degree,
                time(slow),
                other.contestant.words(),
                time(fast),
                free.contestant.words(),
                times(slow / fast)
            ));
        }
        lead
    }

    fn method(&self) -> Vec<String> {
        let spec = &self.spec;
        let (op, steady, lives) = (spec.op.name(), spec.steady, spec.lives);
        let mut lines = vec![
            "Before each sample the members of the group meet at a barrier of the host, which takes no \
             part in what is timed, and start at an agreed instant; all other ranks sleep. A sample is the \
             time of the slowest member."
                .to_owned(),
            format!(
                "{lives} fresh worlds of each size and contestant, the contestants in turn. In each, every \
                 degree meets up to {} ordered tuples of ranks that were never used in it (seed {}). On each tuple: \
                 form, first collective, one that is not counted, {steady} of the steady state, release.",
                spec.tuples, spec.seed
            ),
            "Cold is the first thing in a fresh world. The degree that comes first goes round.".to_owned(),
            format!("The collective is {op} of {} bytes.", spec.bytes),
            format!(
                "Group-free forming is shorter than the clock resolves, so (1) warm is the mean of {} in a row, \
                 and its percentiles are over such rows; (1) cold is one forming and two readings of the \
                 clock, which take {} by themselves. Communicators are formed one at a time.",
                spec.many,
                time(self.clock_ns)
            ),
            "A communicator's forming is its whole creation: meeting at the store, exchange of addresses, a connection \
             for every pair, buffers, a barrier. The store, the ranks' listeners and their lines to the store \
             are there before, as is the world of the group-free side."
                .to_owned(),
            "Tuples are drawn among those whose members are spread over the cores as evenly as can be: members share a \
             core only where they outnumber the cores."
                .to_owned(),
            "Percentiles are nearest rank; p99 needs 100 samples. Worlds with more ranks than cores take turns on \
             the processor: see the column ranks per core; only the members of the group in question are awake."
                .to_owned(),
        ];
        lines.extend(self.provenance.circumstances());
        lines
    }

    fn picture(&self) -> Picture {
        let contestants: Vec<Contestant> = Contestant::ALL
            .into_iter()
            .filter(|one| self.rows.iter().any(|row| row.key.contestant == *one))
            .collect();
        let series = |world: usize| {
            let of = |(index, one): (usize, &Contestant)| {
                let here = self.places().into_iter().filter(|at| at.world == world);
                let points = here.filter(|at| at.contestant == *one).filter_map(|at| {
                    let row = self.row(at, Phase::FormAndFirst, History::NewTuple)?;
                    Some((at.degree as f64, row.time.p50_ns / 1e3))
                });
                chart::series(one.words(), index, points.collect())
            };
            contestants.iter().enumerate().map(of).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.worlds().into_iter().map(|world| (world, series(world))).collect();
        let y = chart::log_axis(all.iter().flat_map(|one| &one.1), "time (us)");
        let x = chart::count_axis(&self.spec.degrees, "degree");
        let panel = |(world, series)| Panel {
            title: format!("world {world}"),
            x: x.clone(),
            y: y.clone(),
            series,
        };
        let panels: Vec<Panel> = all.into_iter().map(panel).collect();
        let chart = LineChart {
            heading: "A change to a never-used group".to_owned(),
            subtitle: format!(
                "{}; forming and first collective, median of the slowest member",
                self.provenance.measured_on()
            ),
            columns: panels.len().clamp(1, 3),
            panels,
        };
        Picture {
            name: "group-setup".to_owned(),
            caption: "What a change of groups costs before anything is done; logarithmic."
                .to_owned(),
            svg: chart.draw(),
        }
    }
}

fn columns() -> Vec<String> {
    [
        "(1) forming the group or its descriptor",
        "(2) first collective on a tuple of ranks that was never used, of a degree that was",
        "(3) first collective of a degree that was never used; cold: the first of a fresh world",
        "(4) collective on a group in use, by members that did one just before",
        "return: the first collective on a used group after three others were used: its members were away for as long as those \
         of a new one, so what (2) takes longer is due to the group being new, and the rest to caches that went cold",
    ]
    .map(str::to_owned)
    .into()
}
