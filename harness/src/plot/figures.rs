//! What pictures of single runs show, reduced from the records to a size that fits a page.

use crate::record::{Campaign, IdleCause, Outcome, RequestRecord, RunRecord, SpanRecord};
use flexdit_core::{ClassId, Nanos, Stage};
use serde::{Deserialize, Serialize};

/// Points of a CDF after reduction by quantiles.
const CDF_POINTS: usize = 200;
/// Bins of time in [`DegreeOverTime`].
const TIME_BINS: usize = 160;
/// Spans a Gantt chart shows per system; its time window ends where the busiest system reaches it.
const GANTT_SPANS: usize = 260;
/// Ranks a Gantt chart shows.
const GANTT_RANKS: u16 = 16;

/// Data of every picture that shows requests or spans; charts of metrics need no more than metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Latency distributions, all seeds pooled, per system: all requests, then each class.
    pub cdfs: Vec<Cdf>,
    /// Lateness, all seeds pooled, per system: all requests, then each class.
    pub lateness: Vec<Lateness>,
    /// Rank activity of the first seed, per system.
    pub gantts: Vec<Gantt>,
    /// Degree over time of the first seed, per system.
    pub degrees: Vec<DegreeOverTime>,
}

/// One latency distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cdf {
    /// The system's name.
    pub system: String,
    /// The class; `None` for all.
    pub class: Option<String>,
    /// Requests, completed or not.
    pub requests: u64,
    /// Latency in seconds and the share of *all* requests that completed within it; at most 200
    /// points, evenly spaced in rank.
    pub points: Vec<(f64, f64)>,
}

/// How late requests with a deadline were. Bins are shares of the budget, deadline minus arrival.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    /// The system's name.
    pub system: String,
    /// The class; `None` for all.
    pub class: Option<String>,
    /// By the deadline.
    pub on_time: u64,
    /// Late by at most 10 % of the budget.
    pub marginal: u64,
    /// Late by more than 10 % and at most 50 %.
    pub moderate: u64,
    /// Late by more than 50 %.
    pub severe: u64,
    /// Rejected or unfinished.
    pub never: u64,
}

impl Cdf {
    /// The latencies of all requests of these runs.
    pub fn of(system: &str, runs: &[&RunRecord]) -> Self {
        cdf(system, None, None, runs)
    }
}

impl Lateness {
    /// Requests that carry a deadline.
    pub fn total(&self) -> u64 {
        self.on_time + self.marginal + self.moderate + self.severe + self.never
    }

    fn count(&mut self, request: &RequestRecord) {
        let Some(deadline) = request.deadline else { return };
        let Outcome::Completed(at) = request.outcome else {
            self.never += 1;
            return;
        };
        let late = at.saturating_sub(deadline).0;
        let budget = deadline.saturating_sub(request.arrival).0;
        let bin = match late {
            0 => &mut self.on_time,
            late if u128::from(late) * 10 <= u128::from(budget) => &mut self.marginal,
            late if u128::from(late) * 2 <= u128::from(budget) => &mut self.moderate,
            _ => &mut self.severe,
        };
        *bin += 1;
    }
}

/// What each rank of one run did in a window of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gantt {
    /// The system's name.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// Ranks of the run.
    pub world: u16,
    /// Ranks shown: the first so many.
    pub ranks: u16,
    /// End of the window; it starts at 0.
    pub until: Nanos,
    /// End of the run.
    pub makespan: Nanos,
    /// Spans of the whole run.
    pub spans_total: u64,
    /// Spans that begin in the window.
    pub spans: Vec<GanttSpan>,
    /// Transfers that begin in the window.
    pub moves: Vec<GanttMove>,
    /// When free ranks idled although some request waited, within the window.
    pub waiting: Vec<(Nanos, Nanos)>,
}

/// One span of a Gantt chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GanttSpan {
    /// Whose work: ordinal of the request.
    pub request: u32,
    /// Its class: index into the class names.
    pub class: u16,
    /// Which stage.
    pub stage: Stage,
    /// Ranks occupied, in order.
    pub ranks: Vec<u16>,
    /// The first so many of them computed; the rest were held.
    pub computing: u16,
    /// When it began.
    pub started: Nanos,
    /// When it ended.
    pub ended: Nanos,
    /// Whether its work was lost.
    pub failed: bool,
}

/// One transfer of a Gantt chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GanttMove {
    /// When the first copy began.
    pub started: Nanos,
    /// When the last copy was in place.
    pub ended: Nanos,
    /// Ranks that pulled.
    pub ranks: Vec<u16>,
}

/// Rank-time by degree over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DegreeOverTime {
    /// The system's name.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// Width of a bin in seconds; the same for every system.
    pub bin_s: f64,
    /// Degrees that occur, ascending.
    pub degrees: Vec<u16>,
    /// Per degree, per bin: ranks computing at that degree, mean over the bin.
    pub ranks: Vec<Vec<f64>>,
    /// Per bin: ranks held without computing.
    pub held: Vec<f64>,
    /// Ranks of the run.
    pub world: u16,
}

impl Figures {
    /// Reduces the runs of sweep point `point`.
    ///
    /// Cost: one sort of the latencies per system and class; memory is bounded whatever the runs'
    /// length.
    pub fn of(campaign: &Campaign, point: usize) -> Self {
        let mut figures = Self::default();
        for system in &campaign.systems {
            let runs: Vec<&RunRecord> = campaign.runs_of(point, system).collect();
            let classes = (0..campaign.classes.len()).map(|i| Some(ClassId(i as u16)));
            for class in std::iter::once(None).chain(classes) {
                let name = class.map(|class| campaign.classes[class.index()].clone());
                figures.cdfs.push(cdf(system, class, name.clone(), &runs));
                figures.lateness.push(lateness(system, class, name, &runs));
            }
        }
        let firsts: Vec<&RunRecord> = campaign
            .systems
            .iter()
            .filter_map(|system| campaign.runs_of(point, system).next())
            .filter(|run| !run.spans.is_empty())
            .collect();
        let until = gantt_window(&firsts);
        let end = firsts.iter().map(|run| run.makespan).max().unwrap_or_default();
        for run in firsts {
            figures.gantts.push(gantt(run, until));
            figures.degrees.push(degree_over_time(run, end));
        }
        figures
    }
}

fn of_class<'a>(
    runs: &'a [&RunRecord],
    class: Option<ClassId>,
) -> impl Iterator<Item = &'a RequestRecord> {
    let requests = runs.iter().flat_map(|run| &run.requests);
    requests.filter(move |request| class.is_none_or(|class| request.class == class))
}

fn cdf(system: &str, class: Option<ClassId>, name: Option<String>, runs: &[&RunRecord]) -> Cdf {
    let requests = of_class(runs, class).count();
    let mut latencies: Vec<Nanos> =
        of_class(runs, class).filter_map(RequestRecord::latency).collect();
    latencies.sort_unstable();
    let count = latencies.len();
    let kept = count.min(CDF_POINTS);
    let points = (1..=kept)
        .map(|i| {
            let rank = (i * count).div_ceil(kept);
            (latencies[rank - 1].as_secs_f64(), rank as f64 / requests as f64)
        })
        .collect();
    Cdf { system: system.to_owned(), class: name, requests: requests as u64, points }
}

fn lateness(
    system: &str,
    class: Option<ClassId>,
    name: Option<String>,
    runs: &[&RunRecord],
) -> Lateness {
    let mut lateness = Lateness { system: system.to_owned(), class: name, ..Lateness::default() };
    of_class(runs, class).for_each(|request| lateness.count(request));
    lateness
}

/// The end of the window all Gantt charts share: where the first of them has shown enough spans.
fn gantt_window(runs: &[&RunRecord]) -> Nanos {
    let whole = runs.iter().map(|run| run.makespan).max().unwrap_or_default();
    let cut = |run: &&RunRecord| run.spans.get(GANTT_SPANS).map(|span| span.started);
    runs.iter().filter_map(cut).min().unwrap_or(whole).min(whole)
}

fn gantt(run: &RunRecord, until: Nanos) -> Gantt {
    let ranks = run.world.min(GANTT_RANKS);
    let numbers = |group: &flexdit_core::Group| group.iter().map(|rank| rank.0).collect();
    let span = |span: &SpanRecord| GanttSpan {
        request: span.request.0,
        class: run.requests.get(span.request.index()).map_or(0, |request| request.class.0),
        stage: span.stage,
        ranks: numbers(&span.group),
        computing: span.parallelism.degree(),
        started: span.started,
        ended: span.ended,
        failed: span.failed,
    };
    let moves = run.migrations.iter().filter(|m| m.started < until);
    Gantt {
        system: run.system.clone(),
        seed: run.seed,
        world: run.world,
        ranks,
        until,
        makespan: run.makespan,
        spans_total: run.spans.len() as u64,
        spans: run.spans.iter().filter(|s| s.started < until).map(span).collect(),
        waiting: waiting(run, until),
        moves: moves
            .map(|m| GanttMove {
                started: m.started,
                ended: m.ended,
                ranks: numbers(&m.destinations),
            })
            .collect(),
    }
}

/// Stretches of the window in which free ranks left some request waiting.
fn waiting(run: &RunRecord, until: Nanos) -> Vec<(Nanos, Nanos)> {
    let mut stretches: Vec<(Nanos, Nanos)> = Vec::new();
    let ends = run.idle_causes.iter().skip(1).map(|(at, _)| *at).chain([run.makespan]);
    for ((from, cause), to) in run.idle_causes.iter().zip(ends) {
        if *from >= until || stretches.len() >= GANTT_SPANS {
            break;
        }
        match stretches.last_mut() {
            _ if *cause != IdleCause::Waiting => {}
            Some(last) if last.1 >= *from => last.1 = to.min(until),
            _ => stretches.push((*from, to.min(until))),
        }
    }
    stretches
}

fn degree_over_time(run: &RunRecord, end: Nanos) -> DegreeOverTime {
    let bin = (end.0 / TIME_BINS as u64).max(1);
    let mut degrees: Vec<u16> = run.spans.iter().map(|span| span.parallelism.degree()).collect();
    degrees.sort_unstable();
    degrees.dedup();
    let mut ranks = vec![vec![0.0; TIME_BINS]; degrees.len()];
    let mut held = vec![0.0; TIME_BINS];
    for span in &run.spans {
        let degree = span.parallelism.degree();
        let row = degrees.binary_search(&degree).unwrap_or(0);
        let idle = (span.group.len() as f64 - f64::from(degree)).max(0.0);
        let first = (span.started.0 / bin) as usize;
        let last = ((span.ended.0 / bin) as usize).min(TIME_BINS - 1);
        for slot in first..=last {
            let from = span.started.0.max(slot as u64 * bin);
            let to = span.ended.0.min((slot as u64 + 1) * bin);
            let share = to.saturating_sub(from) as f64 / bin as f64;
            ranks[row][slot] += share * f64::from(degree);
            held[slot] += share * idle;
        }
    }
    for slot in 0..TIME_BINS {
        let mut rows: Vec<&mut f64> = ranks.iter_mut().map(|row| &mut row[slot]).collect();
        rows.push(&mut held[slot]);
        fit(&mut rows, f64::from(run.world));
    }
    DegreeOverTime {
        system: run.system.clone(),
        seed: run.seed,
        bin_s: Nanos(bin).as_secs_f64(),
        degrees,
        ranks,
        held,
        world: run.world,
    }
}

/// Takes what a bin has too much from its last rows on. On real ranks the first rank of a task waits in it for the last one, which may
/// still be at another task: both tasks are counted whole, and the one that waits is held or the wider one.
fn fit(rows: &mut [&mut f64], world: f64) {
    let mut excess = rows.iter().map(|row| **row).sum::<f64>() - world;
    for row in rows.iter_mut().rev() {
        // Rounding is no excess.
        if excess < 1e-9 {
            return;
        }
        let part = excess.min(**row);
        **row -= part;
        excess -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn a_bin_has_no_more_ranks_than_the_world() {
        let fitted = |mut rows: [f64; 3]| {
            let [a, b, c] = &mut rows;
            fit(&mut [a, b, c], 2.0);
            rows
        };
        assert_eq!(fitted([0.5, 1.0, 0.5]), [0.5, 1.0, 0.5]);
        assert_eq!(fitted([0.5, 1.0, 0.75]), [0.5, 1.0, 0.5]);
        assert_eq!(fitted([0.5, 2.0, 0.25]), [0.5, 1.5, 0.0]);
    }
}
