//! Tests of workloads as built from YAML.

use super::fixture::{from_yaml, from_yaml_with, refusal};
use flexdit_core::model::model;
use flexdit_core::{ClassId, ModelId, Nanos};

#[test]
fn the_paper_workload_reaches_its_target_load_in_expectation() {
    let yaml = "workload: {arrivals: {phased: short}, target_load: 1.0}";
    let workload = from_yaml(yaml, 42).unwrap();
    assert!((workload.offered_load_expected.unwrap() - 1.0).abs() < 1e-12);
    let names: Vec<&str> = workload.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["S", "M", "L"]);
    let mean = (0..200)
        .map(|seed| from_yaml(yaml, seed).unwrap().offered_load_realised.unwrap())
        .sum::<f64>()
        / 200.0;
    assert!((0.9..1.15).contains(&mean), "{mean}");
}

#[test]
fn the_realised_load_is_over_the_active_window_and_exports_state_the_artifacts() {
    let yaml = "workload: {arrivals: {phased: short}, target_load: 1.0}";
    let workload = from_yaml(yaml, 5).unwrap();
    let times = workload.requests.iter().map(|request| request.t_single.unwrap().as_secs_f64());
    let work: f64 = times.sum();
    // The profile is active for 540 s on 4 ranks, whenever the first and the last request come.
    assert!((workload.offered_load_realised.unwrap() - work / (4.0 * 540.0)).abs() < 1e-12);
    let span = workload.requests.last().unwrap().arrival - workload.requests[0].arrival;
    let text = super::export::gf_dit(&workload, 4, Some(5));
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let written = file["metadata"]["offered_load_realized"].as_f64().unwrap();
    assert!((written - work / (4.0 * span.as_secs_f64())).abs() < 1e-12);
    assert!(written > workload.offered_load_realised.unwrap());
}

#[test]
fn requests_carry_the_class_and_a_deadline_of_alpha_times_t_single() {
    let workload = from_yaml("workload: {arrivals: {phased: short}, target_load: 1.0}", 1).unwrap();
    for (index, request) in workload.requests.iter().enumerate() {
        let class = &workload.classes[request.class.index()];
        assert_eq!(request.id.index(), index);
        assert_eq!(request.t_single, class.t_single);
        let budget = class.t_single.unwrap().scale(class.alpha);
        assert_eq!(request.deadline, Some(request.arrival + budget));
    }
    let defaults: Vec<_> =
        workload.classes.iter().map(|c| (c.alpha, c.priority, c.preemptible)).collect();
    assert_eq!(defaults, [(1.5, 100, false), (2.0, 50, false), (6.0, 0, true)]);
    assert_eq!(workload.classes[0].t_single, Some(Nanos::from_millis_f64(7_957.523_593)));
}

#[test]
fn the_same_seed_gives_the_same_requests_and_another_gives_others() {
    let yaml = "workload: {arrivals: {phased: short}, target_load: 1.0}";
    let of = |seed| from_yaml(yaml, seed).unwrap().requests;
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
}

#[test]
fn scaling_the_rate_moves_no_class() {
    let at = |load: &str| {
        let yaml =
            format!("workload: {{arrivals: {{poisson: {{requests: 50}}}}, target_load: {load}}}");
        from_yaml(&yaml, 7).unwrap()
    };
    let (half, full) = (at("0.5"), at("1.0"));
    assert!(half.requests.iter().zip(&full.requests).all(|(a, b)| a.class == b.class));
    let times = half.requests.iter().zip(&full.requests);
    assert!(times.clone().all(|(a, b)| a.arrival.0.abs_diff(2 * b.arrival.0) <= 2));
}

#[test]
fn written_shares_replace_the_profiles_mix() {
    let yaml = "workload:
  classes:
    S: {height: 512, width: 512, share: 0}
    M: {height: 1024, width: 1024, share: 1}
  arrivals: {phased: {profile: short, rate_scale: 20}}";
    let workload = from_yaml(yaml, 1).unwrap();
    assert!(workload.requests.iter().all(|request| request.class == ClassId(1)));
}

#[test]
fn the_skewed_mix_is_proportional_to_exp_of_relative_tokens() {
    let yaml =
        "workload: {mix: skewed, arrivals: {poisson: {per_min: 600, duration: 2h}}, slo: none}";
    let workload = from_yaml(yaml, 1).unwrap();
    let share = |class| {
        let count = workload.requests.iter().filter(|r| r.class == ClassId(class)).count();
        count as f64 / workload.requests.len() as f64
    };
    let weights = [1_024.0, 4_096.0, 9_216.0].map(|tokens: f64| libm::exp(tokens / 9_216.0));
    let sum: f64 = weights.iter().sum();
    for (class, weight) in weights.iter().enumerate() {
        assert!((share(class as u16) - weight / sum).abs() < 0.01);
    }
    assert!(workload.requests.iter().all(|request| request.deadline.is_none()));
}

#[test]
fn slo_bases_set_the_time_until_due() {
    let budgets = |slo: &str| -> Vec<f64> {
        let yaml = format!("workload: {{arrivals: {{batch: {{requests: 9}}}}, slo: {slo}}}");
        let workload = from_yaml(&yaml, 1).unwrap();
        workload.classes.iter().map(|class| class.budget.unwrap().as_millis_f64()).collect()
    };
    let client = budgets("{alpha: {client: 1s, alpha: {S: 2}}}");
    assert_eq!(client[0], 2.0 * 7_957.523_593 + 1_000.0);
    let table = budgets("{table: {latency: {S: 1.5s, M: 3s, L: 5s}, scale: 1.2}}");
    assert_eq!(table, [1_800.0, 3_600.0, 6_000.0]);
    let own = budgets("{estimate: {factor: 3}}");
    assert_eq!(own[1], 3.0 * 30_457.594_372);
    let scaled = budgets("{estimate: {factor: 3, reference: S}}");
    assert_eq!(scaled[1], 4.0 * scaled[0]);
}

#[test]
fn closed_loops_and_batches_start_at_zero() {
    let closed =
        from_yaml("workload: {arrivals: {closed: {concurrency: 3, requests: 20}}}", 1).unwrap();
    assert_eq!((closed.closed_loop, closed.requests.len()), (Some(3), 20));
    assert!(closed.requests.iter().all(|request| request.arrival == Nanos::ZERO));
    let batch = from_yaml("workload: {arrivals: {batch: {counts: {S: 64}}}}", 1).unwrap();
    assert_eq!(batch.requests.len(), 64);
    assert_eq!(batch.offered_load_realised, None);
}

#[test]
fn classes_of_several_models_name_theirs() {
    let models = ["qwen-image", "flux.1-dev"].map(|name| model(name).unwrap());
    let yaml = "workload:
  classes:
    S: {model: qwen-image, height: 512, width: 512}
    F: {model: flux.1-dev, height: 1024, width: 1024}
  arrivals: {waves: {waves: 3, size: 2, gap: 10s}}";
    let workload = from_yaml_with(yaml, 1, &models).unwrap();
    assert_eq!(workload.requests[1].shape.model, ModelId(1));
    assert_eq!(workload.requests[1].shape.steps, 28);
    let missing = yaml.replace("model: flux.1-dev, ", "");
    assert_eq!(
        from_yaml_with(&missing, 1, &models).unwrap_err().to_string(),
        "a.yaml:4:8: workload.classes.F: missing key `model`: there are several, \
         qwen-image, flux.1-dev"
    );
}

#[test]
fn clients_give_up_at_the_deadline_after_so_many_of_them_or_after_a_time() {
    let given_up = |timeout: &str| {
        let arrivals = "arrivals: {poisson: {per_min: 9, requests: 20}}";
        let workload = from_yaml(&format!("workload: {{{arrivals}{timeout}}}"), 3).unwrap();
        assert!(workload.cancellations.is_sorted());
        let of = |request: &flexdit_core::Request| {
            let mut mine = workload.cancellations.iter().filter(|(_, id)| *id == request.id);
            mine.next().map(|(at, _)| *at - request.arrival)
        };
        let budget = |request: &flexdit_core::Request| request.deadline.unwrap() - request.arrival;
        workload.requests.iter().map(|each| (budget(each), of(each))).collect::<Vec<_>>()
    };
    assert!(given_up("").iter().all(|(_, after)| after.is_none()));
    let at = given_up(", client_timeout: deadline");
    assert!(at.len() == 20 && at.iter().all(|(budget, after)| *after == Some(*budget)));
    let late = given_up(", client_timeout: {deadlines: 2}");
    assert!(late.iter().all(|(budget, after)| *after == Some(*budget * 2)));
    let soon = given_up(", client_timeout: {after: 5s}");
    assert!(soon.iter().all(|(_, after)| *after == Some(Nanos::from_millis(5_000))));
}

#[test]
fn rules_by_which_nobody_can_give_up_are_refused() {
    let messages = [
        refusal("workload: {arrivals: {phased: short}, client_timeout: never}"),
        refusal("workload: {arrivals: {phased: short}, client_timeout: {deadlines: -1}}"),
        refusal(
            "workload: {arrivals: {batch: {requests: 1}}, slo: none, client_timeout: deadline}",
        ),
        refusal(
            "workload: {arrivals: {closed: {concurrency: 2, requests: 9}}, client_timeout: {after: 1s}}",
        ),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
a.yaml:1:55: workload.client_timeout: unknown value `never`, expected `deadline`, `deadlines` or `after`
a.yaml:1:67: workload.client_timeout.deadlines: expected a number above 0, got -1
a.yaml:1:73: workload.client_timeout: no request has a deadline: give `after`, or another `slo`
a.yaml:1:79: workload.client_timeout: a closed loop sends requests at times that only the run tells: give other arrivals
"#);
}

#[test]
fn mistakes_are_refused_at_their_place() {
    let arrivals = |arrivals: &str| refusal(&format!("workload: {{arrivals: {arrivals}}}"));
    let classes = |classes: &str| {
        let arrivals = "arrivals: {batch: {requests: 9}}";
        refusal(&format!("workload: {{{arrivals}, classes: {classes}}}"))
    };
    let long = "{phased: {phases: [{until: 9s, per_min: 1, mix: {S: 0}}]}}";
    let messages = [
        arrivals("{phased: shrt}"),
        arrivals("{phased: {profile: short, rate_scale: -1}}"),
        arrivals("{poisson: {per_min: -2, requests: 9}}"),
        arrivals("{poisson: {per_min: .nan, requests: 9}}"),
        arrivals("{poisson: {per_min: 1}}"),
        arrivals("{poisson: {per_min: 1e9, duration: 99h}}"),
        arrivals("{poisson: {rate: 1}}"),
        arrivals("{gamma: {per_min: 1, cv: 99, requests: 2}}"),
        arrivals("{phased: {phases: [{until: 9s, per_min: 1}, {until: 3s, per_min: 1}]}}"),
        arrivals(long),
        arrivals("{phased: {phases: [{until: 9s, per_min: 0}]}}"),
        arrivals("{sessions: {users: 3, gap: [0, 3s], duration: 1h}}"),
        arrivals("{batch: {requests: 0}}"),
        arrivals("{batch: {counts: {XL: 3}}}"),
        classes("{S: {height: 512, width: 512, share: 0}}"),
        classes("{S: {height: 512, width: 512, share: -1}}"),
        classes("{S: {height: 512, width: 512, share: 1}, M: {height: 512, width: 1024}}"),
        classes("{S: {height: 512, width: 512, frames: 5}}"),
        classes("{S: {height: 8, width: 8}}"),
        classes("{S: {height: 640, width: 640}}"),
        classes("{S: {height: 512, width: 512, steps: 0}}"),
        classes("{S: {height: 512, width: 512, text_tokens: 4096}}"),
        classes("{S: {height: 512, width: 512, alpha: 0}}"),
        classes("{S: {height: 512, width: 512, model: flux}}"),
        classes("{S: {hight: 512, width: 512}}"),
        refusal("workload: {}"),
        refusal("workload: {arrivals: {batch: {requests: 1}}, target_load: 1}"),
        refusal("workload: {arrivals: {phased: short}, target_load: 0}"),
        refusal("workload: {arrivals: {batch: {requests: 1}}, slo: {table: {latency: {S: 1s}}}}"),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
a.yaml:1:31: workload.arrivals.phased: unknown value `shrt`, expected `short`, `tridentserve`, `foreground_burst` or `inflight_burst`; did you mean `short`?
a.yaml:1:60: workload.arrivals.phased.rate_scale: expected a number above 0, got -1
a.yaml:1:42: workload.arrivals.poisson.per_min: expected a number above 0, got -2
a.yaml:1:42: workload.arrivals.poisson.per_min: expected a finite number, got NaN
a.yaml:1:32: workload.arrivals.poisson: expected `requests` or `duration`
a.yaml:1:32: workload.arrivals.poisson: about 5940000000000 requests would arrive, at most 10000000
a.yaml:1:33: workload.arrivals.poisson: unknown key `rate`, expected `per_min`, `requests` or `duration`
a.yaml:1:47: workload.arrivals.gamma.cv: expected a number from 0.05 to 20, got 99
a.yaml:1:74: workload.arrivals.phased.phases[1].until: expected a time after 9 s, got 3 s
a.yaml:1:70: workload.arrivals.phased.phases[0].mix: empty mix: expected a share above 0
a.yaml:1:31: workload.arrivals.phased: expected a phase with a rate above 0
a.yaml:1:49: workload.arrivals.sessions.gap: expected [shortest, longest], the shortest above 0
a.yaml:1:41: workload.arrivals.batch.requests: expected at least 1, got 0
a.yaml:1:44: workload.arrivals.batch.counts.XL: unknown class `XL`, expected `S`, `M` or `L`
a.yaml:1:55: workload.classes: empty mix: all shares are 0
a.yaml:1:92: workload.classes.S.share: expected a number of at least 0, got -1
a.yaml:1:99: workload.classes.M: missing key `share`: give it for all classes or for none
a.yaml:1:59: workload.classes.S: qwen-image makes images; 5 frames asked
a.yaml:1:59: workload.classes.S: 8x8, 1 frames, has no latent token in qwen-image
a.yaml:1:59: workload.classes.S: the profile has no price for qwen-image at 640x640, 1 frames, on one rank, which the deadline needs
a.yaml:1:92: workload.classes.S.steps: expected at least 1, got 0
a.yaml:1:98: workload.classes.S.text_tokens: qwen-image takes at most 512 text tokens, got 4096
a.yaml:1:92: workload.classes.S.alpha: expected a number above 0, got 0
a.yaml:1:92: workload.classes.S.model: unknown model `flux`, expected `qwen-image`
a.yaml:1:60: workload.classes.S: unknown key `hight`, expected `model`, `height`, `width`, `frames`, `steps`, `text_tokens`, `guidance`, `share`, `alpha`, `priority`, `preemptible` or `chunk_steps`; did you mean `height`?
a.yaml:1:11: workload: missing key `arrivals`; or give `import`
a.yaml:1:59: workload.target_load: a batch has no rate that could be scaled
a.yaml:1:52: workload.target_load: expected a number above 0, got 0
a.yaml:1:69: workload.slo.table.latency: expected a target for class `M`
"#);
}
