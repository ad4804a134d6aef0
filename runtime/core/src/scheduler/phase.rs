//! The state machines of requests and ranks, as transition tables.
//!
//! Every change of phase goes through [`Phase::after`] or [`RankPhase::after`]; a pair that is not in the
//! table is a broken caller and asserts.

/// Where a live request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its next task may be started.
    Ready,
    /// Set aside by the policy until it resumes it.
    Paused,
    /// Its state is on its way to the ranks of a launched task.
    Migrating,
    /// A task is in flight and its inputs are in place.
    Running,
    /// Cancelled by the client; ends when nothing is in flight.
    Cancelling,
    /// Ended: completed or rejected.
    Ended,
}

/// What can happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A task is launched where its inputs already are.
    Launch,
    /// A task is launched and its inputs have to move first.
    LaunchAway,
    /// The transfer is complete.
    Arrive,
    /// Nothing is in flight any more and work remains (also after a failure).
    Boundary,
    /// The policy sets it aside.
    Pause,
    /// The policy takes it back.
    Resume,
    /// The client gives up.
    Cancel,
    /// It is over.
    End,
}

impl Phase {
    /// The phase that follows, or `None` if this cannot happen here.
    pub const fn after(self, input: Input) -> Option<Self> {
        use Input as I;
        use Phase as P;
        Some(match (self, input) {
            (P::Ready, I::Launch) => P::Running,
            (P::Ready, I::LaunchAway) => P::Migrating,
            (P::Migrating, I::Arrive) => P::Running,
            (P::Running | P::Migrating, I::Boundary) => P::Ready,
            (P::Running, I::Launch) => P::Running,
            (P::Ready, I::Pause) => P::Paused,
            (P::Paused, I::Resume) => P::Ready,
            (P::Running | P::Migrating, I::Cancel) => P::Cancelling,
            (P::Cancelling, I::Arrive) => P::Cancelling,
            (P::Ready | P::Paused | P::Running | P::Cancelling, I::End) => P::Ended,
            // A failed task can give up a request whose inputs never arrived.
            (P::Migrating, I::End) => P::Ended,
            _ => return None,
        })
    }
}

/// Where a rank stands, as the scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankPhase {
    /// Free for any task.
    Idle,
    /// At least one task is in its inbox.
    Busy,
    /// Free, but held back by the policy.
    Reserved,
    /// Busy, and reserved once it is free.
    Draining,
    /// Down.
    Lost,
}

/// What can happen to a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankInput {
    /// A task enters its inbox.
    Occupy,
    /// Its inbox is empty again.
    Empty,
    /// The policy holds it back.
    Reserve,
    /// The reservation ends.
    Unreserve,
    /// It goes down.
    Down,
    /// It is back.
    Up,
}

impl RankPhase {
    /// The phase that follows, or `None` if this cannot happen here.
    pub const fn after(self, input: RankInput) -> Option<Self> {
        use RankInput as I;
        use RankPhase as P;
        Some(match (self, input) {
            (P::Idle | P::Reserved | P::Busy, I::Occupy) => P::Busy,
            (P::Draining, I::Occupy) => P::Draining,
            (P::Busy, I::Empty) => P::Idle,
            (P::Draining, I::Empty) => P::Reserved,
            (P::Idle | P::Reserved, I::Reserve) => P::Reserved,
            (P::Busy | P::Draining, I::Reserve) => P::Draining,
            (P::Reserved, I::Unreserve) => P::Idle,
            (P::Draining, I::Unreserve) => P::Busy,
            (P::Idle | P::Busy | P::Reserved | P::Draining, I::Down) => P::Lost,
            (P::Lost, I::Empty | I::Down) => P::Lost,
            (P::Lost, I::Up) => P::Idle,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 6] = [
        Phase::Ready,
        Phase::Paused,
        Phase::Migrating,
        Phase::Running,
        Phase::Cancelling,
        Phase::Ended,
    ];
    const INPUTS: [Input; 8] = [
        Input::Launch,
        Input::LaunchAway,
        Input::Arrive,
        Input::Boundary,
        Input::Pause,
        Input::Resume,
        Input::Cancel,
        Input::End,
    ];

    #[test]
    fn nothing_leaves_ended() {
        assert!(INPUTS.iter().all(|&input| Phase::Ended.after(input).is_none()));
    }

    #[test]
    fn every_living_phase_can_reach_ended() {
        for start in PHASES.into_iter().filter(|&phase| phase != Phase::Ended) {
            let mut reached = alloc::vec![start];
            let mut next = 0;
            while next < reached.len() {
                for input in INPUTS {
                    match reached[next].after(input) {
                        Some(phase) if !reached.contains(&phase) => reached.push(phase),
                        _ => {}
                    }
                }
                next += 1;
            }
            assert!(reached.contains(&Phase::Ended), "{start:?} never ends");
        }
    }

    #[test]
    fn a_cancelled_request_never_becomes_ready_again() {
        for input in INPUTS {
            assert_ne!(Phase::Cancelling.after(input), Some(Phase::Ready));
        }
    }

    #[test]
    fn a_lost_rank_takes_no_task_until_it_is_up() {
        assert_eq!(RankPhase::Lost.after(RankInput::Occupy), None);
        assert_eq!(RankPhase::Lost.after(RankInput::Up), Some(RankPhase::Idle));
    }
}
