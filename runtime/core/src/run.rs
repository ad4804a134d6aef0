//! What every driver is fed with and whom it tells: the workload of a run, the source of its arrivals, the observer.
//!
//! Owns no clock and runs nothing. Invariant: in a closed loop no more requests than the concurrency are in the system.

use crate::command::Command;
use crate::event::Event;
use crate::ids::RequestId;
use crate::request::Request;
use crate::units::Nanos;
use alloc::vec::Vec;

/// What a run is fed with.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// Requests in order of arrival; ordinal = index.
    pub requests: Vec<Request>,
    /// In a closed loop, requests kept in the system; arrival times are then those of the loop.
    pub concurrency: Option<u32>,
    /// Requests that their client gives up, in order of time.
    pub cancellations: Vec<(Nanos, RequestId)>,
}

/// Sees every step of a run: the log is what an observer is given. One call at a time, from any thread.
pub trait Observer: Send {
    /// The events of instant `now` and the commands that answered them.
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]);
}

impl Observer for () {
    fn step(&mut self, _: Nanos, _: &[Event], _: &[Command]) {}
}

/// The source of arrivals of one run: given arrival times, or the end of earlier requests.
#[derive(Debug)]
pub struct Arrivals {
    requests: Vec<Request>,
    next: usize,
    /// In a closed loop, arrivals that are due now.
    due: Option<usize>,
}

impl Arrivals {
    /// Requests in order of arrival; with `concurrency`, a closed loop that keeps so many in the system.
    pub fn new(requests: Vec<Request>, concurrency: Option<u32>) -> Self {
        Self { requests, next: 0, due: concurrency.map(|count| count as usize) }
    }

    /// Whether a request has arrived; its ordinal is its place in the order of arrival.
    pub fn has_arrived(&self, id: RequestId) -> bool {
        id.index() < self.next
    }

    /// When the next request arrives, given the time.
    pub fn next_at(&self, now: Nanos) -> Option<Nanos> {
        let request = self.requests.get(self.next)?;
        match self.due {
            None => Some(request.arrival),
            Some(due) => (due > 0).then_some(now),
        }
    }

    /// Whether every request has arrived.
    pub fn is_over(&self) -> bool {
        self.next == self.requests.len()
    }

    /// Takes the next request that has arrived by `now`. In a closed loop it arrives now; otherwise it keeps the
    /// arrival that it was given, so that a driver that is late makes no latency shorter.
    pub fn pop(&mut self, now: Nanos) -> Option<Request> {
        if self.next_at(now)? > now {
            return None;
        }
        let mut request = self.requests[self.next];
        self.next += 1;
        if let Some(due) = &mut self.due {
            *due -= 1;
            request.deadline = request.deadline.map(|at| at.saturating_sub(request.arrival) + now);
            request.arrival = now;
        }
        Some(request)
    }

    /// A request ended.
    pub fn ended(&mut self) {
        if let Some(due) = &mut self.due {
            *due += 1;
        }
    }
}

/// The source of cancellations of one run. One that is due before its request has arrived waits for it: a driver may be
/// late with an arrival, and nobody can give up what a system has not heard of.
#[derive(Debug)]
pub struct Cancellations {
    given: Vec<(Nanos, RequestId)>,
    next: usize,
    /// Due, and their requests have not arrived.
    waiting: Vec<RequestId>,
}

impl Cancellations {
    /// Cancellations in order of time.
    pub fn new(given: Vec<(Nanos, RequestId)>) -> Self {
        Self { given, next: 0, waiting: Vec::new() }
    }

    /// A client gives up now.
    pub fn add(&mut self, id: RequestId) {
        self.waiting.push(id);
    }

    /// When the next one is due, given the time.
    pub fn next_at(&self, now: Nanos, arrivals: &Arrivals) -> Option<Nanos> {
        if self.waiting.iter().any(|id| arrivals.has_arrived(*id)) {
            return Some(now);
        }
        self.given.get(self.next).map(|(at, _)| *at)
    }

    /// Whether none is left.
    pub fn is_over(&self) -> bool {
        self.next == self.given.len() && self.waiting.is_empty()
    }

    /// Takes the next one that is due by `now` and whose request has arrived.
    pub fn pop(&mut self, now: Nanos, arrivals: &Arrivals) -> Option<RequestId> {
        while let Some(&(_, id)) = self.given.get(self.next).filter(|(at, _)| *at <= now) {
            self.next += 1;
            self.waiting.push(id);
        }
        let at = self.waiting.iter().position(|id| arrivals.has_arrived(*id))?;
        Some(self.waiting.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClassId;
    use crate::request::Shape;
    use alloc::vec;

    fn request(arrival: u64) -> Request {
        Request {
            id: RequestId(0),
            class: ClassId(0),
            shape: Shape::default(),
            chunk_steps: 1,
            priority: 0,
            preemptible: true,
            arrival: Nanos(arrival),
            deadline: Some(Nanos(arrival + 10)),
            t_single: None,
        }
    }

    #[test]
    fn a_late_driver_does_not_move_an_arrival() {
        let mut open = Arrivals::new(vec![request(5), request(9)], None);
        assert_eq!(open.next_at(Nanos(0)), Some(Nanos(5)));
        assert!(open.pop(Nanos(4)).is_none());
        assert_eq!(open.pop(Nanos(7)).map(|late| late.arrival), Some(Nanos(5)));
        assert!(open.pop(Nanos(7)).is_none() && !open.is_over());
    }

    #[test]
    fn who_gives_up_before_the_arrival_is_heard_of_after_it() {
        let mut arrivals = Arrivals::new(vec![request(5), request(9)], None);
        let given = vec![(Nanos(6), RequestId(0)), (Nanos(7), RequestId(1))];
        let mut cancellations = Cancellations::new(given);
        assert_eq!(cancellations.next_at(Nanos(0), &arrivals), Some(Nanos(6)));
        // The driver is late: nothing has arrived yet.
        assert_eq!(cancellations.pop(Nanos(8), &arrivals), None);
        assert!(arrivals.pop(Nanos(8)).is_some());
        assert_eq!(cancellations.next_at(Nanos(8), &arrivals), Some(Nanos(8)));
        assert_eq!(cancellations.pop(Nanos(8), &arrivals), Some(RequestId(0)));
        assert_eq!(
            (cancellations.next_at(Nanos(8), &arrivals), cancellations.is_over()),
            (None, false)
        );
        assert!(arrivals.pop(Nanos(9)).is_some());
        assert_eq!(cancellations.pop(Nanos(9), &arrivals), Some(RequestId(1)));
        assert!(cancellations.is_over());
    }

    #[test]
    fn a_closed_loop_sends_when_something_ended_and_moves_deadlines_along() {
        let mut closed = Arrivals::new(vec![request(0), request(0)], Some(1));
        assert_eq!(closed.pop(Nanos(3)).and_then(|first| first.deadline), Some(Nanos(13)));
        assert_eq!(closed.next_at(Nanos(4)), None);
        closed.ended();
        assert_eq!(closed.pop(Nanos(8)).map(|next| next.arrival), Some(Nanos(8)));
        assert!(closed.is_over());
    }
}
