//! The store alone.

use crate::communicator::{Store, StoreError, StoreServer};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

fn serve() -> StoreServer {
    Store::serve("127.0.0.1:0").expect("a port")
}

fn connect(server: &StoreServer) -> Store {
    Store::connect(server.address(), Duration::from_secs(60)).expect("a store")
}

#[test]
fn a_get_waits_until_every_key_is_set() {
    let server = serve();
    let store = connect(&server);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let store = connect(&server);
                    store.wait(&["b", "a", "a"]).expect("they are set");
                    store.get(&["b", "a", "b"]).expect("they are set")
                })
            })
            .collect();
        store.set("a", b"").expect("sent");
        // A get that waits does not keep others from setting, not even on its own line.
        let late = scope.spawn(|| store.get(&["late"]).expect("it is set"));
        store.set("b", b"two").expect("sent");
        for values in waiting {
            assert_eq!(values.join().expect("no panic"), [&b"two"[..], b"", b"two"]);
        }
        connect(&server).set("late", b"now").expect("sent");
        assert_eq!(late.join().expect("no panic"), [b"now"]);
    });
}

#[test]
fn what_is_set_behind_a_get_that_waits_is_there() {
    let server = serve();
    let frame = |kind: u8, fields: &[&[u8]]| {
        let mut body = vec![kind];
        for field in fields {
            body.extend((field.len() as u32).to_le_bytes());
            body.extend(*field);
        }
        [&(body.len() as u32).to_le_bytes()[..], &body].concat()
    };
    let (get, set, add) = (2, 1, 4);
    let one = 1_i64.to_le_bytes();
    let requests = [
        frame(get, &[b"late"]),
        frame(set, &[b"b", b"two"]),
        frame(add, &[b"count", &one]),
        frame(set, &[b"behind", b""]),
    ];
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.write_all(&requests.concat()).expect("written");
    let other = connect(&server);
    assert_eq!(other.get(&["b"]).expect("it is set"), [b"two"]);
    // Whatever is answered keeps its place, and what comes behind it.
    assert_eq!(other.present(&["count", "behind"]), Ok(vec![false, false]));
    other.set("late", b"now").expect("sent");
    let answers =
        [&[7, 0, 0, 0, 3, 0, 0, 0][..], b"now", &[12, 0, 0, 0, 8, 0, 0, 0], &one].concat();
    let mut heard = vec![0; answers.len()];
    std::io::Read::read_exact(&mut stream, &mut heard).expect("answers");
    assert_eq!(heard, answers);
    // On one line, whichever comes first.
    stream
        .write_all(&[frame(get, &[b"own"]), frame(set, &[b"own", b"yes"])].concat())
        .expect("written");
    let answer = [&[7, 0, 0, 0, 3, 0, 0, 0][..], b"yes"].concat();
    let mut heard = vec![0; answer.len()];
    std::io::Read::read_exact(&mut stream, &mut heard).expect("an answer");
    assert_eq!(heard, answer);
}

#[test]
fn a_key_that_is_deleted_while_others_are_waited_for_is_waited_for_again() {
    let server = serve();
    let store = connect(&server);
    store.set("a", b"old").expect("sent");
    assert_eq!(store.present(&["a", "b"]), Ok(vec![true, false]));
    thread::scope(|scope| {
        let both = scope.spawn(|| connect(&server).get(&["a", "b"]).expect("they are set"));
        assert_eq!(store.delete(&["a", "b"]), Ok(1));
        store.set("b", b"there").expect("sent");
        store.set("a", b"new").expect("sent");
        let both = both.join().expect("no panic");
        // Whether the question or the deletion came first is open.
        assert!(both[0] == b"new" || both[0] == b"old", "{both:?}");
        assert_eq!(both[1], b"there");
    });
}

#[test]
fn additions_of_many_clients_are_all_counted() {
    let server = serve();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = connect(&server);
                for _ in 0..250 {
                    store.add("count", 2).expect("a sum");
                }
            });
        }
    });
    assert_eq!(connect(&server).add("count", -1), Ok(1999));
}

#[test]
fn one_of_many_claims_holds() {
    let server = serve();
    let claim = |mine: u8| connect(&server).claim("key", &[mine]).expect("a value");
    let claim = &claim;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|i| scope.spawn(move || claim(i))).collect();
        let values: Vec<_> = threads.into_iter().map(|t| t.join().expect("no panic")).collect();
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    });
}

#[test]
fn a_client_may_go_on_after_a_time_out() {
    let server = serve();
    let short = Duration::from_millis(50);
    let store = Store::connect(server.address(), short).expect("a store");
    assert_eq!(store.get(&["never"]), Err(StoreError::TimedOut(short)));
    store.set("never", b"say").expect("sent");
    let patient = connect(&server);
    assert_eq!(patient.get(&["never"]), Ok(vec![b"say".to_vec()]));
    assert_eq!(store.present(&["never"]), Ok(vec![true]));
}

#[test]
fn values_of_many_bytes_come_whole() {
    let server = serve();
    let store = connect(&server);
    let value: Vec<u8> = (0..600_000_u32).map(|at| (at >> 3) as u8).collect();
    for key in ["a", "b", "c"] {
        store.set(key, &value).expect("sent");
    }
    assert!(store.get(&["a", "b", "c"]).expect("values").iter().all(|v| *v == value));
}

#[test]
fn nonsense_ends_its_own_connection_alone() {
    let server = serve();
    let store = connect(&server);
    for nonsense in [&[0xff; 100][..], &[1, 0, 0, 0, 99], &[0, 0, 0, 0]] {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(nonsense).expect("written");
        let mut end = [0; 1];
        let read = std::io::Read::read(&mut stream, &mut end);
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        assert_eq!(store.add("alive", 0), Ok(0));
    }
}

#[test]
fn without_a_server_nothing_hangs() {
    let server = serve();
    let (address, store) = (server.address(), connect(&server));
    drop(server);
    assert!(matches!(store.get(&["a"]), Err(StoreError::Failed { .. })));
    assert!(Store::connect(address, Duration::from_secs(60)).is_err());
}
