//! What `costs:` means to the simulator.

use super::{Costs, GroupSetup, Occupy};
use crate::input::InputError;
use crate::profile::setup::{SetupPrices, load_setup};
use flexdit_core::model::GpuSpec;
use flexdit_core::{Nanos, Rank};
use flexdit_sim::{Charges, FaultModel, MigrationCharge, Occupies};
use std::path::Path;

impl Costs {
    /// What forming groups costs in a world of so many ranks; a file is looked for from `folder`.
    ///
    /// # Errors
    /// A file of measured prices that cannot be read or does not have them.
    pub fn setup_prices(&self, folder: &Path, world: u16) -> Result<SetupPrices, InputError> {
        Self::prices_of(&self.group_setup, folder, world)
    }

    /// What making communicators costs systems that are told to use them; `None` if the experiment does not say.
    ///
    /// # Errors
    /// As [`Costs::setup_prices`].
    pub fn communicator_prices(
        &self,
        folder: &Path,
        world: u16,
    ) -> Result<Option<SetupPrices>, InputError> {
        let prices = |setup| Self::prices_of(setup, folder, world);
        self.communicator_setup.as_ref().map(prices).transpose()
    }

    fn prices_of(setup: &GroupSetup, folder: &Path, world: u16) -> Result<SetupPrices, InputError> {
        let mode = match setup {
            GroupSetup::Free => flexdit_sim::GroupSetup::Free,
            GroupSetup::PerUse(time) => flexdit_sim::GroupSetup::PerUse(time.0),
            GroupSetup::Fixed(time) => flexdit_sim::GroupSetup::Fixed(time.0),
            GroupSetup::FirstUse(first) => flexdit_sim::GroupSetup::FirstUse {
                cost: first.time.0,
                capacity: first.capacity.unwrap_or(0),
            },
            GroupSetup::Profile(profile) => return load_setup(profile, folder, world),
        };
        Ok(SetupPrices { mode, ..SetupPrices::default() })
    }

    /// The charges on a cluster of this GPU, whose link is the bandwidth unless one is given, with so many
    /// ranks a node (`None` means one node), and these prices of forming groups. The bandwidth is 0 where neither is
    /// known: virtual time refuses that.
    pub fn charges(
        &self,
        gpu: &GpuSpec,
        ranks_per_node: Option<u16>,
        setup: &SetupPrices,
    ) -> Charges {
        let rate = |bandwidth: f64| libm::round(bandwidth).max(1.0) as u64;
        let given = self.migration.bandwidth.map(|bandwidth| bandwidth.0);
        let bandwidth = given.or(gpu.link_one_way());
        let stragglers = self.stragglers.on().cloned().unwrap_or_default();
        Charges {
            migration: MigrationCharge {
                latency: self.migration.latency.0,
                bytes_per_second: bandwidth.map_or(0, rate),
                inter_node_bytes_per_second: rate(self.migration.inter_node_bandwidth.0),
                occupies: match self.migration.occupy {
                    Occupy::Both => Occupies::Both,
                    Occupy::Destination => Occupies::Destination,
                },
            },
            group_setup: setup.mode,
            group_setup_by_degree: setup.by_degree.clone(),
            launch: self.launch.0,
            ranks_per_node: ranks_per_node.unwrap_or(0),
            start_delay: self.start_delay.0,
            control_plane: self.control_plane.0,
            planning: self.planning.0,
            jitter: self.jitter.on().map_or(0.0, |jitter| jitter.cv),
            stragglers: flexdit_sim::Stragglers {
                probability: stragglers.probability,
                factor: stragglers.factor,
                slow_ranks: stragglers.slow_ranks.iter().map(|s| (s.rank, s.factor)).collect(),
            },
        }
    }

    /// How ranks fail; nothing does by default.
    pub fn fault_model(&self) -> FaultModel {
        let faults = self.faults.on().cloned().unwrap_or_default();
        FaultModel {
            mean_time_between: faults.mtbf.map(|time| time.0),
            mean_time_to_repair: faults.repair.map_or(Nanos::ZERO, |time| time.0),
            outages: faults.outages.iter().map(|o| (Rank(o.rank), o.down.0, o.up.0)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::model::gpu;

    #[test]
    fn the_defaults_are_those_of_the_simulator_at_the_gpus_link() {
        let gpu = gpu("h20").expect("listed");
        let costs = Costs::default();
        let setup = costs.setup_prices(Path::new(""), 4).expect("needs no file");
        let charges = costs.charges(gpu, None, &setup);
        assert_eq!(charges.migration.bytes_per_second, 450_000_000_000);
        let simulator = Charges::default();
        let migration = MigrationCharge {
            bytes_per_second: simulator.migration.bytes_per_second,
            ..charges.migration
        };
        let stragglers = simulator.stragglers.clone();
        assert_eq!(Charges { migration, stragglers, ..charges }, simulator);
        assert_eq!(Costs::default().fault_model(), FaultModel::default());
    }
}
