//! Runs one scheduling load and prints its counts and rates; for timing, and for counting instructions:
//!
//! ```text
//! cargo build --release -p flexdit-sim --example throughput
//! target/release/examples/throughput srtf 8 20000
//! target/release/examples/throughput edf-best-fit 1024 20000 closed 11024
//! valgrind --tool=callgrind target/release/examples/throughput srtf 8 500
//! ```

mod load;

use load::Arrivals;

#[expect(clippy::disallowed_methods, reason = "this program times itself")]
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (policy, world, count, arrivals) =
        match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [_, policy, world, count] => (policy, world, count, Some(Arrivals::Open(0.95))),
            [_, policy, world, count, "load", load] => {
                (policy, world, count, load.parse().ok().map(Arrivals::Open))
            }
            [_, policy, world, count, "closed", live] => {
                (policy, world, count, live.parse().ok().map(Arrivals::Closed))
            }
            _ => ("", "", "", None),
        };
    let (Ok(world), Ok(count), Some(arrivals)) = (world.parse(), count.parse(), arrivals) else {
        eprintln!("usage: throughput POLICY WORLD REQUESTS [load L | closed LIVE]");
        std::process::exit(2);
    };
    let start = std::time::Instant::now();
    let counts = load::run(policy, world, count, arrivals);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} tasks, {} decisions, at most {} live; {seconds:.3} s: {:.0} tasks/s, {:.0} decisions/s",
        counts.tasks,
        counts.decisions,
        counts.live_peak,
        counts.tasks as f64 / seconds,
        counts.decisions as f64 / seconds,
    );
}
