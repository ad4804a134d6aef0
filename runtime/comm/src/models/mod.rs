//! Models of the protocol. What runs is the real code, over memory that a checker watches: [loom](kit::Loom) tries every
//! interleaving up to a bound on preemptions, and every value that the memory model lets a load return; [shuttle](shuttle::Shuttle)
//! draws interleavings of larger worlds at random.
//!
//! Payloads and descriptors are plain data here. So whatever the protocol does not order is a data race, and fails the model
//! even if the values happen to be right. A sleeper sleeps until it is woken, without end, so a lost wake-up is a dead-lock, and fails
//! the model too. Time stands still, except for ranks that [hurry](memory::ModelMemory::hurry).
//!
//! | invariant | models | refuted without |
//! |---|---|---|
//! | 1 no early pass | `groups::nobody_leaves_a_barrier_before_all_have_come` | `PUBLISH`, `OBSERVE`, `COUNTS` |
//! | 2 no overrun | `staged::messages_arrive_once_in_order_and_whole`, for slots and room in {1, 2} | `CREDIT`, `ACKNOWLEDGE`, `ACKNOWLEDGED` |
//! | 3 integrity | the same; `groups::all_to_all_of_two_and_all_gather_of_three`; `lent`; `random` | `ROOM`, `REVOKE`, `ACKNOWLEDGE`, `ACKNOWLEDGED`, fences |
//! | 4 FIFO, exactly once | `staged::messages_arrive_once_in_order_and_whole` | `COUNTS`, `CREDIT` |
//! | 5 differing tags | `tags::whatever_does_not_fit_is_found` | `TAGS` |
//! | 6 isolation | `groups::only_edges_between_members_are_touched` | (its check is checked) |
//! | 7 progress | `groups::one_global_order_never_blocks_and_a_cycle_does`, `groups::reductions_end_whatever_was_sent_before`, `wake`, `random` | `ANNOUNCE`, fences |
//! | 8 bounded abort | `failure`, `lent::who_gives_up_lending_waits_for_readers` | `REVOKE`, fences |
//! | 9 poison until reset | `failure::a_failed_lane_refuses_work`, `reset` | `POISON` |
//! | 10 wrap | `staged::counts_may_wrap`, `reset::a_reset_drops_what_was_not_read`: counts begin just below 2^64 | |
//! | 11 reuse across groups | `groups::groups_share_slots_and_room_without_a_trace`, `groups::room_is_free_when_its_last_reader_has_acknowledged` | `ROOM`, `ACKNOWLEDGED` |
//! | 12 mutants | each of the [`Rules`](crate::rules::Rules) taken away, [here](mutants), is refuted above | |
//!
//! Known and meant: the acknowledgement of a small message may miss a reader who falls asleep at that very moment
//! (`wake::a_small_acknowledgement_may_miss_a_sleeper_who_then_naps` shows both that it can, and that the nap mends it). Other
//! models that wait for small acknowledgements end naps by them.
//!
//! Not modelled: the system's futex (its compare and sleep are one step here, as the kernel promises), clocks, and who finds out that a
//! process died. Loads that return what is stored only later in the execution are beyond loom.

mod check;
mod failure;
mod groups;
mod kit;
mod lent;
mod memory;
mod mutants;
mod on;
mod random;
mod reset;
mod shuttle;
mod staged;
mod tags;
mod wake;
mod world;
