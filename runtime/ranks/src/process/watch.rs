//! The thread that notices ranks whose process ends by itself, also while nobody speaks with them.
//!
//! Invariant: it lives no longer than what it watches.

use super::seat::Seat;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// The thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches every seat by its connection.
    pub(super) fn start(seats: Vec<(OwnedFd, Arc<Seat>)>) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let stopped = Arc::clone(&stop);
        let thread =
            Builder::new().name("rank-watch".into()).spawn(move || run(seats, &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Adding to a counter of 0 cannot fail.
        if rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn run(mut seats: Vec<(OwnedFd, Arc<Seat>)>, stop: &OwnedFd) {
    loop {
        // A hang-up is always reported. What is said is for others to hear.
        let sockets = seats.iter().map(|(socket, _)| PollFd::new(socket, PollFlags::empty()));
        let mut polled: Vec<PollFd<'_>> = sockets.collect();
        polled.push(PollFd::new(stop, PollFlags::IN));
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            // Losses are then noticed by those who speak with the rank.
            Err(_) => return,
            Ok(_) => {}
        }
        let ended: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        if ended[seats.len()] {
            return;
        }
        for at in (0..seats.len()).rev().filter(|at| ended[*at]) {
            let (_, seat) = seats.swap_remove(at);
            seat.hung_up();
        }
    }
}
