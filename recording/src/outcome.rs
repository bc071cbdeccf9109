//! The outcome of each input of a session.

use doorkeeper_core::{Effect, Input, Instant, Leg, Session};

/// One input and its outcome.
#[derive(Debug)]
pub struct RecordedStep {
    /// When it was handed in.
    pub at: Instant,
    /// What was handed in.
    pub input: Input,
    /// Nothing if the session panicked or was ended meanwhile.
    pub outcome: Option<Outcome>,
}

/// What a session did with an input.
#[derive(Debug)]
pub struct Outcome {
    /// What the session asked for, in order.
    pub effects: Vec<Effect>,
    /// What it has to write to the client.
    pub client: EgressGrowth,
    /// What it has to write to the broker.
    pub upstream: EgressGrowth,
}

/// How an egress has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressGrowth {
    /// How many bytes are due now.
    pub due: usize,
    /// Those that were added to it.
    pub bytes: Vec<u8>,
}

/// How many bytes of a session were due to each leg when it was last looked at.
#[derive(Debug, Default)]
pub struct EgressLengths {
    client: usize,
    upstream: usize,
}

impl EgressLengths {
    /// The outcome of an input, with the effects that it had.
    pub fn after(&mut self, input: &Input, effects: Vec<Effect>, session: &Session) -> Outcome {
        if let Input::Wrote { leg, bytes } = input {
            let due = match leg {
                Leg::Client => &mut self.client,
                Leg::Upstream => &mut self.upstream,
            };
            *due = due.saturating_sub(*bytes);
        }
        Outcome {
            effects,
            client: grown(&mut self.client, session, Leg::Client),
            upstream: grown(&mut self.upstream, session, Leg::Upstream),
        }
    }
}

/// Bytes are added at the end of an egress; when it is shorter than before, it was thrown away.
fn grown(due: &mut usize, session: &Session, leg: Leg) -> EgressGrowth {
    let egress = session.egress(leg);
    let mut old = std::mem::replace(due, egress.len());
    let mut bytes = Vec::with_capacity(egress.len().saturating_sub(old));
    if old < egress.len() {
        for slice in egress.slices() {
            bytes.extend_from_slice(slice.get(old..).unwrap_or_default());
            old = old.saturating_sub(slice.len());
        }
    }
    EgressGrowth {
        due: egress.len(),
        bytes,
    }
}
