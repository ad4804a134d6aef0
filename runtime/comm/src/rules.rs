//! The orderings and checks that make the protocol sound, named one by one so that tests can take each away and watch
//! the model checker find out.

use std::sync::atomic::Ordering;

/// What a rank does to be safe. [`Sound`] does all of it; nothing else is used outside tests.
pub(crate) trait Rules {
    /// Publishing a message, after its payload and descriptor.
    const PUBLISH: Ordering = Ordering::Release;
    /// Polling for a message, before its descriptor and payload.
    const OBSERVE: Ordering = Ordering::Acquire;
    /// Acknowledging a message, after reading it.
    const ACKNOWLEDGE: Ordering = Ordering::Release;
    /// Looking for acknowledgements, before reusing what was acknowledged.
    const ACKNOWLEDGED: Ordering = Ordering::Acquire;
    /// A slot is written only when its last message was acknowledged.
    const CREDIT: bool = true;
    /// Room in the window is reused only when its readers have acknowledged.
    const ROOM: bool = true;
    /// Tags are compared before data is used.
    const TAGS: bool = true;
    /// Message counts are compared exactly.
    const COUNTS: bool = true;
    /// A sleeper announces itself, fences and polls again before it sleeps; a waker fences before it looks.
    const ANNOUNCE: bool = true;
    /// A failed lane refuses work until it is reset.
    const POISON: bool = true;
    /// A lender that gives up waits until nobody reads.
    const REVOKE: bool = true;
}

/// Everything on.
#[derive(Debug)]
pub(crate) struct Sound;

impl Rules for Sound {}
