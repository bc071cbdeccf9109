//! How much memory the real binary takes: idle, under slow readers, under many that only knock.
//!
//! The bars are those of a release build (`cargo test --release -p doorkeeper-io-tokio --test
//! memory`): the text of a debug binary alone is larger, and it gets that much more here.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test binary, whose helpers fail by panicking"
)]

mod broker;
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::broker::Broker;
use crate::process::{Doorkeeper, Memory};

/// What the pages of a debug binary's text may take on top of each bar.
const DEBUG_TEXT_KIB: u64 = if cfg!(debug_assertions) { 20 * 1024 } else { 0 };

const IDLE_KIB_MAX: u64 = 10 * 1024 + DEBUG_TEXT_KIB;
const SLOW_READERS_KIB_MAX: u64 = 48 * 1024 + DEBUG_TEXT_KIB;
/// For a connection that has sent three bytes: task, session, socket, no read buffer.
const KNOCK_BYTES_MAX: u64 = 6 * 1024;

const READERS: usize = 64;
const RESPONSE_BYTES: usize = 10 * 1024 * 1024;
const KNOCKS: usize = 2000;

#[test]
fn an_idle_process_is_small() {
    let broker = Broker::start(0);
    let doorkeeper = Doorkeeper::start("idle", broker.port());
    let memory = doorkeeper.memory();
    println!("idle: {memory}");
    assert!(memory.resident_kib <= IDLE_KIB_MAX, "{memory}");
}

#[test]
fn slow_readers_of_large_responses_do_not_make_it_buffer_them() {
    for version in [12, 17] {
        let broker = Broker::start(RESPONSE_BYTES);
        let doorkeeper = Doorkeeper::start(&format!("slow-{version}"), broker.port());
        let mut readers: Vec<Reader> = (0..READERS)
            .map(|_| Reader::ask(doorkeeper.broker_port(), version))
            .collect();
        // A little for each, so that all responses are under way at the same time.
        for reader in &mut readers {
            reader.read(4096);
        }
        broker.until_nothing_moves();
        let under_way = doorkeeper.memory();
        while readers.iter().any(|reader| reader.left > 0) {
            for reader in &mut readers {
                reader.read(64 * 1024);
            }
        }
        let memory = doorkeeper.memory();
        println!("{READERS} slow readers of {RESPONSE_BYTES} bytes, Fetch {version}:");
        println!("  while nobody reads: {under_way}");
        println!("  at the end: {memory}");
        assert!(memory.peak_kib <= SLOW_READERS_KIB_MAX, "{memory}");
    }
}

#[test]
fn connections_that_only_knock_cost_next_to_nothing() {
    let broker = Broker::start(0);
    let doorkeeper = Doorkeeper::start("knock", broker.port());
    let before = doorkeeper.memory();
    let knocking: Vec<TcpStream> = (0..KNOCKS)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", doorkeeper.broker_port())).unwrap();
            stream.write_all(&[0, 0, 0]).unwrap();
            stream
        })
        .collect();
    let bytes = (KNOCKS * 3) as u64;
    let read = "doorkeeper_bytes_total{listener=\"local\",leg=\"client\",direction=\"in\"";
    doorkeeper.until_metric(read, bytes);
    let memory = doorkeeper.memory();
    let each = memory.anonymous_kib.saturating_sub(before.anonymous_kib) * 1024 / KNOCKS as u64;
    println!("{KNOCKS} connections of 3 bytes: {each} bytes each, {memory}");
    assert!(each <= KNOCK_BYTES_MAX, "{each} bytes each");
    drop(knocking);
}

/// A client that has asked for one large response.
struct Reader {
    stream: TcpStream,
    left: usize,
}

impl Reader {
    fn ask(port: u16, version: i16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&broker::fetch(version)).unwrap();
        Self {
            stream,
            left: broker::fetched(version, RESPONSE_BYTES).len(),
        }
    }

    fn read(&mut self, count: usize) {
        let mut buffer = vec![0; count.min(self.left)];
        self.stream.read_exact(&mut buffer).unwrap();
        self.left -= buffer.len();
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            resident_kib,
            anonymous_kib,
            peak_kib,
        } = self;
        write!(
            f,
            "resident {resident_kib} KiB, anonymous {anonymous_kib} KiB, peak {peak_kib} KiB"
        )
    }
}
