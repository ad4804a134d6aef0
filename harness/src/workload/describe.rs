//! A workload in words: what people check before they believe a comparison.

use super::Workload;
use flexdit_core::{ClassId, Nanos};
use std::fmt::Write;

/// Classes, phases and load as aligned text.
pub fn describe(workload: &Workload, world: u16) -> String {
    let models: Vec<&str> = workload.models.iter().map(|model| model.name).collect();
    let last = workload.requests.last().map_or(Nanos::ZERO, |request| request.arrival);
    let mut text = String::new();
    let count = workload.requests.len();
    let _ = writeln!(text, "{count} requests, {}", workload.source);
    let _ = writeln!(text, "{world} ranks, {}", models.join(" + "));
    if let Some(concurrency) = workload.closed_loop {
        let _ = writeln!(text, "closed loop: {concurrency} requests in the system");
    } else {
        let _ = writeln!(text, "last arrival at {}", seconds(last));
    }
    let load = |load: Option<f64>| load.map_or("n/a".to_owned(), |load| format!("{load:.4}"));
    let _ = writeln!(
        text,
        "offered load: {} expected, {} realised (work on one rank over world x {})",
        load(workload.offered_load_expected),
        load(workload.offered_load_realised),
        window_words(workload)
    );
    let _ = write!(text, "\n{}", table(&classes(workload)));
    if !workload.phases.is_empty() {
        let _ = write!(text, "\n{}", table(&phases(workload)));
    }
    text
}

/// The window that the realised load is over.
fn window_words(workload: &Workload) -> String {
    match super::phases::active_window(&workload.phases) {
        0.0 => "the span of the arrivals".to_owned(),
        window => format!("the active window of {window:.3} s"),
    }
}

fn seconds(time: Nanos) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn classes(workload: &Workload) -> Vec<Vec<String>> {
    let header = [
        "class",
        "requests",
        "share",
        "shape",
        "tokens",
        "steps",
        "T_single",
        "due after",
        "priority",
        "preemptible",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (index, class) in workload.classes.iter().enumerate() {
        let id = ClassId(index as u16);
        let of_class = workload.requests.iter().filter(|request| request.class == id);
        let count = of_class.clone().count();
        let budgets = of_class.map(|request| request.deadline.map(|due| due - request.arrival));
        let shape = &class.shape;
        let frames = if shape.frames == 1 { String::new() } else { format!("x{}", shape.frames) };
        let guided = if shape.guidance { " cfg" } else { "" };
        rows.push(vec![
            class.name.clone(),
            count.to_string(),
            format!("{:.1} %", 100.0 * count as f64 / workload.requests.len().max(1) as f64),
            format!("{}x{}{frames}{guided}", shape.width, shape.height),
            class.tokens.to_string(),
            shape.steps.to_string(),
            class.t_single.map_or("n/a".to_owned(), seconds),
            range(budgets.collect()),
            class.priority.to_string(),
            if class.preemptible { "yes" } else { "no" }.to_owned(),
        ]);
    }
    rows
}

/// The one value, or the smallest and the largest.
fn range(values: Vec<Option<Nanos>>) -> String {
    let known: Vec<Nanos> = values.iter().copied().flatten().collect();
    match (known.iter().min(), known.iter().max()) {
        (Some(low), Some(high)) if low.0.abs_diff(high.0) < 1_000_000 => seconds(*low),
        (Some(low), Some(high)) => format!("{} to {}", seconds(*low), seconds(*high)),
        _ => "never".to_owned(),
    }
}

fn phases(workload: &Workload) -> Vec<Vec<String>> {
    let mut header: Vec<String> =
        ["from", "to", "per min"].iter().map(|name| (*name).to_owned()).collect();
    header.extend(workload.classes.iter().map(|class| format!("{} share", class.name)));
    header.push("arrived".to_owned());
    let mut rows = vec![header];
    for phase in &workload.phases {
        let inside = |at: f64| phase.start <= at && at < phase.end;
        let arrived = workload.requests.iter().filter(|r| inside(r.arrival.as_secs_f64())).count();
        let mut row = vec![
            format!("{:.1} s", phase.start),
            format!("{:.1} s", phase.end),
            format!("{:.4}", phase.per_sec * 60.0),
        ];
        row.extend(phase.mix.iter().map(|share| format!("{:.1} %", 100.0 * share)));
        row.push(arrived.to_string());
        rows.push(row);
    }
    rows
}

/// Columns to the right but the first; two spaces between.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => _ = write!(line, "{cell:<width$}"),
                _ => _ = write!(line, "  {cell:>width$}"),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::fixture::from_yaml;
    use super::describe;

    #[test]
    fn a_description_shows_classes_phases_and_load() {
        let yaml = "workload: {arrivals: {phased: short}, target_load: 1.0}";
        insta::assert_snapshot!(describe(&from_yaml(yaml, 42).unwrap(), 4), @r#"
102 requests, generated with seed 42
4 ranks, qwen-image
last arrival at 531.566 s
offered load: 1.0000 expected, 1.0140 realised (work on one rank over world x the active window of 540.000 s)

class  requests   share      shape  tokens  steps  T_single  due after  priority  preemptible
S            64  62.7 %    512x512    1024     50   7.958 s   11.936 s       100           no
M            27  26.5 %  1024x1024    4096     50  30.458 s   60.915 s        50           no
L            11  10.8 %  1536x1536    9216     50  78.058 s  468.346 s         0          yes

from          to  per min  S share  M share  L share  arrived
0.0 s     60.0 s   5.3907   50.0 %   35.0 %   15.0 %        8
60.0 s   360.0 s  10.1075   55.0 %   35.0 %   10.0 %       50
360.0 s  540.0 s  16.8458   70.0 %   25.0 %    5.0 %       44
540.0 s  600.0 s   0.0000    0.0 %    0.0 %    0.0 %        0
"#);
    }
}
