//! What tests of the real binary have in common: ports, pages over HTTP, and waiting.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "each test binary uses its part, and helpers fail by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything that is waited for may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ports are taken from here: below the range from which systems choose by themselves, so that
/// nobody gets one of them by chance between its test and its use.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// The first of so many free ports in a row, of the loopback address.
pub fn free_ports(count: u16) -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Test processes run side by side: each begins at a place of its own.
    let own = (std::process::id() % 1000) as u16 * 19;
    for _ in 0..1000 {
        let next = TAKEN.fetch_add(count, Ordering::Relaxed);
        let first = FIRST + own.wrapping_add(next) % (COUNT - count);
        let ports = first..first + count;
        if ports
            .into_iter()
            .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        {
            return first;
        }
    }
    panic!("no {count} free ports in a row");
}

/// Sends a request to an admin listener. Empty while there is no response.
pub fn page(port: u16, path: &str) -> String {
    let mut page = String::new();
    if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        let _ = write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.read_to_string(&mut page);
    }
    page
}

/// The value of a sample whose name and labels begin so.
pub fn sample(port: u16, begins: &str) -> Option<f64> {
    let page = page(port, "/metrics");
    let line = page.lines().find(|line| line.starts_with(begins))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Looks again and again, with growing pauses, until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let (never, lock) = (Condvar::new(), Mutex::new(()));
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited for long: {what}");
        // Nobody rings: other processes cannot.
        drop(never.wait_timeout(lock.lock().unwrap(), pause).unwrap());
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
