//! What all runs of one sweep point share: models, prices, beliefs, charges.

use crate::experiment::{Costs, Experiment, GroupSetup, Loaded, Occupy};
use crate::input::{Document, InputError};
use crate::profile;
use crate::workload::{self, Workload};
use flexdit_core::cost::{CostBook, Estimator, ShapeCosts, TableEstimator};
use flexdit_core::model::{self, GpuSpec, ModelSpec};
use flexdit_core::{Bytes, Nanos, Shape};
use flexdit_sim::{Charges, FaultModel, MigrationCharge, Occupies, Stragglers};
use std::path::PathBuf;
use std::sync::Arc;

/// One sweep point, ready to build workloads and systems.
pub struct Setting {
    /// The experiment at this point.
    pub experiment: Experiment,
    /// The file, for errors.
    pub document: Document,
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// The models, by [`flexdit_core::ModelId`].
    pub models: Vec<&'static ModelSpec>,
    /// The GPU.
    pub gpu: &'static GpuSpec,
    /// What the simulator charges stages by.
    pub book: Arc<CostBook>,
    /// What policies believe.
    pub estimator: Arc<TableEstimator>,
    /// What is charged beside stage times.
    pub charges: Charges,
    /// How ranks fail.
    pub faults: FaultModel,
    /// Memory of a rank; `None` when it is not charged.
    pub memory: Option<Bytes>,
}

impl Setting {
    /// Reads the profiles of point `point` and decides every charge.
    ///
    /// # Errors
    /// A profile that cannot be read, or does not price a model of the experiment.
    pub fn new(loaded: &Loaded, point: usize) -> Result<Self, InputError> {
        let experiment = loaded.points[point].experiment.clone();
        let document = loaded.document.clone();
        let find = |name: &str| model::model(name).expect("validated with the experiment");
        let models: Vec<_> = experiment.model_names().into_iter().map(find).collect();
        let gpu = model::gpu(&experiment.cluster.gpu).expect("validated with the experiment");
        let read = |key: &str, refs: &[crate::experiment::ProfileRef]| {
            profile::book(&profile::Wanted {
                refs,
                models: &models,
                gpu,
                folder: &loaded.folder,
                document: &document,
                key,
            })
        };
        let book = read("profile", &experiment.profile.0)?;
        let beliefs = match &experiment.estimates.profile {
            Some(refs) => read("estimates.profile", &refs.0)?,
            None => book.clone(),
        };
        let cluster = &experiment.cluster;
        let memory = cluster.memory.map_or(gpu.memory(), |size| size.0);
        let memory = experiment.costs.memory.then_some(memory);
        let mut estimator =
            TableEstimator::new(beliefs, cluster.world).with_bias(experiment.estimates.bias);
        if let Some(degrees) = &cluster.degrees {
            estimator = estimator.with_degrees(degrees.clone());
        }
        estimator = estimator.with_patches(cluster.patch_degrees.clone().unwrap_or(vec![1]));
        if let Some(memory) = memory {
            estimator = estimator.with_memory(memory);
        }
        let charges = charges(&experiment.costs, gpu);
        let faults = experiment.costs.faults.on().map_or_else(FaultModel::default, |faults| {
            FaultModel {
                mean_time_between: Some(faults.mtbf.0),
                mean_time_to_repair: faults.repair.0,
                outages: Vec::new(),
            }
        });
        Ok(Self {
            book: Arc::new(book),
            estimator: Arc::new(estimator),
            folder: loaded.folder.clone(),
            experiment,
            document,
            models,
            gpu,
            charges,
            faults,
            memory,
        })
    }

    /// Ranks.
    pub fn world(&self) -> u16 {
        self.experiment.cluster.world
    }

    /// The workload of one seed.
    ///
    /// # Errors
    /// As [`workload::build`].
    pub fn workload(&self, seed: u64) -> Result<Workload, InputError> {
        let context = workload::Context {
            models: &self.models,
            cost: &*self.book,
            world: self.world(),
            seed,
            base_dir: &self.folder,
            document: &self.document,
        };
        workload::build(&self.experiment.workload, &context)
    }

    /// What policies believe about a shape.
    pub fn beliefs(&self, shape: &Shape) -> ShapeCosts {
        self.estimator.costs(shape)
    }
}

/// What the simulator charges for an experiment's `costs`.
fn charges(costs: &Costs, gpu: &GpuSpec) -> Charges {
    let migration = &costs.migration;
    Charges {
        migration: MigrationCharge {
            latency: migration.latency.0,
            bytes_per_second: migration.bandwidth.map_or(gpu.link_one_way() as u64, |b| b.0),
            occupies: match migration.occupy {
                Occupy::Both => Occupies::Both,
                Occupy::Destination => Occupies::Destination,
            },
        },
        group_setup: match costs.group_setup {
            GroupSetup::Free => flexdit_sim::GroupSetup::Free,
            GroupSetup::PerUse(time) => flexdit_sim::GroupSetup::PerUse(time.0),
            GroupSetup::Fixed(time) => flexdit_sim::GroupSetup::Fixed(time.0),
            GroupSetup::FirstUse(first) => flexdit_sim::GroupSetup::FirstUse {
                cost: first.time.0,
                capacity: first.capacity.unwrap_or(0),
            },
        },
        launch: costs.launch.0,
        control_plane: costs.control_plane.0,
        planning: costs.planning.0,
        jitter: costs.jitter.on().map_or(0.0, |jitter| jitter.cv),
        stragglers: costs.stragglers.on().map_or_else(Stragglers::default, |slow| Stragglers {
            probability: slow.probability,
            factor: slow.factor,
            slow_ranks: Vec::new(),
        }),
    }
}
