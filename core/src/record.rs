//! The text form of every input and effect: one line each, for traces and fault records.
//!
//! Payloads never appear: bytes are written as their number and a fingerprint.

use std::fmt;

use crate::error::CloseReason;
use crate::io::{Effect, Input};

/// An input as one line.
#[derive(Debug)]
pub struct InputLine<'a>(pub &'a Input);

/// An effect as one line.
#[derive(Debug)]
pub struct EffectLine<'a>(pub &'a Effect);

/// Bytes as their number and a fingerprint (FNV-1a, 64 bits).
#[derive(Debug)]
pub struct Fingerprint<'a>(pub &'a [u8]);

impl Fingerprint<'_> {
    /// The fingerprint alone.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.0.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl fmt::Display for Fingerprint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {:016x}", self.0.len(), self.hash())
    }
}

impl fmt::Display for InputLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Input::Bytes { leg, bytes } => {
                write!(f, "bytes {} {}", leg.name(), Fingerprint(bytes))
            }
            Input::Wrote { leg, bytes } => write!(f, "wrote {} {bytes}", leg.name()),
            Input::Ended { leg, how } => write!(f, "ended {} {how:?}", leg.name()),
            Input::Connected => f.write_str("connected"),
            Input::ConnectFailed(why) => write!(f, "connect-failed {}", why.name()),
            Input::Evaluated(evaluation) => write!(f, "evaluated {evaluation}"),
            Input::Token(reply) => write!(f, "token {reply}"),
            Input::Snapshot(snapshot) => write!(f, "snapshot {}", snapshot.epoch),
            Input::Drain { by } => write!(f, "drain {}", by.as_nanos()),
            Input::ListenerRemoved { by } => write!(f, "listener-removed {}", by.as_nanos()),
            Input::Revoked(why) => write!(f, "revoked {}", CloseReason::Revoked(*why).name()),
            Input::BufferPaused(leg) => write!(f, "buffer-paused {}", leg.name()),
            Input::BufferResumed(leg) => write!(f, "buffer-resumed {}", leg.name()),
            Input::BufferRejected => f.write_str("buffer-rejected"),
            Input::Tick => f.write_str("tick"),
        }
    }
}

impl fmt::Display for EffectLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Effect::Connect(target) => write!(f, "connect {} at {}", target.name, target.dial),
            Effect::Evaluate(token) => write!(f, "evaluate {token}"),
            Effect::RequestToken(request) => write!(f, "request-token {request}"),
            Effect::Learn(observation) => write!(f, "learn {observation:?}"),
            Effect::Report(event) => write!(f, "report {event:?}"),
            Effect::Finish(leg) => write!(f, "finish {}", leg.name()),
            Effect::Close(reason) => write!(f, "close {}", reason.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Leg;
    use bytes::Bytes;

    #[test]
    fn payloads_are_written_as_number_and_fingerprint_alone() {
        let bytes = Bytes::from_static(b"secret");
        let line = InputLine(&Input::Bytes {
            leg: Leg::Client,
            bytes,
        })
        .to_string();
        assert!(line.starts_with("bytes client 6 bytes "), "{line}");
        assert!(!line.contains("secret"));
        assert_ne!(Fingerprint(b"a").hash(), Fingerprint(b"b").hash());
    }
}
