//! Free ports on loopback.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Result, bail};

/// Where clients go: the taps, or the brokers when direct.
pub(crate) const FRONT: &str = "127.0.0.1";
/// Where doorkeeper binds, with the same port numbers as the taps in front of it.
pub(crate) const BEHIND: &str = "127.0.0.2";

/// Below the range from which Linux takes the ports of outgoing connections.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_000;

/// Ports that were found before, which may not be bound yet.
static FOUND: Mutex<Vec<Range<u16>>> = Mutex::new(Vec::new());

/// A row of ports that are free on both addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    first: u16,
    count: u16,
}

impl Ports {
    pub(crate) fn find(count: u16) -> Result<Self> {
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        let places = u64::from(LAST - FIRST - count);
        for _ in 0..200 {
            let offset = u16::try_from(random() % places).unwrap_or(0);
            let first = FIRST + offset;
            let row = first..first + count;
            let is_taken = |it: &Range<u16>| it.start < row.end && row.start < it.end;
            let is_free = |port| [FRONT, BEHIND].iter().all(|host| is_free(host, port));
            if !found.iter().any(is_taken) && row.clone().all(is_free) {
                found.push(row);
                return Ok(Self { first, count });
            }
        }
        bail!("no {count} free ports in a row between {FIRST} and {LAST}");
    }

    /// The port at `index`; past the end is the last one.
    pub(crate) fn at(self, index: u16) -> u16 {
        self.first + index.min(self.count - 1)
    }

    /// `count` of them from `index` on.
    pub(crate) fn part(self, index: u16, count: u16) -> Self {
        Self {
            first: self.at(index),
            count,
        }
    }
}

fn is_free(host: &str, port: u16) -> bool {
    TcpListener::bind((host, port)).is_ok()
}

/// Differs from run to run; no secret depends on it.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}
