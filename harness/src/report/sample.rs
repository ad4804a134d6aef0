//! A made-up campaign for the tests of plots and reports: plausible shapes, no real result.

use super::input::*;
use crate::record::*;
use flexdit_core::{Bytes, ClassId, Counters, Group, Nanos, Parallelism, Rank, RequestId, Stage};

const CLASSES: [(&str, f64, f64); 3] = [("S", 7.75, 1.5), ("M", 30.25, 2.0), ("L", 77.85, 6.0)];
const WORLD: u16 = 4;

/// Systems: name, description, role, degree per class; degree 0 lets the load decide.
const SYSTEMS: [(&str, &str, Role, [u16; 3]); 6] = [
    ("paper-baseline", "one group of 4 ranks, FIFO", Role::PaperBaseline, [4, 4, 4]),
    ("lanes-sp1", "4 lanes of degree 1, SRTF", Role::Other, [1, 1, 1]),
    ("best-static", "2 groups of 2 ranks, least work first", Role::BestStatic, [2, 2, 2]),
    ("rssp", "degree 1 for S, 2 for M, 4 for L", Role::BestPerClass, [1, 2, 4]),
    ("edf-best-fit", "EDF, smallest degree that meets the deadline", Role::Elastic, [0, 0, 0]),
    ("load-adaptive", "degree from the number of waiting requests", Role::Elastic, [0, 1, 0]),
];

/// A small linear congruential stream: enough for made-up data.
struct Stream(u64);

impl Stream {
    fn unit(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Six systems, `seeds` seeds, sweep points of `load`.
pub fn campaign(seeds: u64, points: &[SweepPoint], load: impl Fn(usize) -> f64) -> Campaign {
    let mut campaign = Campaign {
        name: "sample".to_owned(),
        classes: CLASSES.map(|class| class.0.to_owned()).to_vec(),
        systems: SYSTEMS.map(|system| system.0.to_owned()).to_vec(),
        seeds: (1..=seeds).collect(),
        points: points.to_vec(),
        runs: Vec::new(),
    };
    for point in 0..points.len() {
        for system in 0..SYSTEMS.len() {
            for seed in 1..=seeds {
                campaign.runs.push(run(point, system, seed, load(point)));
            }
        }
    }
    campaign
}

fn run(point: usize, system: usize, seed: u64, load: f64) -> RunRecord {
    let (name, _, role, degrees) = SYSTEMS[system];
    let mut stream = Stream(seed * 77);
    let mut free = [0.0f64; WORLD as usize];
    let (mut requests, mut spans, mut migrations) = (Vec::new(), Vec::new(), Vec::new());
    let mut arrival = 0.0;
    let mut busy = 0.0;
    let mut held = 0.0;
    for id in 0..60u32 {
        arrival += -libm::log(1.0 - stream.unit()) * 8.0 / load;
        let pick = stream.unit();
        let class = if pick < 0.5 {
            0
        } else if pick < 0.85 {
            1
        } else {
            2
        };
        let (_, single, alpha) = CLASSES[class];
        let waiting = free.iter().filter(|&&end| end > arrival).count();
        let degree = match degrees[class] {
            0 => [4u16, 2, 2, 1, 1][waiting].min([1, 2, 4][class]),
            fixed => fixed,
        };
        let mut order: Vec<usize> = (0..usize::from(WORLD)).collect();
        if role == Role::Elastic {
            order.sort_by(|&a, &b| free[a].total_cmp(&free[b]));
        } else {
            let width = usize::from(degree);
            let starts = (0..usize::from(WORLD)).step_by(width);
            let best = starts.min_by(|&a, &b| free[a].total_cmp(&free[b])).unwrap_or(0);
            order = (best..best + width).collect();
        }
        let ranks = &order[..usize::from(degree)];
        let group: Group = ranks.iter().map(|&rank| Rank(rank as u16)).collect();
        let start = ranks.iter().map(|&rank| free[rank]).fold(arrival, f64::max);
        let gain = [1.0, 1.0, 1.72, 2.4, 2.92][usize::from(degree)];
        let body = single / gain;
        let mut at = start;
        let stages = [
            (Stage::TextEncode, 0.4, 1u16),
            (Stage::Denoise, body, degree),
            (Stage::VaeDecode, 0.8, 1),
        ];
        for (stage, time, wide) in stages {
            let parallelism = Parallelism::ulysses(wide as u8);
            let occupied = if role == Role::Elastic && wide == 1 {
                Group::single(group[0])
            } else {
                group.clone()
            };
            busy += time * f64::from(wide);
            held += time * (occupied.len() as f64 - f64::from(wide));
            spans.push(SpanRecord {
                request: RequestId(id),
                stage,
                first_step: 0,
                steps: if stage == Stage::Denoise { 50 } else { 0 },
                tasks: 1,
                parallelism,
                group: occupied,
                started: Nanos::from_secs_f64(at),
                ended: Nanos::from_secs_f64(at + time),
                occupied: Nanos::from_secs_f64(time),
                setup: Nanos::ZERO,
                launch: Nanos::ZERO,
                failed: false,
            });
            at += time;
        }
        if role == Role::Elastic && degree > 1 {
            migrations.push(MigrationRecord {
                request: RequestId(id),
                started: Nanos::from_secs_f64(start + 0.4),
                ended: Nanos::from_secs_f64(start + 0.45),
                bytes: Bytes(3_000_000),
                destinations: group.clone(),
            });
        }
        for (i, &rank) in ranks.iter().enumerate() {
            free[rank] = if role == Role::Elastic && i > 0 { at - 0.8 } else { at };
        }
        let unfinished = name == "lanes-sp1" && id == 59;
        requests.push(RequestRecord {
            id: RequestId(id),
            class: ClassId(class as u16),
            arrival: Nanos::from_secs_f64(arrival),
            deadline: Some(Nanos::from_secs_f64(arrival + alpha * single)),
            t_single: Some(Nanos::from_secs_f64(single)),
            first_start: Some(Nanos::from_secs_f64(start)),
            outcome: if unfinished {
                Outcome::Unfinished
            } else {
                Outcome::Completed(Nanos::from_secs_f64(at))
            },
            gpu_time: Nanos::from_secs_f64(body * f64::from(degree) + 1.2),
            busy: Nanos::from_secs_f64(body * f64::from(degree) + 1.2),
            least_work: Some(Nanos::from_secs_f64(single)),
            least_latency: Some(Nanos::from_secs_f64(single / 2.92 + 1.2)),
            group_setups: u32::from(degree > 1),
            reconfigurations: u32::from(role == Role::Elastic),
            migrations: u32::from(role == Role::Elastic),
        });
    }
    spans.sort_by_key(|span: &SpanRecord| span.started);
    let makespan = free.iter().copied().fold(0.0, f64::max);
    let idle = makespan * f64::from(WORLD) - busy - held;
    let part = |share: f64| Nanos::from_secs_f64(idle * share);
    RunRecord {
        system: name.to_owned(),
        seed,
        point,
        world: WORLD,
        makespan: Nanos::from_secs_f64(makespan),
        requests,
        spans,
        rank_time: RankTime {
            busy: Nanos::from_secs_f64(busy),
            held: Nanos::from_secs_f64(held),
            no_work: part(0.3),
            waiting: part(0.25),
            drain: part(0.4),
            migration: part(0.02),
            group_setup: part(0.02),
            control_plane: part(0.01),
            lost: Nanos::ZERO,
            down: Nanos::ZERO,
        },
        idle_causes: vec![
            (Nanos::ZERO, IdleCause::NoWork),
            (Nanos::from_secs(100), IdleCause::Waiting),
            (Nanos::from_secs(150), IdleCause::Drain),
        ],
        migrated: Bytes(3_000_000 * migrations.len() as u64),
        migration_time: Nanos::from_millis(50 * migrations.len() as u64),
        group_setups: migrations.len() as u64,
        migrations,
        peak_rank_memory: Bytes::ZERO,
        extrapolated: false,
        counters: Counters {
            illegal: if name == "load-adaptive" { 2 } else { 0 },
            ..Counters::default()
        },
        offered_load_realised: Some(load),
        closed_loop: false,
        jittered: false,
    }
}

/// The campaign as a report is given it, every section filled.
pub fn input(campaign: &Campaign, headline_point: usize) -> ReportInput {
    let layouts = ["2 x SP2, least work first", "1 x SP4, FIFO", "4 x SP1, round robin"];
    let ranked = layouts.iter().enumerate().map(|(i, layout)| RankingRow {
        layout: (*layout).to_owned(),
        value: 0.8 - 0.2 * i as f64,
        low: 0.75 - 0.2 * i as f64,
        high: 0.86 - 0.2 * i as f64,
        slo_attainment: Some(0.8 - 0.2 * i as f64),
        latency_ms_mean: Some(41_000.0),
        throughput_rps: Some(0.12),
    });
    ReportInput {
        title: "Sample: elastic against fixed parallelism".to_owned(),
        lead: vec!["A made-up experiment with <angle> & |pipe| names.".to_owned()],
        setup: vec![Fact { name: "world".into(), value: "4 x H20".into(), label: None }],
        systems: SYSTEMS
            .iter()
            .map(|s| SystemNote { name: s.0.into(), description: s.1.into(), role: s.2 })
            .collect(),
        ranking: Some(Ranking {
            metric: "slo_attainment".to_owned(),
            smaller_is_better: false,
            rows: ranked.collect(),
        }),
        charges: vec![Charge {
            name: "group set-up".into(),
            value: "60 us per use".into(),
            is_default: true,
            label: Some(Label::Published),
            note: "group-free collectives".into(),
        }],
        profiles: vec![ProfileNote {
            name: "qwen-image, h20, denoise step, SP 1, 2, 4".into(),
            source: "GF-DiT README".into(),
            label: Some(Label::Published),
            range: "1,024-9,216 tokens".into(),
            extrapolated: true,
        }],
        provenance: vec![Fact { name: "flexdit".into(), value: "0.1.0".into(), label: None }],
        rerun: vec!["flexdit run workloads/quickstart.yaml".into()],
        ..ReportInput::from_campaign(campaign, headline_point)
    }
}
