//! `flexdit verify`: the same requests under several systems on real ranks, their pictures compared bit by bit.
//!
//! Owns the contestant that reconfigures at random, the runs, and the comparison. Times play no part: all requests come at
//! once and have no deadline. Invariant: a request for which a system leaves no picture counts as a difference.

mod compare;
mod flaw;
mod restless;
mod run;
mod table;

pub use compare::{Beyond, Finding, Row, Sheet, compare};
pub use flaw::Flawed;
pub use restless::Restless;
pub use run::{Contest, Contestant, Gallery, VerifyError};
