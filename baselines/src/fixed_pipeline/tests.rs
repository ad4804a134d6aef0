//! Tests of the fixed pipeline: order, routing, and what happens to requests of a lost group.

use super::*;
use crate::offer::ClassOffer;
use crate::tables::{qwen, qwen_offers, request};
use flexdit_core::{Span, Stage};

/// Drives a system by hand: every launched task is answered in order.
struct Bench {
    system: FixedPipeline,
    out: Vec<Command>,
    now: Nanos,
}

impl Bench {
    fn new(layout: Layout, options: Options) -> Self {
        Self { system: FixedPipeline::new(layout, options, qwen()), out: Vec::new(), now: Nanos(0) }
    }

    fn uniform(world: u16, degree: u16) -> Self {
        Self::new(Layout::uniform(world, degree).unwrap(), Options::default())
    }

    fn step(&mut self, events: &[Event]) -> Vec<Command> {
        self.out.clear();
        self.now += Nanos(1);
        self.system.step(self.now, events, &mut self.out);
        self.out.clone()
    }

    fn arrive(&mut self, id: u32, class: u16) -> Vec<Command> {
        let request = request(id, class, self.now);
        self.step(&[Event::Arrived(request)])
    }

    /// Reports every task among `commands` as finished, or failed, on all its ranks.
    fn answer(&mut self, commands: &[Command], why: Option<FailReason>) -> Vec<Command> {
        self.step(&Self::reports(commands, why))
    }

    fn reports(commands: &[Command], why: Option<FailReason>) -> Vec<Event> {
        let mut events = Vec::new();
        for command in commands {
            let Command::Launch(task) = command else { continue };
            for &rank in task.group.iter() {
                let (task, span) = (task.id, Span::default());
                events.push(match why {
                    None => Event::Finished { task, rank, span },
                    Some(why) => Event::Failed { task, rank, why },
                });
            }
        }
        events
    }
}

fn show(commands: &[Command]) -> String {
    let line = |command: &Command| match command {
        Command::Launch(task) => {
            let (stage, group) = (task.stage.name(), &task.group);
            let (id, layout, steps) = (task.id.0, task.parallelism, task.steps);
            format!("#{id} {stage} {layout} on {group} steps {steps} -> v{}", task.output.version)
        }
        Command::Migrate(transfer) => {
            let edges: Vec<_> =
                transfer.edges.iter().map(|e| format!("{}>{}", e.src.0, e.dst.0)).collect();
            format!("#{} migrate v{} {}", transfer.id.0, transfer.artifact.version, edges.join(" "))
        }
        Command::Release { artifact, ranks } => format!("release v{} {ranks}", artifact.version),
        Command::Complete(id) => format!("complete {}", id.0),
        Command::Reject { request, why } => format!("reject {} {why:?}", request.0),
    };
    commands.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn groups(commands: &[Command]) -> Vec<(u32, String)> {
    let text_encodes = commands.iter().filter_map(|command| match command {
        Command::Launch(task) if task.stage == Stage::TextEncode => Some(task),
        _ => None,
    });
    text_encodes.map(|task| (task.request.0, task.group.to_string())).collect()
}

#[test]
fn a_group_queues_the_whole_pipeline_at_once() {
    let mut bench = Bench::uniform(4, 2);
    let started = bench.arrive(0, 1);
    insta::assert_snapshot!(show(&started), @r"
    #1 text-encode 1 on {0,1} steps 0 -> v1
    #2 migrate v1 0>1
    #3 denoise u2 on {0,1} steps 50 -> v2
    #4 migrate v2 1>0
    #5 vae-decode 1 on {0,1} steps 0 -> v3
    ");
    assert_eq!(bench.system.counters().claims, 6);
    insta::assert_snapshot!(show(&bench.answer(&started, None)), @r"
    release v2 {1}
    release v3 {0}
    complete 0
    ");
    assert_eq!(bench.system.counters().claims, 0);
    assert_eq!(bench.system.counters().live, 0);
}

#[test]
fn replicated_stages_compute_on_every_rank_and_broadcast_nothing() {
    let options = Options { replicated: true, ..Options::default() };
    let mut bench = Bench::new(Layout::uniform(2, 2).unwrap(), options);
    insta::assert_snapshot!(show(&bench.arrive(0, 1)), @r"
    #1 text-encode u2 on {0,1} steps 0 -> v1
    #2 denoise u2 on {0,1} steps 50 -> v2
    #3 migrate v2 1>0 0>1
    #4 vae-decode u2 on {0,1} steps 0 -> v3
    ");
}

#[test]
fn one_rank_moves_nothing() {
    let mut bench = Bench::uniform(1, 1);
    let started = bench.arrive(0, 0);
    assert!(started.iter().all(|command| matches!(command, Command::Launch(_))));
    assert_eq!(show(&bench.answer(&started, None)), "release v3 {0}\ncomplete 0");
}

#[test]
fn requests_go_to_the_group_with_the_least_work_and_wait_in_order() {
    let mut bench = Bench::uniform(4, 2);
    let large = bench.arrive(0, 2);
    assert_eq!(groups(&large), [(0, "{0,1}".to_owned())]);
    let small = bench.arrive(1, 0);
    assert_eq!(groups(&small), [(1, "{2,3}".to_owned())]);
    assert!(bench.arrive(2, 0).is_empty() && bench.arrive(3, 0).is_empty());
    let next = bench.answer(&small, None);
    assert_eq!(groups(&next), [(2, "{2,3}".to_owned())]);
    assert_eq!(groups(&bench.answer(&next, None)), [(3, "{2,3}".to_owned())]);
}

#[test]
fn rssp_runs_small_images_on_one_rank_and_large_ones_on_four() {
    let mut offers: Vec<ClassOffer> = qwen_offers();
    offers[0].share = 10.0;
    let layout = Layout::rssp(8, &offers, None).unwrap();
    assert_eq!(layout.name(), "1xsp4+4xsp1");
    let mut bench = Bench::new(layout, Options::default());
    assert_eq!(groups(&bench.arrive(0, 2)), [(0, "{0,1,2,3}".to_owned())]);
    assert_eq!(groups(&bench.arrive(1, 0)), [(1, "{4}".to_owned())]);
    assert!(bench.arrive(2, 1).is_empty(), "medium images share the wide group");
}

#[test]
fn an_unknown_cost_is_infeasible_and_a_full_system_rejects() {
    let options = Options { max_live: 1, ..Options::default() };
    let mut bench = Bench::new(Layout::uniform(8, 8).unwrap(), options);
    assert_eq!(show(&bench.arrive(0, 0)), "reject 0 Infeasible");
    let mut bench = Bench::new(Layout::uniform(4, 4).unwrap(), options);
    assert_eq!(bench.arrive(0, 0).len(), 5);
    assert_eq!(show(&bench.arrive(1, 0)), "reject 1 QueueFull");
}

#[test]
fn a_cancelled_request_leaves_the_queue_at_once_and_the_group_when_its_tasks_end() {
    let mut bench = Bench::uniform(1, 1);
    let started = bench.arrive(0, 0);
    bench.arrive(1, 0);
    bench.arrive(2, 0);
    assert_eq!(show(&bench.step(&[Event::Cancelled(RequestId(1))])), "reject 1 Cancelled");
    assert!(bench.step(&[Event::Cancelled(RequestId(0))]).is_empty());
    let ended = bench.answer(&started, None);
    assert_eq!(show(&ended[..2]), "release v3 {0}\nreject 0 Cancelled");
    assert_eq!(groups(&ended), [(2, "{0}".to_owned())]);
}

#[test]
fn a_lost_group_gives_its_requests_to_the_others_and_takes_new_ones_when_it_is_back() {
    let mut bench = Bench::uniform(2, 1);
    let first = bench.arrive(0, 0);
    let second = bench.arrive(1, 0);
    bench.arrive(2, 0);
    bench.arrive(3, 0);
    let mut lost = vec![Event::RankDown(Rank(0))];
    lost.extend(Bench::reports(&first, Some(FailReason::RankDown)));
    bench.step(&lost);
    assert_eq!(bench.system.counters().live, 4);
    // All others wait for rank 1 now: what was queued there, what rank 0 ran, what was queued on it.
    let mut running = second;
    let mut order = Vec::new();
    for _ in 0..3 {
        running = bench.answer(&running, None);
        order.extend(groups(&running));
        running.retain(|command| matches!(command, Command::Launch(_)));
    }
    let on_one = |id: u32| (id, "{1}".to_owned());
    assert_eq!(order, [on_one(3), on_one(0), on_one(2)]);
    bench.step(&[Event::RankUp(Rank(0))]);
    assert_eq!(groups(&bench.arrive(4, 0)), [(4, "{0}".to_owned())]);
}

#[test]
fn without_any_group_requests_wait_for_a_rank_and_retries_are_bounded() {
    let mut bench = Bench::uniform(1, 1);
    let mut started = bench.arrive(0, 0);
    for attempt in 0..=Options::default().max_retries {
        bench.step(&[Event::RankDown(Rank(0))]);
        let after = bench.answer(&started, Some(FailReason::RankDown));
        if attempt == Options::default().max_retries {
            assert_eq!(
                after.last(),
                Some(&Command::Reject { request: RequestId(0), why: RejectReason::Failed })
            );
            return;
        }
        started = bench.step(&[Event::RankUp(Rank(0))]);
        assert_eq!(groups(&started), [(0, "{0}".to_owned())], "attempt {attempt}");
    }
    unreachable!("the last attempt returns");
}

#[test]
fn groups_that_come_back_in_one_instant_share_what_waited() {
    let mut bench = Bench::uniform(2, 1);
    bench.step(&[Event::RankDown(Rank(0)), Event::RankDown(Rank(1))]);
    for id in 0..4 {
        assert!(bench.arrive(id, 0).is_empty());
    }
    assert_eq!(show(&bench.step(&[Event::Cancelled(RequestId(1))])), "reject 1 Cancelled");
    let up = bench.step(&[Event::RankUp(Rank(0)), Event::RankUp(Rank(1))]);
    assert_eq!(groups(&up), [(0, "{0}".to_owned()), (2, "{1}".to_owned())]);
    assert_eq!(groups(&bench.answer(&up, None)), [(3, "{0}".to_owned())]);
}

#[test]
fn a_request_cancelled_in_the_instant_it_loses_its_group_is_not_bound_again() {
    let mut bench = Bench::uniform(2, 1);
    for id in 0..4 {
        bench.arrive(id, 0);
    }
    let events = [Event::RankDown(Rank(0)), Event::Cancelled(RequestId(2))];
    assert_eq!(show(&bench.step(&events)), "reject 2 Cancelled");
    assert_eq!(bench.system.counters().live, 3);
}

#[test]
fn classes_with_the_same_groups_take_turns_together() {
    let options = Options { routing: Routing::RoundRobin, ..Options::default() };
    let mut bench = Bench::new(Layout::uniform(2, 1).unwrap(), options);
    let mut arrivals = Vec::new();
    for (id, class) in [0, 1, 2, 0, 1, 2].into_iter().enumerate() {
        arrivals.push(Event::Arrived(request(id as u32, class, Nanos(1))));
    }
    let mut running = bench.step(&arrivals);
    let mut order = groups(&running);
    for _ in 0..2 {
        running = bench.answer(&running, None);
        order.extend(groups(&running));
        running.retain(|command| matches!(command, Command::Launch(_)));
    }
    let on = |id: u32| (id, format!("{{{}}}", id % 2));
    assert_eq!(order, (0..6).map(on).collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_into_memory_is_not_tried_again() {
    let mut bench = Bench::uniform(1, 1);
    let started = bench.arrive(0, 0);
    let ended = bench.answer(&started, Some(FailReason::OutOfMemory));
    assert_eq!(show(&ended[ended.len() - 1..]), "reject 0 Failed");
}
