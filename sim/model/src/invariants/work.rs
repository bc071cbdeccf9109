//! 24: what a session does follows the bytes that came, whatever they are.

use doorkeeper_core::{Input, Instant, Leg, Session, work};

/// So many steps are allowed for each byte that came,
const STEPS_PER_BYTE: u64 = 16;

/// and for each input, however little came with it.
const STEPS_PER_INPUT: u64 = 64;

/// The inputs that one session was handed, and what it did for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    bytes: u64,
    inputs: u64,
    steps: u64,
}

impl Work {
    /// Hands an input in.
    ///
    /// # Errors
    /// What was done so far is more than the bytes that came account for.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        session: &mut Session,
        input: Input,
    ) -> Result<(), String> {
        let bytes = match &input {
            Input::Bytes { bytes, .. } => bytes.len(),
            // What is buffered may have to be authorized again.
            Input::Snapshot(_) => session.buffered(Leg::Client),
            Input::Wrote { .. }
            | Input::Ended { .. }
            | Input::Connected
            | Input::ConnectFailed(_)
            | Input::Evaluated(_)
            | Input::Token(_)
            | Input::Drain { .. }
            | Input::ListenerRemoved { .. }
            | Input::Revoked(_)
            | Input::BufferPaused(_)
            | Input::BufferResumed(_)
            | Input::BufferRejected
            | Input::Tick => 0,
        };
        self.bytes += bytes as u64;
        self.inputs += 1;
        let before = work::taken();
        session.handle(now, input);
        self.steps += work::taken() - before;
        let allowed = STEPS_PER_BYTE * self.bytes + STEPS_PER_INPUT * self.inputs;
        if self.steps <= allowed {
            return Ok(());
        }
        let Self {
            bytes,
            inputs,
            steps,
        } = *self;
        Err(format!(
            "{steps} steps for {bytes} bytes in {inputs} inputs, {allowed} are allowed"
        ))
    }
}
