//! Encodes what happens to a session as lines of a recording.

use doorkeeper_core::id::Seed;
use doorkeeper_core::record::EffectLine;
use doorkeeper_core::{Accept, Effect, Input, Leg, Snapshot};

use crate::line::{self, Line, Opening};
use crate::login::{RecordedEvaluation, RecordedTokenReply};
use crate::mask::{Connection, Key};
use crate::outcome::{EgressGrowth, Outcome, RecordedStep};
use crate::pieces::Pieces;
use crate::snapshot::RecordedSnapshot;
use crate::tls::Tls;

/// How a session begins.
#[derive(Clone, Debug)]
pub struct SessionHeader<'a> {
    /// The version of doorkeeper.
    pub doorkeeper: &'a str,
    /// The number of the session, as in the log.
    pub session: u64,
    /// The listener's name.
    pub listener: &'a str,
    /// When, by the clock on the wall.
    pub opened: &'a str,
    /// What is known of the client.
    pub accept: Accept,
    /// The entropy of the session.
    pub seed: Seed,
    /// Its snapshot.
    pub snapshot: &'a Snapshot,
}

impl SessionHeader<'_> {
    /// The first line of the file.
    #[must_use]
    pub fn line(&self) -> Line {
        Line::Recording(Box::new(Opening {
            version: line::VERSION,
            doorkeeper: self.doorkeeper.to_owned(),
            session: self.session,
            listener: self.listener.to_owned(),
            opened: self.opened.to_owned(),
            at: self.accept.at.as_nanos(),
            client: self.accept.client,
            route: self.accept.route,
            tls: self.accept.tls.as_deref().map(Tls::from),
            principal: self
                .accept
                .principal
                .as_ref()
                .map(|it| it.as_str().to_owned()),
            seed: self.seed,
            snapshot: RecordedSnapshot::from(self.snapshot),
        }))
    }
}

/// Encodes the steps of one session, in order.
#[derive(Debug)]
pub struct StepEncoder {
    client: Connection,
    upstream: Connection,
}

impl StepEncoder {
    /// For a session that begins with these limits.
    #[must_use]
    pub fn new(key: Key, snapshot: &Snapshot) -> Self {
        let mut step_encoder = Self {
            client: Connection::new(key),
            upstream: Connection::new(key),
        };
        step_encoder.limit(snapshot);
        if snapshot.login.is_some() {
            step_encoder.client.expect_login();
        }
        step_encoder
    }

    const fn limit(&mut self, snapshot: &Snapshot) {
        self.client.limit(&snapshot.limits);
        self.upstream.limit(&snapshot.limits);
    }

    /// A step with its payloads masked.
    pub fn step(&mut self, taken: &RecordedStep) -> line::Step {
        let input = self.input(&taken.input);
        let outcome = taken.outcome.as_ref().map(|it| self.outcome(it));
        line::Step {
            at: taken.at.as_nanos(),
            input,
            outcome,
        }
    }

    fn input(&mut self, input: &Input) -> line::Input {
        match input {
            Input::Bytes { leg, bytes } => line::Input::Bytes {
                leg: *leg,
                bytes: match leg {
                    Leg::Client => self.client.requests(bytes),
                    Leg::Upstream => self.upstream.responses(bytes),
                },
            },
            Input::Wrote { leg, bytes } => line::Input::Wrote {
                leg: *leg,
                bytes: *bytes,
            },
            Input::Ended { leg, how } => line::Input::Ended {
                leg: *leg,
                how: *how,
            },
            Input::Connected => {
                // Of a connection whose login failed, responses may be owed that never come.
                self.upstream.restart();
                line::Input::Connected
            }
            Input::ConnectFailed(why) => line::Input::ConnectFailed(*why),
            Input::Evaluated(evaluation) => {
                self.client.evaluated(evaluation);
                line::Input::Evaluated(RecordedEvaluation::of(evaluation))
            }
            Input::Token(reply) => line::Input::Token(RecordedTokenReply::of(reply)),
            Input::Snapshot(snapshot) => {
                self.limit(snapshot);
                line::Input::Snapshot(Box::new(RecordedSnapshot::from(&**snapshot)))
            }
            Input::Drain { by } => line::Input::Drain { by: by.as_nanos() },
            Input::ListenerRemoved { by } => line::Input::ListenerRemoved { by: by.as_nanos() },
            Input::Revoked(why) => line::Input::Revoked(*why),
            Input::BufferPaused(leg) => line::Input::BufferPaused { leg: *leg },
            Input::BufferResumed(leg) => line::Input::BufferResumed { leg: *leg },
            Input::BufferRejected => line::Input::BufferRejected,
            Input::Tick => line::Input::Tick,
        }
    }

    fn outcome(&mut self, outcome: &Outcome) -> line::Outcome {
        // A request goes up before its response can be read.
        let upstream = egress(&outcome.upstream, |bytes| self.upstream.requests(bytes));
        let client = egress(&outcome.client, |bytes| self.client.responses(bytes));
        line::Outcome {
            effects: outcome.effects.iter().map(effect).collect(),
            client,
            upstream,
        }
    }
}

fn egress(grown: &EgressGrowth, mask: impl FnOnce(&[u8]) -> Pieces) -> line::Egress {
    let grew = (!grown.bytes.is_empty()).then(|| line::Growth {
        bytes: grown.bytes.len(),
        hash: mask(&grown.bytes).fingerprint(),
    });
    line::Egress {
        due: grown.due,
        grew,
    }
}

/// An effect with all that it says. None contains a payload: an event counts.
fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Connect(target) => format!("{} within {:?}", EffectLine(effect), target.within),
        Effect::Close(reason) => format!("{} {reason:?}", EffectLine(effect)),
        Effect::Evaluate(_)
        | Effect::RequestToken(_)
        | Effect::Learn(_)
        | Effect::Report(_)
        | Effect::Finish(_) => EffectLine(effect).to_string(),
    }
}
