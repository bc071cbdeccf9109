//! A whole session between two hostile peers that send any bytes: it never panics, never has a
//! bug, never is stuck, and ends with one reason.

use std::time::Duration;

use doorkeeper_core::{ConnectFailure, End, Input, Leg};

use super::driven::Driven;

/// Input: flags, then operations. Each is a byte that names it, and for bytes, their number and
/// they themselves; see `step`.
pub fn session_bytes(data: &[u8]) {
    let Some((&flags, mut rest)) = data.split_first() else {
        return;
    };
    let Some(mut driven) = Driven::new(flags) else {
        return;
    };
    while let Some((&what, tail)) = rest.split_first() {
        rest = tail;
        step(&mut driven, what, &mut rest);
        if driven.is_closed() {
            return;
        }
    }
    driven.leave_alone();
}

/// Hands in one thing that a driver could hand in now. What came later than the first inputs of the
/// corpus has numbers that none of them has.
fn step(driven: &mut Driven, what: u8, rest: &mut &[u8]) {
    match what {
        200 => return driven.hold(Input::BufferPaused(Leg::Client)),
        201 => return driven.hold(Input::BufferPaused(Leg::Upstream)),
        202 => return driven.hold(Input::BufferResumed(Leg::Client)),
        203 => return driven.hold(Input::BufferResumed(Leg::Upstream)),
        204 => return driven.hold(Input::BufferRejected),
        205 => return driven.ended(Leg::Client, End::Reset),
        _ => {}
    }
    match what % 12 {
        0 => driven.bytes(Leg::Client, bytes(rest)),
        1 => driven.bytes(Leg::Upstream, bytes(rest)),
        2 => drop(driven.wrote(Leg::Client, take(rest))),
        3 => drop(driven.wrote(Leg::Upstream, take(rest))),
        4 => driven.connected(),
        5 => driven.connect_failed(ConnectFailure::Refused),
        6 => driven.ended(Leg::Client, End::Fin),
        7 => {
            let how = if what & 16 == 0 { End::Fin } else { End::Reset };
            driven.ended(Leg::Upstream, how);
        }
        8 => driven.pass(Duration::from_millis(u64::from(take(rest)) * 100)),
        9 => driven.tick(),
        10 => driven.renew(),
        _ => driven.drain(Duration::from_secs(take(rest).into())),
    }
}

/// Their number, and they themselves.
fn bytes<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let count = usize::from(take(rest)).min(rest.len());
    let (bytes, tail) = rest.split_at_checked(count).unwrap_or_default();
    *rest = tail;
    bytes
}

fn take(rest: &mut &[u8]) -> u8 {
    let Some((&first, tail)) = rest.split_first() else {
        return 0;
    };
    *rest = tail;
    first
}
