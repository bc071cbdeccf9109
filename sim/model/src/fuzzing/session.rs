//! A script made of bytes, played on the first backend: every invariant holds in it.
//!
//! What would only take long is made small, as it is for scripts from seeds.

use arbitrary::{Arbitrary as _, Unstructured};

use crate::direct::{Options, run};
use crate::script::{
    Chunk, Client, ListenAddr, NetFault, Ordinal, Part, Request, Script, Step, What,
};

/// How many steps are played. More show no more, and take longer.
const STEPS_MAX: usize = 100;

/// How many bytes all values together have: enough for one response too long to be buffered.
const VALUE_BYTES_MAX: u32 = 80_000;

/// The same where bytes travel one by one.
const VALUE_BYTES_MAX_SLOW: u32 = 600;

/// Input: whatever `Arbitrary` makes a script of.
pub fn session(data: &[u8]) {
    let Ok(mut script) = Script::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    affordable(&mut script);
    let outcome = run(&script, Options::default());
    let failure = outcome.failure.map(|failure| {
        let lines: Vec<&str> = outcome.trace.lines().collect();
        let (lines, step, violation) = (lines.join("\n"), failure.step, failure.violation);
        format!("{lines}\n{script}\nstep {step}: {violation}")
    });
    assert!(failure.is_none(), "{}", failure.unwrap_or_default());
}

/// Lets clients connect before they act, and makes what takes long short enough: a run has to be
/// over in a moment, and whatever waits has to end within the time that invariant 11 gives it.
fn affordable(script: &mut Script) {
    script.steps.truncate(STEPS_MAX);
    let mut met = Vec::new();
    let steps = std::mem::take(&mut script.steps);
    for step in steps {
        if let Step::Client(who, what) = &step
            && !met.contains(who)
        {
            met.push(*who);
            if !matches!(what, Client::Connect(_)) {
                let doorkeeper = ListenAddr::Broker(Ordinal(who.0 % 3));
                script
                    .steps
                    .push(Step::Client(*who, Client::Connect(doorkeeper)));
            }
        }
        script.steps.push(step);
    }
    let is_slow = |step: &Step| {
        let drips = matches!(step, Step::Client(_, Client::Drip(_)));
        drips || matches!(step, Step::Net(_, _, _, NetFault::Window(_)))
    };
    let setting = &script.setting;
    let slow =
        setting.chunk == Chunk::One || setting.window < 65_536 || script.steps.iter().any(is_slow);
    let mut left = if slow {
        VALUE_BYTES_MAX_SLOW
    } else {
        VALUE_BYTES_MAX
    };
    for step in &mut script.steps {
        if let Step::Client(_, Client::Send(request) | Client::SendPart(_, request)) = step {
            left = limited(request, left);
        }
    }
}

/// Gives the values of a request no more bytes than are left, and no fetch long to wait.
fn limited(request: &mut Request, mut left: u32) -> u32 {
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else takes long")]
    match &mut request.what {
        What::Produce(_, parts) => {
            for Part { bytes, .. } in parts {
                *bytes %= left + 1;
                left -= *bytes;
            }
        }
        What::Fetch(_, wait_ms, _) => *wait_ms %= 1000,
        _ => {}
    }
    left
}
