//! What one session forwarded, without times: the same on every backend.
//!
//! A backend reports the bytes that doorkeeper read and wrote on each leg, and the events. They
//! become lanes, one for each direction of each leg, because nothing orders two directions on a
//! network: a line a frame, which says what it is, how long, and a fingerprint of its bytes. The
//! addresses of doorkeeper and the names of brokers follow from broker ids on every backend, so
//! that no frame depends on the ports of one machine.
//!
//! The time at which a broker has ended a transaction is left out, and so is what depends on how
//! bytes are cut: a request that ends its session is not among
//! those that doorkeeper reports, and of a response that ends one, or that nobody asked for, any
//! part may have been read.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::ApiVersion;
use doorkeeper_core::record::Fingerprint;
use doorkeeper_core::{Leg, Route, api};

use crate::expected::{Head, correlation_id_of};
use crate::frames::Cutter;
use crate::script::Ordinal;
use doorkeeper_kafka_model::batch;

/// The transcript of one session.
#[derive(Debug)]
pub struct Transcript {
    name: String,
    /// By legs.
    received: [Vec<u8>; 2],
    went: [Vec<u8>; 2],
    events: Vec<Event>,
}

const fn index(leg: Leg) -> usize {
    match leg {
        Leg::Client => 0,
        Leg::Upstream => 1,
    }
}

impl Transcript {
    /// Of the session with this number, counted from 0.
    #[must_use]
    pub fn new(session: usize, client: Ordinal, route: Route) -> Self {
        let doorkeeper = match route {
            Route::Bootstrap => "bootstrap".to_owned(),
            Route::Broker(id) => format!("b{id}"),
        };
        Self {
            name: format!("s{session} of c{} through {doorkeeper}", client.0),
            received: [Vec::new(), Vec::new()],
            went: [Vec::new(), Vec::new()],
            events: Vec::new(),
        }
    }

    /// doorkeeper has read bytes.
    pub fn received(&mut self, leg: Leg, bytes: &[u8]) {
        if let Some(lane) = self.received.get_mut(index(leg)) {
            lane.extend_from_slice(bytes);
        }
    }

    /// doorkeeper has written bytes.
    pub fn went(&mut self, leg: Leg, bytes: &[u8]) {
        if let Some(lane) = self.went.get_mut(index(leg)) {
            lane.extend_from_slice(bytes);
        }
    }

    /// doorkeeper has reported something of the session.
    pub fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
    }

    /// All of it, and how the session ended.
    #[must_use]
    pub fn text(&self, ended: &str) -> String {
        let [from_client, from_broker] = &self.received;
        let [to_client, to_broker] = &self.went;
        let read = |event: &&Event| matches!(event, Event::Request { .. });
        let read = self.events.iter().filter(read).count();
        let asked = requests(from_client).into_iter().take(read).collect();
        let sent = requests(to_broker);
        let mut text = format!("{}\n", self.name);
        leg(&mut text, "client", asked, to_client);
        leg(&mut text, "upstream", sent, from_broker);
        text.push_str(" responses\n");
        self.list(&mut text, response);
        text.push_str(" connected\n");
        self.list(&mut text, connected);
        let _ = writeln!(text, " closed: {ended}");
        text
    }

    fn list(&self, text: &mut String, line: fn(&Event) -> Option<String>) {
        for line in self.events.iter().filter_map(line) {
            let _ = writeln!(text, "  {line}");
        }
    }
}

fn frames(bytes: &[u8]) -> impl Iterator<Item = Bytes> {
    let mut cutter = Cutter::default();
    cutter.push(bytes);
    std::iter::from_fn(move || cutter.next_frame())
}

fn requests(bytes: &[u8]) -> Vec<(Head, Bytes)> {
    let headed = |frame: Bytes| Some((Head::of_request(&frame)?, frame));
    frames(bytes).map_while(headed).collect()
}

/// Both directions of a leg.
fn leg(text: &mut String, name: &str, up: Vec<(Head, Bytes)>, down: &[u8]) {
    let _ = writeln!(text, " {name} up");
    let mut owed = VecDeque::new();
    for (head, frame) in up {
        line(text, head, &frame);
        owed.push_back(head);
    }
    let _ = writeln!(text, " {name} down");
    for frame in frames(down).map(|frame| batch::without_times(&frame)) {
        // A Produce with acks=0 has no response, and is passed over.
        let id = correlation_id_of(&frame);
        let Some(at) = owed.iter().position(|head| Some(head.id) == id) else {
            break;
        };
        if let Some(head) = owed.drain(..=at).next_back() {
            line(text, head, &frame);
        }
    }
}

fn line(text: &mut String, head: Head, frame: &[u8]) {
    let name = api::name(head.api);
    let Head { version, id, .. } = head;
    let _ = writeln!(text, "  {name} v{version} id {id}, {}", Fingerprint(frame));
}

/// What became of responses, in their order.
fn response(event: &Event) -> Option<String> {
    match event {
        Event::Response {
            api: key,
            version: ApiVersion(version),
            bytes,
            latency: _,
            local,
        } => {
            let by = if *local { "here" } else { "by the broker" };
            let name = api::name(*key);
            Some(format!("{name} v{version} {by}, {bytes} bytes"))
        }
        Event::Rewrote(rewrites) => Some(format!("{rewrites:?}")),
        Event::SaslWithoutLogin => Some("SASL without a login".to_owned()),
        Event::Request { .. }
        | Event::LoginSucceeded { .. }
        | Event::UpstreamLoggedIn { .. }
        | Event::UpstreamLoginFailed { .. }
        | Event::LoginFailed { .. }
        | Event::UpstreamConnected { .. }
        | Event::UpstreamAttemptFailed { .. } => None,
    }
}

/// How the upstream leg was opened.
fn connected(event: &Event) -> Option<String> {
    match event {
        Event::UpstreamConnected { name, attempts } => {
            Some(format!("to {name}, attempt {attempts}"))
        }
        Event::UpstreamAttemptFailed { name, why } => {
            Some(format!("not to {name}: {}", why.name()))
        }
        Event::Request { .. }
        | Event::Response { .. }
        | Event::Rewrote(_)
        | Event::LoginSucceeded { .. }
        | Event::UpstreamLoggedIn { .. }
        | Event::UpstreamLoginFailed { .. }
        | Event::LoginFailed { .. }
        | Event::SaslWithoutLogin => None,
    }
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::api::keys::METADATA;

    use super::*;
    use crate::frames::with_length;

    fn read_whole() -> Event {
        Event::Request {
            api: METADATA,
            version: ApiVersion(9),
            bytes: 12,
        }
    }

    fn head(id: u8) -> Bytes {
        with_length(&[0, 3, 0, 9, 0, 0, 0, id])
    }

    fn response(id: u8) -> Bytes {
        with_length(&[0, 0, 0, id])
    }

    #[test]
    fn only_whole_frames_with_a_response_in_their_turn_are_reported() {
        let mut transcript = Transcript::new(0, Ordinal(1), Route::Bootstrap);
        for id in [1, 2, 3] {
            transcript.received(Leg::Client, &head(id));
        }
        // The third request has closed the session, the first one had no response.
        transcript.event(&read_whole());
        transcript.event(&read_whole());
        transcript.went(Leg::Client, &response(2));
        transcript.went(Leg::Upstream, &head(2));
        transcript.received(Leg::Upstream, &response(2));
        transcript.received(Leg::Upstream, &response(2));
        let text = transcript.text("client_closed");
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.split(',').next().unwrap())
            .collect();
        let expected = [
            "s0 of c1 through bootstrap",
            " client up",
            "  Metadata v9 id 1",
            "  Metadata v9 id 2",
            " client down",
            "  Metadata v9 id 2",
            " upstream up",
            "  Metadata v9 id 2",
            " upstream down",
            "  Metadata v9 id 2",
            " responses",
            " connected",
            " closed: client_closed",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn how_bytes_come_does_not_matter() {
        let transcript = |piece: usize| {
            let mut transcript = Transcript::new(0, Ordinal(1), Route::Bootstrap);
            for part in [head(1), head(2)].concat().chunks(piece) {
                transcript.received(Leg::Client, part);
            }
            transcript.event(&read_whole());
            transcript.text("client_closed")
        };
        assert_eq!(transcript(1), transcript(100));
    }
}
