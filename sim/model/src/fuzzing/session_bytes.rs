//! A whole session between two hostile peers that send any bytes: it never panics, never has a
//! bug, never is stuck, and ends with one reason.

use std::time::Duration;

use doorkeeper_core::error::Revocation;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::broker::TokenReply;
use doorkeeper_core::sasl::failure::{BrokerLoginFailure, LoginFailure};
use doorkeeper_core::sasl::login::Evaluation;
use doorkeeper_core::secret::Secret;
use doorkeeper_core::{ConnectFailure, End, Input, Leg};

use super::driver::SessionDriver;

/// Input: flags, then operations. Each is a byte that names it, and for bytes, their number and
/// they themselves; see `step`.
pub fn session_bytes(data: &[u8]) {
    let Some((&flags, mut rest)) = data.split_first() else {
        return;
    };
    let Some(mut driver) = SessionDriver::new(flags) else {
        return;
    };
    while let Some((&what, tail)) = rest.split_first() {
        rest = tail;
        step(&mut driver, what, &mut rest);
        if driver.is_closed() {
            return;
        }
    }
    driver.leave_alone();
}

/// Hands in one thing that a driver could hand in now. What came later than the first inputs of the
/// corpus has numbers that none of them has.
fn step(driver: &mut SessionDriver, what: u8, rest: &mut &[u8]) {
    match what {
        200 => return driver.buffer_notice(Input::BufferPaused(Leg::Client)),
        201 => return driver.buffer_notice(Input::BufferPaused(Leg::Upstream)),
        202 => return driver.buffer_notice(Input::BufferResumed(Leg::Client)),
        203 => return driver.buffer_notice(Input::BufferResumed(Leg::Upstream)),
        204 => return driver.buffer_notice(Input::BufferRejected),
        205 => return driver.ended(Leg::Client, End::Reset),
        206 => return driver.ended(Leg::Client, End::Truncated),
        207 => return driver.ended(Leg::Upstream, End::Truncated),
        208 => return driver.listener_removed(Duration::from_secs(take(rest).into())),
        209 => return driver.revoked(Revocation::CertificateRevoked),
        210 => {
            let token = bytes(rest).to_vec().into();
            return driver.evaluated(Evaluation::Challenge(token));
        }
        211 => {
            let seconds = take(rest);
            return driver.evaluated(Evaluation::Success {
                token: bytes(rest).to_vec().into(),
                principal: Principal::new(if seconds.is_multiple_of(2) {
                    "User:a"
                } else {
                    "User:b"
                }),
                lifetime: (seconds > 0).then(|| Duration::from_secs(seconds.into())),
            });
        }
        212 => return driver.evaluated(Evaluation::Failure(LoginFailure::WrongPassword)),
        213 => {
            let mechanism = Mechanism::ScramSha256;
            let token = Secret::new(bytes(rest));
            return driver.token(TokenReply::First { mechanism, token });
        }
        214 => return driver.token(TokenReply::Next(Secret::new(bytes(rest)))),
        215 => return driver.token(TokenReply::Done),
        216 => {
            let why = BrokerLoginFailure::CredentialsUnavailable;
            return driver.token(TokenReply::Failure(why));
        }
        _ => {}
    }
    match what % 12 {
        0 => driver.bytes(Leg::Client, bytes(rest)),
        1 => driver.bytes(Leg::Upstream, bytes(rest)),
        2 => drop(driver.wrote(Leg::Client, take(rest))),
        3 => drop(driver.wrote(Leg::Upstream, take(rest))),
        4 => driver.connected(),
        5 => driver.connect_failed(ConnectFailure::Refused),
        6 => driver.ended(Leg::Client, End::Fin),
        7 => {
            let how = if what & 16 == 0 { End::Fin } else { End::Reset };
            driver.ended(Leg::Upstream, how);
        }
        8 => driver.pass(Duration::from_millis(u64::from(take(rest)) * 100)),
        9 => driver.tick(),
        10 => driver.renew(),
        _ => driver.drain(Duration::from_secs(take(rest).into())),
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
