//! Where requests come from: given arrival times, or the end of earlier requests.

use flexdit_core::{Nanos, Request};

/// The source of arrivals of one run.
#[derive(Debug)]
pub(crate) struct Arrivals {
    requests: Vec<Request>,
    next: usize,
    /// In a closed loop, arrivals that are due now.
    due: Option<usize>,
}

impl Arrivals {
    /// Requests in order of arrival; with `concurrency`, a closed loop that keeps so many in the system.
    pub(crate) fn new(requests: Vec<Request>, concurrency: Option<u32>) -> Self {
        Self { requests, next: 0, due: concurrency.map(|count| count as usize) }
    }

    /// When the next request arrives, given the time.
    pub(crate) fn next_at(&self, now: Nanos) -> Option<Nanos> {
        let request = self.requests.get(self.next)?;
        match self.due {
            None => Some(request.arrival),
            Some(due) => (due > 0).then_some(now),
        }
    }

    /// Takes the next request that arrives at `now`.
    pub(crate) fn pop(&mut self, now: Nanos) -> Option<Request> {
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
    pub(crate) fn ended(&mut self) {
        if let Some(due) = &mut self.due {
            *due += 1;
        }
    }
}
