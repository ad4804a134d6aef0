//! When clients give up: from a rule to an instant for every request that has one.

use super::spec::{ClientTimeout, positive};
use super::{Context, Workload};
use crate::input::InputError;
use flexdit_core::{Nanos, Request, RequestId};

/// The cancellations of a workload, in order of time.
///
/// # Errors
/// A closed loop, a rule that needs deadlines where no request has one, or a number out of range.
pub(super) fn cancellations(
    timeout: Option<ClientTimeout>,
    workload: &Workload,
    context: &Context<'_>,
) -> Result<Vec<(Nanos, RequestId)>, InputError> {
    let Some(timeout) = timeout else { return Ok(Vec::new()) };
    let refuse = |key: &str, message: &str| Err(context.error(key, message));
    if workload.closed_loop.is_some() {
        let message =
            "a closed loop sends requests at times that only the run tells: give other arrivals";
        return refuse("client_timeout", message);
    }
    if let ClientTimeout::Deadlines(times) = timeout {
        let key = "client_timeout.deadlines";
        positive(times).map_err(|message| context.error(key, message))?;
    }
    let given_up = |request: &Request| {
        let budget = request.deadline.map(|deadline| deadline - request.arrival);
        let patience = match timeout {
            ClientTimeout::Deadline => budget?,
            ClientTimeout::Deadlines(times) => budget?.scale(times),
            ClientTimeout::After(time) => time.0,
        };
        Some((request.arrival.saturating_add(patience), request.id))
    };
    let mut cancellations: Vec<_> = workload.requests.iter().filter_map(given_up).collect();
    if cancellations.is_empty() {
        return refuse(
            "client_timeout",
            "no request has a deadline: give `after`, or another `slo`",
        );
    }
    cancellations.sort_unstable();
    Ok(cancellations)
}
