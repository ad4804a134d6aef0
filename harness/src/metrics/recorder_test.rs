//! Tests of the recorder on hand-written streams.

use super::*;
use crate::record::RankTime;
use flexdit_core::migration::Located;
use flexdit_core::{ArtifactId, ClassId, Edge, FailReason, Parallelism, RejectReason, Route};

const MS: u64 = 1_000_000;

fn ms(time: u64) -> Nanos {
    Nanos(time * MS)
}

fn request(id: u32, arrival: u64) -> Event {
    Event::Arrived(Request {
        id: RequestId(id),
        class: ClassId(0),
        shape: Shape { steps: 10, ..Shape::default() },
        chunk_steps: 1,
        priority: 0,
        preemptible: true,
        arrival: ms(arrival),
        deadline: Some(ms(arrival + 100)),
        t_single: Some(ms(50)),
    })
}

fn task(
    id: u64,
    request: u32,
    stage: Stage,
    first_step: u32,
    ranks: &[u16],
    degree: u8,
) -> Command {
    Command::Launch(Task {
        id: TaskId(id),
        request: RequestId(request),
        stage,
        first_step,
        steps: u32::from(stage == Stage::Denoise),
        parallelism: Parallelism::ulysses(degree),
        group: ranks.iter().map(|rank| Rank(*rank)).collect(),
        input: 0,
        output: ArtifactId { request: RequestId(request), version: 1 },
    })
}

fn migrate(id: u64, version: u32, edges: Vec<Edge>) -> Command {
    let artifact = ArtifactId { request: RequestId(0), version };
    let at = |rank| Located::after(None, Stage::Denoise, Parallelism::SINGLE, &[Rank(rank)]);
    let route = Box::new(Route { from: at(0), to: at(1) });
    Command::Migrate(Transfer { id: TransferId(id), artifact, edges, route })
}

fn finished(task: u64, rank: u16, started: u64, setup: u64) -> Event {
    let span = Span { started: ms(started), setup: ms(setup), ..Span::default() };
    Event::Finished { task: TaskId(task), rank: Rank(rank), span }
}

fn recorder(world: u16) -> Recorder {
    Recorder::new(world, RecorderOptions::default())
}

fn finish(recorder: Recorder) -> RunRecord {
    let world = u64::from(recorder.world);
    let run = recorder.finish(RunInfo::default());
    assert_eq!(run.rank_time.total(), run.makespan * world, "{:?}", run.rank_time);
    run
}

/// The run that the first test works out by hand.
pub(crate) fn small_run() -> RunRecord {
    let mut run = recorder(2);
    // 0-10 no work; 10-20 one waits; 20-50 text on rank 0 with rank 1 held, 2 ms of set-up.
    run.record(ms(10), &[request(0, 10)], &[]);
    run.record(ms(20), &[], &[task(1, 0, Stage::TextEncode, 0, &[0, 1], 1)]);
    let ends = [finished(1, 0, 21, 2), finished(1, 1, 21, 2)];
    // 50-90 denoise on rank 0 alone; rank 1 drains.
    run.record(ms(50), &ends, &[task(2, 0, Stage::Denoise, 0, &[0], 1)]);
    run.record(ms(90), &[finished(2, 0, 50, 0)], &[Command::Complete(RequestId(0))]);
    finish(run)
}

#[test]
fn every_cause_of_a_rank_not_computing_has_its_part() {
    let run = small_run();
    let expect = RankTime {
        busy: ms(27 + 40),
        no_work: ms(20),
        waiting: ms(20),
        drain: ms(40),
        held: ms(27),
        group_setup: ms(4),
        control_plane: ms(2),
        ..RankTime::default()
    };
    assert_eq!(run.rank_time, expect);
    let request = &run.requests[0];
    assert_eq!((request.first_start, request.latency()), (Some(ms(21)), Some(ms(80))));
    assert_eq!((request.gpu_time, request.busy), (ms(29 * 2 + 40), ms(27 + 40)));
    assert_eq!((request.group_setups, run.group_setups), (1, 1));
    let causes = [
        (Nanos::ZERO, IdleCause::NoWork),
        (ms(10), IdleCause::Waiting),
        (ms(20), IdleCause::Drain),
        (ms(90), IdleCause::NoWork),
    ];
    assert_eq!(run.idle_causes, causes);
}

#[test]
fn chunks_on_one_placement_merge_and_a_move_is_a_reconfiguration() {
    let mut run = recorder(4);
    run.record(ms(0), &[request(0, 0)], &[task(1, 0, Stage::Denoise, 0, &[0], 1)]);
    for chunk in 1..4u64 {
        let next = task(chunk + 1, 0, Stage::Denoise, chunk as u32, &[0], 1);
        run.record(ms(chunk * 10), &[finished(chunk, 0, chunk * 10 - 10, 0)], &[next]);
    }
    let edges = vec![Edge { src: Rank(0), dst: Rank(1), bytes: Bytes(7) }];
    let migrate = migrate(5, 4, edges);
    run.record(
        ms(40),
        &[finished(4, 0, 30, 0)],
        &[migrate, task(6, 0, Stage::Denoise, 4, &[0, 1], 2)],
    );
    run.record(ms(45), &[Event::Migrated { transfer: TransferId(5), started: ms(42) }], &[]);
    run.record(
        ms(60),
        &[finished(6, 0, 46, 0), finished(6, 1, 46, 0)],
        &[Command::Complete(RequestId(0))],
    );
    let run = finish(run);
    assert_eq!(run.spans.len(), 2);
    let span = &run.spans[0];
    assert_eq!((span.first_step, span.steps, span.tasks), (0, 4, 4));
    assert_eq!((span.started, span.ended, span.occupied), (ms(0), ms(40), ms(40)));
    assert_eq!(run.rank_time.migration, ms(6));
    assert_eq!(run.rank_time.control_plane, ms(6));
    let request = &run.requests[0];
    assert_eq!((request.migrations, request.reconfigurations), (1, 1));
    assert_eq!((run.migrated, run.migration_time), (Bytes(7), ms(3)));
    assert_eq!(run.migrations[0].destinations, Group::single(Rank(1)));
}

#[test]
fn work_of_a_lost_rank_is_lost_and_the_rank_is_down_until_it_is_back() {
    let mut run = recorder(2);
    run.record(ms(0), &[request(0, 0)], &[task(1, 0, Stage::Denoise, 0, &[0, 1], 2)]);
    let failed =
        |rank| Event::Failed { task: TaskId(1), rank: Rank(rank), why: FailReason::RankDown };
    run.record(ms(30), &[Event::RankDown(Rank(0)), failed(0), failed(1)], &[]);
    let why = RejectReason::Failed;
    run.record(
        ms(50),
        &[Event::RankUp(Rank(0))],
        &[Command::Reject { request: RequestId(0), why }],
    );
    run.record(ms(60), &[request(1, 60)], &[]);
    let run = finish(run);
    assert_eq!(run.rank_time.lost, ms(60));
    assert_eq!(run.rank_time.down, ms(20));
    assert_eq!(run.rank_time.waiting, ms(20));
    assert_eq!(run.rank_time.no_work, ms(20));
    assert!(run.spans[0].failed);
    assert_eq!(run.requests[0].gpu_time, Nanos::ZERO);
}

#[test]
fn any_stream_of_steps_sums_to_world_times_makespan() {
    let mut draw = 7u64;
    let mut next = |below: u64| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) % below
    };
    for world in [1u16, 3, 8] {
        let mut run = recorder(world);
        let (mut now, mut sequence) = (0, 0);
        // Per rank, the tasks in its inbox: (sequence number, launched).
        let mut inbox: Vec<VecDeque<(u64, u64)>> = vec![VecDeque::new(); usize::from(world)];
        let mut edge = vec![0; usize::from(world)];
        for id in 0..400 {
            now += next(5);
            let mut events = vec![request(id, now)];
            let rank = next(u64::from(world)) as usize;
            if let Some((task, launched)) = inbox[rank].pop_front() {
                let from = launched.max(edge[rank]);
                let started = from + next(now - from + 1);
                events.insert(0, finished(task, rank as u16, started, next(3)));
                edge[rank] = now;
            }
            let target = next(u64::from(world)) as usize;
            sequence += 1;
            inbox[target].push_back((sequence, now));
            let launch = task(sequence, id, Stage::Denoise, 0, &[target as u16], 1);
            let end = Command::Complete(RequestId(next(u64::from(id) + 1) as u32));
            run.record(ms(now), &events, &[launch, end]);
        }
        assert_eq!(run.overlaps(), 0);
        finish(run);
    }
}

#[test]
fn a_timeline_over_its_limit_is_dropped_as_a_whole() {
    let mut run = Recorder::new(1, RecorderOptions { timeline: 2, merge: false });
    run.record(ms(0), &[request(0, 0)], &[]);
    for step in 0..4u64 {
        let launch = [task(step, 0, Stage::Denoise, step as u32, &[0], 1)];
        let end = finished(step.saturating_sub(1), 0, step.saturating_sub(1) * 10, 0);
        let events: &[Event] = if step == 0 { &[] } else { std::slice::from_ref(&end) };
        run.record(ms(step * 10), events, &launch);
    }
    let run = finish(run);
    assert!(run.spans.is_empty() && run.idle_causes.is_empty());
    assert_eq!(run.rank_time.busy, ms(30));
}

#[test]
fn a_transfer_lost_with_a_rank_occupies_nobody_afterwards() {
    let mut run = recorder(3);
    let edges = vec![Edge { src: Rank(0), dst: Rank(1), bytes: Bytes(7) }];
    let migrate = migrate(1, 1, edges);
    let launch = task(2, 0, Stage::Denoise, 0, &[1, 2], 2);
    run.record(ms(0), &[request(0, 0)], &[migrate, launch]);
    let failed =
        |rank| Event::Failed { task: TaskId(2), rank: Rank(rank), why: FailReason::RankDown };
    run.record(ms(10), &[Event::RankDown(Rank(2)), failed(1), failed(2)], &[]);
    run.record(ms(30), &[Event::RankUp(Rank(2))], &[]);
    let run = finish(run);
    let expect = RankTime { lost: ms(30), waiting: ms(40), down: ms(20), ..RankTime::default() };
    assert_eq!(run.rank_time, expect);
}
