//! What a policy is: the one thing a newcomer implements.

use super::plan::Plan;
use super::view::{RequestView, View};
use crate::group::Group;
use crate::ids::RequestId;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Order in the ready queue: ascending, ties by request ordinal.
pub type Key = [u64; 3];

/// Decides order and placement at task boundaries.
///
/// A policy is level-triggered: [`decide`](Policy::decide) sees the whole state each time and must not rely
/// on having seen every change. The hooks are there for policies that keep their own queues, so that a
/// decision costs only what changed. It reads no clock: `view.now()` is the time.
pub trait Policy: Send {
    /// The request's place in the ready queue, asked whenever it becomes ready. `None` keeps it out
    /// of [`View::ready`]: the policy has its own queues.
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        Some([request.request().arrival.0, 0, 0])
    }

    /// A request was admitted; it is ready.
    fn admitted(&mut self, _view: &View<'_>, _id: RequestId) {}

    /// Nothing of the request is in flight any more, and work remains: it is ready again. With
    /// run-ahead, also called when a task ended and its successor is already in flight.
    fn boundary(&mut self, _view: &View<'_>, _id: RequestId) {}

    /// The request ended, however it did. Its view is gone.
    fn ended(&mut self, _view: &View<'_>, _id: RequestId) {}

    /// A rank went down or came back.
    fn world_changed(&mut self, _view: &View<'_>) {}

    /// Chooses what runs now. Ranks that are not granted stay free.
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>);

    /// Groups whose communicators this policy would make at start-up.
    fn prebuilt(&self) -> Vec<Group> {
        Vec::new()
    }

    /// Why the policy was replaced during the run, if it was (see the harness's guard).
    fn fallback(&self) -> Option<&str> {
        None
    }
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        (**self).key(request)
    }
    fn admitted(&mut self, view: &View<'_>, id: RequestId) {
        (**self).admitted(view, id);
    }
    fn boundary(&mut self, view: &View<'_>, id: RequestId) {
        (**self).boundary(view, id);
    }
    fn ended(&mut self, view: &View<'_>, id: RequestId) {
        (**self).ended(view, id);
    }
    fn world_changed(&mut self, view: &View<'_>) {
        (**self).world_changed(view);
    }
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        (**self).decide(view, plan);
    }
    fn prebuilt(&self) -> Vec<Group> {
        (**self).prebuilt()
    }
    fn fallback(&self) -> Option<&str> {
        (**self).fallback()
    }
}
