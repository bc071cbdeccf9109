//! What one connection carried, without times: the same on every backend.
//!
//! A line a frame: which way it went on which leg, what it is, how long, and a fingerprint of its
//! bytes. Clients and sessions are named by the script, brokers by the names that the model gives
//! them, so that nothing depends on ports of one machine.

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
    client: String,
    upstream: String,
    events: String,
}

impl Transcript {
    pub(crate) fn new(keep: bool, client: Numbered, id: SessionId) -> Self {
        Self {
            keep,
            name: format!("{id} of c{}", client.0),
            client: String::new(),
            upstream: String::new(),
            events: String::new(),
        }
    }

    /// A request on the leg that the way names: `->` from the client, `up ->` to the broker.
    pub(crate) fn request(&mut self, head: Head, frame: &[u8], way: &str) {
        self.line(head, frame, way);
    }

    /// An answer: `<-` to the client, `up <-` from the broker.
    pub(crate) fn answer(&mut self, head: Head, frame: &[u8], way: &str) {
        self.line(head, frame, way);
    }

    fn line(&mut self, head: Head, frame: &[u8], way: &str) {
        if !self.keep {
            return;
        }
        let leg = if way.starts_with("up") {
            &mut self.upstream
        } else {
            &mut self.client
        };
        let _ = writeln!(
            leg,
            "  {way} {} v{} id {}, {}",
            api::name(ApiKey(head.key)),
            head.version,
            head.id,
            Fingerprint(frame)
        );
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if !self.keep {
            return;
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
        format!(
            "{}\n client leg\n{} upstream leg\n{} events\n{}  closed: {end}\n",
            self.name, self.client, self.upstream, self.events
        )
    }
}
