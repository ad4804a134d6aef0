//! Whole runs on real ranks, with the synthetic compute and with models.

mod bench;
mod dit;
mod failures;
mod first;
mod noise;
mod prompts;
mod restless;
mod results;
mod turns;
