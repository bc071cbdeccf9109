//! Hands a session the inputs of a recorded one, and compares what both do.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::record::InputLine;
use doorkeeper_core::{Accept, Input, Instant, Leg, Session};

use crate::line::{self, Opening};
use crate::mask::Key;
use crate::outcome::{EgressLengths, RecordedStep};
use crate::read::{Recording, Unreadable};
use crate::step_encoder::StepEncoder;

/// No driver reads more at once; a file that claims it must not cost memory.
const READ_BYTES_MAX: usize = 16 << 20;

/// A replay and its result.
#[derive(Debug)]
pub struct Replay {
    /// How many steps were taken.
    pub steps: usize,
    /// How it ended.
    pub result: ReplayResult,
}

/// How a replay ended.
#[derive(Debug)]
pub enum ReplayResult {
    /// The session did the same, to the last step.
    Same,
    /// It panicked where the recorded one did.
    SamePanic(String),
    /// It did something else.
    Differs(Difference),
}

/// One step of a replay.
#[derive(Debug)]
pub struct Moment<'a> {
    /// When.
    pub at: Instant,
    /// What was handed in.
    pub input: &'a Input,
    /// The effects that it had.
    pub effects: &'a [String],
}

/// Where a session did something else than the recorded one.
#[derive(Debug)]
pub struct Difference {
    /// The number of the step, from 1; its line in the file is the next one.
    pub step: usize,
    /// When.
    pub at: Instant,
    /// What was handed in.
    pub input: String,
    /// What differs.
    pub what: DifferenceKind,
}

/// The first thing that differs.
#[derive(Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// An effect, by its number from 1.
    Effect {
        /// Which.
        number: usize,
        /// The recorded one, if there was one.
        recorded: Option<String>,
        /// The other, if there is one.
        replayed: Option<String>,
    },
    /// How many bytes were added to an egress.
    Grew(Leg, usize, usize),
    /// The bytes that were added to an egress, outside of payloads.
    Bytes(Leg),
    /// How many bytes are due.
    Due(Leg, usize, usize),
    /// It panicked, and the recorded session did not.
    Panicked(String),
    /// The recorded session panicked.
    DidNotPanic,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            at,
            input,
            what,
        } = self;
        let line = step + 1;
        write!(f, "step {step} (line {line}) at {at}, {input}: {what}")
    }
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Effect {
                number,
                recorded,
                replayed,
            } => {
                let recorded = recorded.as_deref().unwrap_or("nothing");
                let replayed = replayed.as_deref().unwrap_or("nothing");
                write!(f, "effect {number} was {recorded}, and is {replayed}")
            }
            Self::Grew(leg, was, is) => {
                let leg = leg.name();
                write!(f, "{was} bytes were added for the {leg}, and {is} are")
            }
            Self::Bytes(leg) => {
                let leg = leg.name();
                write!(f, "the bytes that were added for the {leg} are others")
            }
            Self::Due(leg, was, is) => {
                let leg = leg.name();
                write!(f, "{was} bytes were due to the {leg}, and {is} are")
            }
            Self::Panicked(text) => write!(f, "the session panicked: {text}"),
            Self::DidNotPanic => f.write_str("the recorded session panicked, and this one did not"),
        }
    }
}

/// Replays a recording, and shows each step.
///
/// # Errors
/// There is something in it that no session can be handed.
pub fn replay(
    recording: &Recording,
    mut show: impl FnMut(&Moment<'_>),
) -> Result<Replay, Unreadable> {
    let mut player = Player::new(&recording.opening)?;
    let panicked = recording.end.as_deref() == Some("panic");
    for (number, step) in (1..).zip(&recording.steps) {
        let at = Instant::from_nanos(step.at);
        let input = restored(number, &step.input)?;
        let played = player.play(at, input.clone());
        let what = match (&step.outcome, played) {
            (Some(recorded), Ok(replayed)) => {
                show(&Moment {
                    at,
                    input: &input,
                    effects: &replayed.effects,
                });
                first_difference(recorded, &replayed)
            }
            (Some(_), Err(panic)) => Some(DifferenceKind::Panicked(panic)),
            (None, Err(panic)) => {
                let result = ReplayResult::SamePanic(panic);
                let steps = number;
                return Ok(Replay { steps, result });
            }
            // A session that was ended by force has no outcome of its last step either.
            (None, Ok(_)) => panicked.then_some(DifferenceKind::DidNotPanic),
        };
        if let Some(what) = what {
            let result = ReplayResult::Differs(Difference {
                step: number,
                at,
                input: InputLine(&input).to_string(),
                what,
            });
            let steps = number;
            return Ok(Replay { steps, result });
        }
    }
    let steps = recording.steps.len();
    Ok(Replay {
        steps,
        result: ReplayResult::Same,
    })
}

/// A session that is handed the inputs of another one.
struct Player {
    session: Session,
    step_encoder: StepEncoder,
    dues: EgressLengths,
}

impl Player {
    fn new(opening: &Opening) -> Result<Self, Unreadable> {
        let snapshot = Arc::new(opening.snapshot.snapshot()?);
        let accept = Accept {
            client: opening.client,
            tls: opening.tls.clone().map(|tls| Arc::new(tls.into())),
            principal: opening.principal.as_deref().map(Principal::new),
            ..Accept::new(
                Instant::from_nanos(opening.at),
                opening.client.socket(),
                opening.route,
            )
        };
        Ok(Self {
            // Fingerprints of payloads are not compared, and so the key does not matter.
            step_encoder: StepEncoder::new(Key([0; 32]), &snapshot),
            session: Session::new(accept, snapshot, opening.seed),
            dues: EgressLengths::default(),
        })
    }

    /// The outcome of an input, or the text of the panic that it causes.
    fn play(&mut self, at: Instant, input: Input) -> Result<line::Outcome, String> {
        let (session, given) = (&mut self.session, input.clone());
        let effects = catch_unwind(AssertUnwindSafe(|| {
            session.handle(at, given);
            std::iter::from_fn(|| session.poll()).collect()
        }));
        let effects = effects.map_err(|panic| text_of(&*panic))?;
        let outcome = Some(self.dues.after(&input, effects, &self.session));
        let step = self.step_encoder.step(&RecordedStep { at, input, outcome });
        Ok(step.outcome.unwrap_or_default())
    }
}

fn restored(step: usize, input: &line::Input) -> Result<Input, Unreadable> {
    Ok(match input {
        line::Input::Bytes { leg, bytes } => {
            let claim = bytes.byte_count();
            if claim > READ_BYTES_MAX {
                return Err(Unreadable::Claim(step, claim));
            }
            Input::Bytes {
                leg: *leg,
                bytes: Bytes::from(bytes.filled()),
            }
        }
        line::Input::Wrote { leg, bytes } => Input::Wrote {
            leg: *leg,
            bytes: *bytes,
        },
        line::Input::Ended { leg, how } => Input::Ended {
            leg: *leg,
            how: *how,
        },
        line::Input::Connected => Input::Connected,
        line::Input::ConnectFailed(why) => Input::ConnectFailed(*why),
        line::Input::Evaluated(evaluation) => {
            let claim = evaluation.claim();
            if claim > READ_BYTES_MAX {
                return Err(Unreadable::Claim(step, claim));
            }
            Input::Evaluated(Box::new(evaluation.evaluation()))
        }
        line::Input::Token(reply) => {
            let claim = reply.claim();
            if claim > READ_BYTES_MAX {
                return Err(Unreadable::Claim(step, claim));
            }
            Input::Token(Box::new(reply.reply()))
        }
        line::Input::Snapshot(snapshot) => Input::Snapshot(Arc::new(snapshot.snapshot()?)),
        line::Input::Drain { by } => Input::Drain {
            by: Instant::from_nanos(*by),
        },
        line::Input::ListenerRemoved { by } => Input::ListenerRemoved {
            by: Instant::from_nanos(*by),
        },
        line::Input::Revoked(why) => Input::Revoked(*why),
        line::Input::BufferPaused { leg } => Input::BufferPaused(*leg),
        line::Input::BufferResumed { leg } => Input::BufferResumed(*leg),
        line::Input::BufferRejected => Input::BufferRejected,
        line::Input::Tick => Input::Tick,
    })
}

fn first_difference(recorded: &line::Outcome, replayed: &line::Outcome) -> Option<DifferenceKind> {
    let count = recorded.effects.len().max(replayed.effects.len());
    let differing = (0..count).find(|at| recorded.effects.get(*at) != replayed.effects.get(*at));
    if let Some(at) = differing {
        return Some(DifferenceKind::Effect {
            number: at + 1,
            recorded: recorded.effects.get(at).cloned(),
            replayed: replayed.effects.get(at).cloned(),
        });
    }
    let legs = [
        (Leg::Client, recorded.client, replayed.client),
        (Leg::Upstream, recorded.upstream, replayed.upstream),
    ];
    legs.into_iter().find_map(|(leg, was, is)| {
        let grew = |egress: line::Egress| egress.grew.map_or(0, |it| it.bytes);
        if grew(was) != grew(is) {
            Some(DifferenceKind::Grew(leg, grew(was), grew(is)))
        } else if was.grew != is.grew {
            Some(DifferenceKind::Bytes(leg))
        } else if was.due != is.due {
            Some(DifferenceKind::Due(leg, was.due, is.due))
        } else {
            None
        }
    })
}

/// What a panic said.
fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no text").to_owned()
}
