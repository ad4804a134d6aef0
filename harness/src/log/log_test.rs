//! Tests of logs: written, read back, replayed, damaged.

use super::*;
use flexdit_core::{Counters, Rank, RequestId, System};

fn header() -> Header {
    Header {
        flexdit_log: VERSION,
        world: 4,
        system: "elastic".into(),
        seed: u64::MAX,
        layout: None,
        point: vec![("costs.launch".into(), "5us".into())],
        measured_on: None,
        path: "a.yaml".into(),
        experiment: "name: a\n".into(),
    }
}

fn steps() -> Vec<Step> {
    let step = |t, events, commands| Step { t: Nanos(t), events, commands };
    vec![
        step(1, vec![Event::RankUp(Rank(0))], vec![Command::Complete(RequestId(1))]),
        step(2, vec![], vec![]),
        step(5, vec![Event::Cancelled(RequestId(2))], vec![Command::Complete(RequestId(2))]),
    ]
}

fn log(steps: &[Step]) -> Vec<u8> {
    let mut log = LogWriter::new(vec![], &header()).unwrap();
    for step in steps {
        log.step(step.t, &step.events, &step.commands).unwrap();
    }
    log.finish().unwrap()
}

/// Answers step n with the completion of request n + 1, and nothing in the second step.
#[derive(Default)]
struct Script(u32, bool);

impl System for Script {
    fn step(&mut self, _: Nanos, _: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        self.0 += 1;
        match self.0 {
            2 => {}
            3 if self.1 => {}
            3 => out.push(Command::Complete(RequestId(2))),
            _ => out.push(Command::Complete(RequestId(self.0))),
        }
        None
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

#[test]
fn a_log_reads_back_as_it_was_written() {
    let bytes = log(&steps());
    let reader = LogReader::new("log", &bytes[..]).unwrap();
    assert_eq!(*reader.header(), header());
    assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), steps());
}

#[test]
fn a_replay_names_the_first_difference() {
    let bytes = log(&steps());
    let read = || LogReader::new("log", &bytes[..]).unwrap();
    let same = replay(read(), &mut Script::default()).unwrap();
    assert_eq!(same, Replay { steps: 3, commands: 2, divergence: None });
    let other = replay(read(), &mut Script(0, true)).unwrap().divergence.unwrap();
    assert_eq!(
        other.to_string(),
        "step 2 at 5 ns, command 0: logged Complete(RequestId(2)), replayed nothing"
    );
}

#[test]
fn damaged_logs_are_refused_with_their_line() {
    let bytes = log(&steps());
    let message = |bytes: &[u8]| {
        let all =
            LogReader::new("log", bytes).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        all.unwrap_err().to_string()
    };
    assert!(message(b"hello, this is text").starts_with("log"), "{}", message(b"hello"));
    assert!(message(&bytes[..bytes.len() / 2]).starts_with("log:1: the log ends here"));
    let bad = zstd::encode_all(&b"{\"flexdit_log\": 2}\n"[..], 1).unwrap();
    assert_eq!(message(&bad), "log:1:18: missing key `world`");
    let old = Header { flexdit_log: 0, ..header() };
    let old = zstd::encode_all(&serde_json::to_vec(&old).unwrap()[..], 1).unwrap();
    assert_eq!(message(&old), "log:1: the log has version 0, this program reads 2");
    let text = format!("{}\n{{\"t\": -1}}\n", serde_json::to_string(&header()).unwrap());
    let text = zstd::encode_all(text.as_bytes(), 1).unwrap();
    assert!(message(&text).starts_with("log:2:8: t: "), "{}", message(&text));
}
