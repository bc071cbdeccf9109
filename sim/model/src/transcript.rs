//! What one connection carried, without times: the same on every backend.
//!
//! A line a frame: which way it went on which leg, what it is, how long, and a fingerprint of its
//! bytes. Clients and sessions are named by the script, brokers by the names that the model gives
//! them, so that nothing depends on ports of one machine.

use std::collections::VecDeque;
use std::fmt::Write as _;

use doorkeeper_core::CloseReason;
use doorkeeper_core::api;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::record::Fingerprint;

use crate::expected::Head;
use crate::script::Numbered;
use crate::watch::SessionId;

/// The transcript of one session.
#[derive(Debug)]
pub(crate) struct Transcript {
    keep: bool,
    name: String,
    /// Requests that the session has not dealt with: one that closes it is never among those that
    /// count, because how much of it is read depends on how it is cut.
    arrived: VecDeque<String>,
    requests: String,
    answers: String,
    requests_up: String,
    answers_up: String,
    events: String,
}

impl Transcript {
    pub(crate) fn new(keep: bool, client: Numbered, id: SessionId) -> Self {
        Self {
            keep,
            name: format!("{id} of c{}", client.0),
            arrived: VecDeque::new(),
            requests: String::new(),
            answers: String::new(),
            requests_up: String::new(),
            answers_up: String::new(),
            events: String::new(),
        }
    }

    /// A request has come from the client.
    pub(crate) fn request(&mut self, head: Head, frame: &[u8]) {
        if self.keep {
            self.arrived.push_back(line(head, frame, "->"));
        }
    }

    /// A request has gone up.
    pub(crate) fn request_up(&mut self, head: Head, frame: &[u8]) {
        if self.keep {
            self.requests_up.push_str(&line(head, frame, "up ->"));
        }
    }

    /// An answer has come from the broker.
    pub(crate) fn answer_up(&mut self, head: Head, frame: &[u8]) {
        if self.keep {
            self.answers_up.push_str(&line(head, frame, "up <-"));
        }
    }

    /// An answer has gone to the client.
    pub(crate) fn answer(&mut self, head: Head, frame: &[u8]) {
        if self.keep {
            self.answers.push_str(&line(head, frame, "<-"));
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if !self.keep {
            return;
        }
        if let (Event::Request { .. }, Some(line)) = (event, self.arrived.front()) {
            self.requests.push_str(line);
            self.arrived.pop_front();
        }
        let _ = match event {
            Event::Answered {
                api: key,
                version,
                bytes,
                latency: _,
                local,
            } => {
                let by = if *local { "here" } else { "by the broker" };
                let (name, version) = (api::name(*key), version.0);
                writeln!(
                    self.events,
                    "  answered {name} v{version} {by}, {bytes} bytes"
                )
            }
            Event::Request { .. }
            | Event::UpstreamConnected { .. }
            | Event::UpstreamAttemptFailed { .. }
            | Event::Rewrote(_) => writeln!(self.events, "  {event:?}"),
        };
    }

    pub(crate) fn text(&self, closed: Option<CloseReason>) -> String {
        if !self.keep {
            return String::new();
        }
        let end = closed.map_or("open", CloseReason::name);
        let legs = [
            (" client leg", &self.requests, &self.answers),
            (" upstream leg", &self.requests_up, &self.answers_up),
        ];
        // The two directions of a leg have no order between them.
        let legs = legs.map(|(name, requests, answers)| format!("{name}\n{requests}{answers}"));
        let (name, events) = (&self.name, &self.events);
        format!(
            "{name}\n{} events\n{events}  closed: {end}\n",
            legs.concat()
        )
    }
}

fn line(head: Head, frame: &[u8], way: &str) -> String {
    let name = api::name(ApiKey(head.key));
    let Head { version, id, .. } = head;
    format!(
        "  {way} {name} v{version} id {id}, {}\n",
        Fingerprint(frame)
    )
}
