//! Library of the program `flexdit`: workloads in, reports out.
//!
//! Owns experiments, workloads, profiles, the campaign runner, metrics, plots and reports. Does not
//! schedule (core, baselines) and does not move virtual time (sim).

pub mod bench;
pub mod campaign;
pub mod check;
pub mod docs;
pub mod experiment;
pub mod gate;
pub mod glossary;
pub mod input;
pub mod log;
pub mod metrics;
pub mod picture;
pub mod plot;
pub mod policies;
pub mod profile;
pub mod publish;
pub mod quantity;
pub mod real;
pub mod record;
pub mod report;
pub mod reproduce;
pub mod results;
pub mod trace;
pub mod validation;
pub mod verify;
pub mod workload;

/// The worked examples of the guide for contributors, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../CONTRIBUTING.md")]
mod contributing {}
