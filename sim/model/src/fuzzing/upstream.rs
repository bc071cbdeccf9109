//! A session with an ordinary client and a broker that responds with anything: responses
//! that are made by their tables, then changed, cut or replaced by any bytes.
//!
//! Besides what holds for every session, the client gets whole responses to what it has asked, in
//! its order, and no host of the cluster in a field for hosts. As long as the broker's
//! responses are as their tables say, it gets no host of the cluster anywhere at all.

use std::collections::VecDeque;
use std::time::Duration;

use doorkeeper_core::api::keys::API_VERSIONS;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::wire::header::{HeaderEnd, PREFIX_BYTES, RESPONSE_HEAD_BYTES};
use doorkeeper_core::wire::schema::{self, APIS, Direction, Role, Roles};
use doorkeeper_core::wire::walk::{Step, Value, Walker};
use doorkeeper_core::{ConnectFailure, End, Leg};

use super::driver::{DOORKEEPER, SessionDriver};
use super::message::{Draw, body};
use crate::expected::{self, Head};
use crate::frames::Cutter;
use crate::invariants::leaks;

/// Input: flags, then operations. Each is a byte that names it; for what is drawn or sent, the
/// length of the bytes for it in two bytes, and they themselves. See `Conversation::step`.
pub fn upstream(data: &[u8]) {
    let Some((&flags, rest)) = data.split_first() else {
        return;
    };
    let Some(driver) = SessionDriver::new(flags) else {
        return;
    };
    let mut talk = Conversation {
        driver,
        rest,
        next_id: 0,
        asked: VecDeque::new(),
        gone_up: VecDeque::new(),
        to_broker: Cutter::default(),
        to_client: Cutter::default(),
        is_honest: true,
        may_be_long: true,
    };
    while !talk.rest.is_empty() && !talk.driver.is_closed() {
        talk.step();
    }
    if !talk.driver.is_closed() {
        talk.driver.leave_alone();
    }
}

/// A conversation.
struct Conversation<'a> {
    driver: SessionDriver,
    rest: &'a [u8],
    next_id: i32,
    /// Requests of the client that have no response yet.
    asked: VecDeque<Head>,
    /// Requests that the broker has got and not responded to.
    gone_up: VecDeque<Head>,
    to_broker: Cutter,
    to_client: Cutter,
    /// Every response so far is as its table says.
    is_honest: bool,
    may_be_long: bool,
}

impl<'a> Conversation<'a> {
    fn step(&mut self) {
        let what = self.byte();
        match what % 12 {
            0 | 1 => self.ask(),
            2 | 3 => self.respond(),
            4 => self.respond_changed(),
            5 => self.respond_with_anything(),
            6 => {
                self.is_honest = false;
                let bytes = self.bytes();
                self.driver.bytes(Leg::Upstream, bytes);
            }
            7 => {
                let part = self.byte();
                self.client_takes(part);
            }
            8 => {
                let part = self.byte();
                self.broker_takes(part);
            }
            9 => match what / 12 % 4 {
                0 => self.driver.ended(Leg::Upstream, End::Fin),
                1 => self.driver.ended(Leg::Upstream, End::Reset),
                2 => self.driver.ended(Leg::Client, End::Fin),
                _ => self.driver.connect_failed(ConnectFailure::Refused),
            },
            10 => {
                let time = Duration::from_millis(u64::from(self.byte()) * 100);
                self.driver.pass(time);
                self.driver.tick();
            }
            _ => match what / 12 % 2 {
                0 => self.driver.renew(),
                _ => self.driver.drain(Duration::from_secs(5)),
            },
        }
    }

    /// Asks for an API in a version, and lets everything get to the broker.
    fn ask(&mut self) {
        let (api, version) = (usize::from(self.byte()), i16::from(self.byte()));
        let Some(api) = APIS.get(api % APIS.len()) else {
            return;
        };
        let drawn = self.bytes();
        let versions = api.request.editions.iter().map(|edition| edition.versions);
        let last = versions.map(|it| it.last).max().unwrap_or(0);
        let version = version.checked_rem(last + 1).unwrap_or(0);
        let Some(body) = body(api.request, version, &mut Draw::from(drawn)) else {
            return;
        };
        self.next_id += 1;
        let head = Head {
            api: ApiKey(api.key),
            version,
            id: self.next_id,
        };
        let mut frame = Vec::new();
        frame.extend_from_slice(&head.api.0.to_be_bytes());
        frame.extend_from_slice(&head.version.to_be_bytes());
        frame.extend_from_slice(&head.id.to_be_bytes());
        // No client id, and no tagged fields.
        frame.extend_from_slice(&[0xff, 0xff]);
        if api.request.is_flexible(version) == Some(true) {
            frame.push(0);
        }
        frame.extend_from_slice(&body);
        if !self.driver.reads(Leg::Client) {
            return;
        }
        self.asked.push_back(head);
        let frame = crate::frames::with_length(&frame);
        self.driver.bytes(Leg::Client, &frame);
        self.driver.connected();
        self.broker_takes(u8::MAX);
    }

    fn broker_takes(&mut self, part: u8) {
        let bytes = self.driver.wrote(Leg::Upstream, part);
        self.to_broker.push(&bytes);
        while let Some(frame) = self.to_broker.next_frame() {
            self.gone_up.extend(Head::of_request(&frame));
        }
    }

    /// Responds as the table says.
    fn respond(&mut self) {
        if let Some(frame) = self.next_response() {
            self.give(&frame);
        }
    }

    /// Responds as the table says, but for some bytes.
    fn respond_changed(&mut self) {
        let changes = self.bytes();
        let Some(mut frame) = self.next_response() else {
            return;
        };
        let mut is_framed = true;
        for &[how, high, low, byte] in changes.as_chunks::<4>().0 {
            let at = usize::from(u16::from_be_bytes([high, low])) % frame.len().max(1);
            is_framed &= at >= PREFIX_BYTES;
            change(&mut frame, how, at, byte);
        }
        if is_framed && let Some((prefix, rest)) = frame.split_first_chunk_mut() {
            *prefix = u32::try_from(rest.len()).unwrap_or(0).to_be_bytes();
        }
        self.is_honest = false;
        self.give(&frame);
    }

    /// Responds with any body.
    fn respond_with_anything(&mut self) {
        let body = self.bytes();
        let Some(head) = self.gone_up.pop_front() else {
            return;
        };
        self.is_honest = false;
        self.give(&framed(head, body));
    }

    fn next_response(&mut self) -> Option<Vec<u8>> {
        let drawn = self.bytes();
        let head = self.gone_up.pop_front()?;
        let message = schema::message(head.api.0, Direction::Response)?;
        let mut draw = Draw::from(drawn);
        draw.long = self.may_be_long;
        let body = body(message, head.version, &mut draw)?;
        self.may_be_long = draw.long;
        Some(framed(head, &body))
    }

    /// Hands a response in, in pieces while the session reads, and lets the client take all.
    fn give(&mut self, frame: &[u8]) {
        let piece = match usize::from(self.byte()) {
            0 => frame.len(),
            // A long response in small pieces takes long and shows no more.
            size => size.max(frame.len() / 256),
        };
        for piece in frame.chunks(piece.max(1)) {
            if self.driver.is_closed() {
                return;
            }
            self.driver.bytes(Leg::Upstream, piece);
            self.client_takes(u8::MAX);
        }
    }

    fn client_takes(&mut self, part: u8) {
        let bytes = self.driver.wrote(Leg::Client, part);
        self.to_client.push(&bytes);
        if self.is_honest {
            let checked = leaks::no_upstream_host(self.to_client.rest());
            assert!(checked.is_ok(), "{checked:?}");
        }
        while let Some(frame) = self.to_client.next_frame() {
            let due = self.asked.pop_front();
            assert_eq!(
                expected::correlation_id_of(&frame),
                due.map(|head| head.id),
                "not the response that is due"
            );
            if let Some(head) = due {
                self.tells_no_host(head, &frame);
            }
        }
    }

    /// Wherever the table knows a host or a text that may hold one.
    fn tells_no_host(&self, head: Head, frame: &[u8]) {
        const TELLING: Roles = Roles::of(&[Role::Host, Role::ErrorMessage]);
        let Some(message) = schema::message(head.api.0, Direction::Response) else {
            return;
        };
        let Some(edition) = message.edition(head.version) else {
            return;
        };
        if !edition.body.roles.intersects(TELLING) {
            return;
        }
        let mut body = frame
            .get(PREFIX_BYTES + RESPONSE_HEAD_BYTES..)
            .unwrap_or_default();
        // This one's header never has tagged fields (KIP-511).
        let flexible = head.api != API_VERSIONS && edition.flexible.contains(head.version);
        if HeaderEnd::of_response(flexible, body.len()).step(&mut body) != Ok(true) {
            return;
        }
        let whole = body;
        let Some(mut walker) = Walker::new(message, head.version, body.len(), TELLING) else {
            return;
        };
        // What cannot be read to its end is unknown behind that place.
        while let Ok(step) = walker.step(&mut body) {
            match step {
                Step::Done { .. } | Step::More => break,
                Step::Value(found) if found.value == Value::Span => {
                    let text = whole.get(found.data..found.end).unwrap_or_default();
                    self.is_ours(head, found.role, text);
                }
                Step::Value(_)
                | Step::Begin { .. }
                | Step::Array { .. }
                | Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => {}
            }
        }
    }

    fn is_ours(&self, head: Head, role: Role, text: &[u8]) {
        let is_fine = if role == Role::Host {
            text.is_empty() || text == DOORKEEPER.as_bytes()
        } else {
            !self.driver.known_hosts().occurs_in(text)
        };
        assert!(is_fine, "{head:?} has {:?}", String::from_utf8_lossy(text));
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, tail)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = tail;
        first
    }

    /// Their number in two bytes, and they themselves.
    fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
        let (bytes, tail) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = tail;
        bytes
    }
}

/// One change of a frame.
fn change(frame: &mut Vec<u8>, how: u8, at: usize, byte: u8) {
    match how % 4 {
        0 => {
            if let Some(old) = frame.get_mut(at) {
                *old = byte;
            }
        }
        1 => frame.insert(at, byte),
        2 => drop(frame.splice(at..at.saturating_add(1).min(frame.len()), [])),
        _ => frame.truncate(at),
    }
}

/// A response to this request, with its length and header.
fn framed(head: Head, body: &[u8]) -> Vec<u8> {
    let mut frame = head.id.to_be_bytes().to_vec();
    let message = schema::message(head.api.0, Direction::Response);
    let flexible = message.and_then(|it| it.is_flexible(head.version));
    if head.api != API_VERSIONS && flexible == Some(true) {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    crate::frames::with_length(&frame).to_vec()
}
