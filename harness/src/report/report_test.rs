//! Tests of whole reports, from a sample campaign.

use super::sample;
use super::*;
use crate::plot::png;
use crate::record::SweepPoint;

fn plain_input() -> ReportInput {
    sample::input(&sample::campaign(5, &[SweepPoint::default()], |_| 1.0), 0)
}

fn swept(key: &str, values: &[&str], load: fn(usize) -> f64) -> ReportInput {
    let point = |value: &&str| SweepPoint(vec![(key.to_owned(), (*value).to_owned())]);
    let points: Vec<SweepPoint> = values.iter().map(point).collect();
    sample::input(&sample::campaign(5, &points, load), 0)
}

fn load_sweep() -> ReportInput {
    swept("target_load", &["0.5", "0.75", "1.0", "1.25", "1.5"], |i| 0.6 + 0.3 * i as f64)
}

fn cost_sweep() -> ReportInput {
    let values = ["free", "60us", "1ms", "3ms", "50ms", "100ms", "778ms"];
    let mut input = swept("costs.group_setup.per_use", &values, |_| 1.0);
    for row in &mut input.metrics {
        let elastic = row.system == "edf-best-fit" || row.system == "load-adaptive";
        let slower = if elastic { 0.75 + 0.1 * row.point as f64 } else { 1.0 };
        row.latency_ms_mean = row.latency_ms_mean.map(|ms| ms * slower);
    }
    input
}

/// Leaves pictures and pages in `target/report-sample`, to look at.
#[test]
fn every_picture_is_drawn_and_equal_input_gives_equal_bytes() {
    let out = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/report-sample");
    std::fs::create_dir_all(format!("{out}/plots")).unwrap();
    let input = plain_input();
    let sample = document(&input);
    assert_eq!(sample, document(&plain_input()));
    let drawn: Vec<&str> = sample.pictures().map(|picture| picture.name.as_str()).collect();
    let names = ["slo-attainment", "latency-cdf", "lateness", "rank-time", "gantt", "best-static"];
    for name in names {
        assert!(drawn.contains(&name), "{name} is missing: {drawn:?}");
    }
    for picture in sample.pictures() {
        let path = format!("{out}/plots/{}.svg", picture.name);
        std::fs::write(path, &picture.svg.0).unwrap();
    }
    std::fs::write(format!("{out}/report.html"), html(&sample).unwrap()).unwrap();
    std::fs::write(format!("{out}/report.md"), markdown(&sample)).unwrap();
    std::fs::write(format!("{out}/report.json"), serde_json::to_vec(&input).unwrap()).unwrap();
}

#[test]
fn pictures_become_png_with_the_font_in_the_repository() {
    let load = document(&load_sweep());
    let picture = load.pictures().find(|picture| picture.name == "load").unwrap();
    let small = png(&picture.svg, 0.5).unwrap();
    assert!(small.starts_with(b"\x89PNG"));
    // Text is drawn: without a font the same page has fewer distinct bytes to encode.
    let mute = picture.svg.0.replace("DejaVu Sans", "no such font").replace("Verdana", "none");
    let mute = png(&crate::plot::Svg(mute.replace("sans-serif", "none")), 0.5).unwrap();
    assert!(mute.len() < small.len(), "{} bytes without text, {} with", mute.len(), small.len());
}

#[test]
fn sweeps_have_their_own_pictures_and_a_crossing() {
    let load = document(&load_sweep());
    assert!(load.pictures().any(|picture| picture.name == "load"));
    let cost = document(&cost_sweep());
    assert!(cost.pictures().any(|picture| picture.name == "break-even"));
    assert!(markdown(&cost).contains("crosses at costs.group"), "{}", markdown(&cost));
}

#[test]
fn html_is_self_contained_and_escapes_names() {
    let html = html(&document(&plain_input())).unwrap();
    assert!(html.contains("&lt;angle&gt; &amp; |pipe|"));
    for fetched in ["src=\"http", "href=\"http", "<script", "@import", "url("] {
        assert!(!html.contains(fetched), "{fetched}");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    let ids = html.matches("<section id=").count();
    assert!(ids >= 9, "{ids} sections");
}

#[test]
fn the_report_compares_with_all_three_baselines_and_names_every_label() {
    let markdown = markdown(&document(&plain_input()));
    for role in Role::BASELINES {
        assert!(markdown.contains(role.name()), "{}", role.name());
    }
    for words in [
        "simulated",
        "published",
        "default",
        "5 of 300 requests did not",
        "10 illegal decisions",
        "extrapolated",
    ] {
        assert!(markdown.contains(words), "{words} is missing:\n{markdown}");
    }
}

#[test]
fn a_missing_baseline_and_a_single_seed_are_said() {
    let mut input = sample::input(&sample::campaign(1, &[SweepPoint::default()], |_| 1.0), 0);
    input.systems.retain(|system| system.role != Role::BestPerClass);
    let text = markdown(&document(&input));
    assert!(text.contains("Not compared with the best static degree per class"), "{text}");
    assert!(text.contains("1 seed: no interval can be drawn"), "{text}");
    assert!(text.contains("too few seeds to say"), "{text}");
}

#[test]
fn an_interval_is_promised_from_five_seeds_on() {
    for (seeds, promised) in [(3, false), (4, false), (5, true)] {
        let campaign = sample::campaign(seeds, &[SweepPoint::default()], |_| 1.0);
        let input = sample::input(&campaign, 0);
        for text in [markdown(&document(&input)), summary(&input)] {
            assert_eq!(text.contains("95 %"), promised, "{text}");
            assert_eq!(text.contains("use at least 5"), !promised, "{text}");
        }
    }
}

#[test]
fn an_empty_input_still_renders() {
    let empty = ReportInput { name: "empty".to_owned(), ..ReportInput::default() };
    let document = document(&empty);
    assert_eq!(document.pictures().count(), 0);
    assert!(html(&document).unwrap().contains("empty"));
    assert!(summary(&empty).starts_with("empty\n"));
}

#[test]
fn the_terminal_summary_holds_both_headline_tables() {
    let text = summary(&plain_input());
    assert!(text.contains("paper's fixed pipeline (paper-baseline)"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn report_json_reads_back_to_the_same_report() {
    let input = plain_input();
    let json = serde_json::to_string(&input).unwrap();
    let back: ReportInput = serde_json::from_str(&json).unwrap();
    assert_eq!(back, input);
}
