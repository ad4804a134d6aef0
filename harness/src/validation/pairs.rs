//! Every real run with its two simulated ones: at the prices that were there beforehand or around it, and at its own.

use super::own::OwnTimes;
use super::prices::{Origins, charged};
use super::session::{KEPT, Ran, Session};
use super::tours::Tours;
use crate::campaign::{Builder, Charged, RunError, RunKey, Setting, simulate};
use crate::metrics::Summary;
use crate::metrics::summary::{overall, per_class};
use crate::record::RunRecord;
use flexdit_core::cost::CostModel;
use flexdit_sim::Charges;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Metrics of a real run and of the same run in virtual time: of all requests, then of each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Which repeat, from 0.
    pub repeat: usize,
    /// The system.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// What virtual time charged beside stages.
    pub charges: Charges,
    /// Where those come from.
    pub origins: Origins,
    /// *Simulated*.
    pub simulated: Vec<Summary>,
    /// *Simulated* at the prices and charges of the experiment's profile, which were there beforehand; `None` unless that
    /// was measured and prices all that runs.
    pub by_profile: Option<Vec<Summary>>,
    /// *Derived*: simulated at the times that the real run's own tasks took.
    pub hindsight: Vec<Summary>,
    /// *Measured*.
    pub real: Vec<Summary>,
    /// Tasks in the simulation in hindsight with a step that the real run did not do at their layout.
    pub elsewhere: usize,
    /// The core that each rank of the real run kept to; `None` if it was not pinned.
    pub cores: Vec<Option<usize>>,
    /// Share of the cores' capacity that others took during the real run; `None` if not known.
    pub others: Option<f64>,
}

/// A pair with its records and prices.
pub(super) struct Full {
    pub pair: Pair,
    pub simulated: RunRecord,
    pub hindsight: RunRecord,
    /// What stages were charged by.
    pub prices: Arc<dyn CostModel>,
    /// Fewest samples of a price; `None` where prices are a profile's.
    pub fewest: Option<usize>,
}

/// Simulates what was run.
///
/// # Errors
/// A run in virtual time that cannot go on, or charges that nobody knows.
pub(super) fn simulated(
    session: &Session<'_>,
    tours: Option<&Tours<'_>>,
    run: &Ran,
) -> Result<Full, RunError> {
    let setting = session.setting;
    let (prices, charges, origins, fewest) = priced(session, tours, run)?;
    let from_book = tours.is_none();
    let charged = Charged { prices: prices.clone(), from_book, times: None, charges: &charges };
    let ours = virtually(session, run, &charged)?;
    let shapes = session.workloads[run.seed].requests.iter().map(|request| request.shape).collect();
    let own = Arc::new(OwnTimes::new(&run.tasks, shapes, prices.clone()));
    let charged = Charged { times: Some(own.clone()), from_book: false, ..charged };
    let hindsight = virtually(session, run, &charged)?;
    let names: Vec<String> =
        session.workloads[run.seed].classes.iter().map(|c| c.name.clone()).collect();
    let rows = |record: &RunRecord| {
        let mut rows = vec![overall(record)];
        rows.extend(per_class(record, &names));
        rows
    };
    let by_profile = match tours {
        None => session.profile_is_measured().then(|| rows(&ours)),
        Some(_) => by_profile(session, run)?.as_ref().map(rows),
    };
    let ranks = run.real.outcome.ranks.iter();
    let pair = Pair {
        repeat: run.repeat,
        system: setting.experiment.systems[run.system].name.clone(),
        seed: setting.experiment.seeds[run.seed],
        simulated: rows(&ours),
        hindsight: rows(&hindsight),
        real: rows(&run.record),
        elsewhere: own.elsewhere(),
        charges,
        origins,
        by_profile,
        cores: ranks.map(|rank| rank.pinned.as_ref().ok().copied()).collect(),
        others: run.real.others.share(),
    };
    Ok(Full { pair, simulated: ours, hindsight, prices, fewest })
}

type Priced = (Arc<dyn CostModel>, Charges, Origins, Option<usize>);

/// Prices and charges of a run.
fn priced(session: &Session<'_>, tours: Option<&Tours<'_>>, run: &Ran) -> Result<Priced, RunError> {
    let setting: &Setting = session.setting;
    let given = |key: &str| session.loaded.gives(0, &format!("costs.{key}"));
    let own = Origins::of_experiment(&given, setting.charges_source.is_some());
    let Some(tours) = tours else {
        let charges = setting.charges_of(run.system)?.clone();
        return Ok((setting.book.clone(), charges, own, None));
    };
    let (kind, around) = (run.real.collectives, tours.around(run.before));
    let prices = tours.prices(kind, around.clone());
    let fewest = prices.fewest();
    let (mut charges, mut origins) = (setting.charges_but_links(run.system)?.clone(), own);
    if let Some(measured) = tours.charges(kind, around) {
        (charges, origins) = charged(&charges, &given, &measured, own);
    }
    if charges.migration.bytes_per_second == 0 && setting.world() > 1 {
        // No tour moved anything either.
        setting.charges_of(run.system)?;
    }
    Ok((Arc::new(prices), charges, origins, Some(fewest)))
}

/// The run at what the experiment's profile said beforehand; `None` if that was not measured, or the experiment has no price
/// for migration.
fn by_profile(session: &Session<'_>, run: &Ran) -> Result<Option<RunRecord>, RunError> {
    let setting = session.setting;
    let (true, Ok(charges)) = (session.profile_is_measured(), setting.charges_of(run.system))
    else {
        return Ok(None);
    };
    let prices = setting.book.clone();
    let charged = Charged { prices, from_book: true, times: None, charges };
    virtually(session, run, &charged).map(Some)
}

fn virtually(
    session: &Session<'_>,
    run: &Ran,
    charged: &Charged<'_>,
) -> Result<RunRecord, RunError> {
    let setting = session.setting;
    let spec = &setting.experiment.systems[run.system];
    let seed = setting.experiment.seeds[run.seed];
    let system = Builder::new(setting, session.workloads, run.system).kind(&spec.kind)?;
    let key = RunKey { point: 0, system: &spec.name, seed, layout: None };
    let workload = &session.workloads[run.seed];
    simulate(setting, workload, system, &key, charged, KEPT, &mut ())
        .map_err(|error| RunError::Sim { system: spec.name.clone(), seed, error })
}
