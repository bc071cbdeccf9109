//! The clients: they send what the script says, and check what they are answered.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::{End, Instant};

use super::net::LinkId;
use super::pipe::Got;
use super::{Moved, World};
use crate::client::{self, Context, Memory};
use crate::frames::Cutter;
use crate::script::{self, Direction, Door, Numbered, Request, What};
use crate::watch::{Expects, SessionId, Violation};

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: Numbered,
    connection: Option<Connection>,
    memory: Memory,
    /// Counts its requests over all connections.
    next_id: i32,
    payloads: u32,
}

/// The connection that it has.
#[derive(Debug)]
struct Connection {
    session: SessionId,
    link: LinkId,
    outbox: VecDeque<Bytes>,
    /// Ends its half once the outbox is empty.
    fin: bool,
    has_finished: bool,
    stalled: bool,
    drip: Option<Duration>,
    next_drip: Instant,
    cutter: Cutter,
    owed: VecDeque<Owed>,
    /// It has sent what is no request, so that it cannot know what it is owed.
    untidy: bool,
    over: bool,
}

/// An answer that it waits for.
#[derive(Debug)]
struct Owed {
    id: i32,
    key: i16,
    version: i16,
    group: u8,
}

impl Client {
    pub(super) fn new(number: Numbered) -> Self {
        Self {
            number,
            connection: None,
            memory: Memory::default(),
            next_id: 0,
            payloads: 0,
        }
    }

    /// Whether it waits for answers on a connection that is there.
    pub(super) fn waits(&self) -> bool {
        let open = self.connection.as_ref().filter(|c| !c.over);
        open.is_some_and(|c| !c.outbox.is_empty() || (!c.owed.is_empty() && !c.untidy))
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|c| c.link)
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.connection.as_ref().map(|c| c.session)
    }

    /// When it sends the next byte, if it drips.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let c = self.connection.as_ref().filter(|c| !c.over)?;
        let drips = c.drip.is_some() && !c.outbox.is_empty();
        drips.then_some(c.next_drip)
    }

    pub(super) fn heal(&mut self) {
        if let Some(c) = &mut self.connection {
            c.stalled = false;
            c.drip = None;
        }
    }
}

impl World {
    pub(super) fn client_acts(
        &mut self,
        who: Numbered,
        what: &script::Client,
    ) -> Result<(), Violation> {
        let (now, at) = (self.now, usize::from(who.0));
        match what {
            script::Client::Connect(door) => {
                self.client_leaves(at, End::Fin);
                self.client_connects(at, *door);
            }
            script::Client::Send(request) => self.client_sends(at, request, u8::MAX)?,
            script::Client::SendPart(part, request) => self.client_sends(at, request, *part)?,
            script::Client::Raw(bytes) => {
                if let Some(c) = self.connection_mut(at) {
                    c.untidy = true;
                    c.outbox.push_back(Bytes::copy_from_slice(bytes));
                    c.outbox.retain(|bytes| !bytes.is_empty());
                }
            }
            script::Client::Fin => {
                if let Some(c) = self.connection_mut(at) {
                    c.fin = true;
                }
            }
            script::Client::Reset => self.client_leaves(at, End::Reset),
            script::Client::Stall => {
                if let Some(c) = self.connection_mut(at) {
                    c.stalled = true;
                }
            }
            script::Client::Resume => {
                if let Some(c) = self.connection_mut(at) {
                    c.stalled = false;
                }
            }
            script::Client::Drip(ms) => {
                if let Some(c) = self.connection_mut(at) {
                    c.drip = (*ms > 0).then(|| Duration::from_millis(u64::from(*ms)));
                    c.next_drip = now;
                }
            }
            script::Client::Wait => {}
        }
        Ok(())
    }

    fn connection_mut(&mut self, at: usize) -> Option<&mut Connection> {
        let client = self.clients.get_mut(at)?;
        client.connection.as_mut().filter(|c| !c.over)
    }

    fn client_connects(&mut self, at: usize, door: Door) {
        // A door that is closing lets nobody in.
        if self.drain.is_some() {
            return;
        }
        let Some(number) = self.clients.get(at).map(|client| client.number) else {
            return;
        };
        let broker = match door {
            Door::Bootstrap => None,
            Door::Broker(broker) => Some(broker.0),
        };
        let (session, link) = self.accept(number, super::door::route(broker));
        if let Some(client) = self.clients.get_mut(at) {
            client.memory.fetch_session = None;
            client.connection = Some(Connection {
                session,
                link,
                outbox: VecDeque::new(),
                fin: false,
                has_finished: false,
                stalled: false,
                drip: None,
                next_drip: self.now,
                cutter: Cutter::default(),
                owed: VecDeque::new(),
                untidy: false,
                over: false,
            });
        }
    }

    /// The client lets go of its connection.
    pub(super) fn client_leaves(&mut self, at: usize, how: End) {
        let now = self.now;
        let Some(c) = self.connection_mut(at) else {
            return;
        };
        c.over = true;
        let link = c.link;
        match how {
            End::Fin => self.net.close(link, Direction::Up, now, &mut self.rng),
            End::Reset => {
                let arrival = self.net.arrival(now, &mut self.rng);
                self.net.link(link).reset(arrival);
            }
        }
    }

    /// Puts so many 255ths of a request on their way.
    fn client_sends(&mut self, at: usize, request: &Request, part: u8) -> Result<(), Violation> {
        let foreign = self.foreign_session(at);
        let Some(client) = self.clients.get_mut(at) else {
            return Ok(());
        };
        let Some(c) = client.connection.as_mut().filter(|c| !c.over && !c.fin) else {
            return Ok(());
        };
        client.next_id += 1;
        let frame = client::encode(
            request,
            &mut Context {
                client: client.number.0,
                id: client.next_id,
                topic_id: &self.brokers.cluster,
                memory: &client.memory,
                foreign_session: foreign,
                payloads: &mut client.payloads,
            },
        );
        let count = frame.len() * usize::from(part) / 255;
        if count < frame.len() {
            // Whatever is sent behind it belongs to it.
            c.untidy = true;
            c.outbox.push_back(frame.slice(..count.max(1)));
            return Ok(());
        }
        let (key, version) = head(&frame);
        c.untidy |= matches!(request.what, What::Other(..));
        let unanswered = matches!(request.what, What::Produce(script::Acks::None, _));
        if !unanswered {
            c.owed.push_back(Owed {
                id: client.next_id,
                key,
                version,
                group: group(&request.what),
            });
        }
        c.outbox.push_back(frame);
        Ok(())
    }

    fn foreign_session(&self, at: usize) -> Option<(i32, i32)> {
        let others = self
            .clients
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        others
            .filter_map(|(_, client)| client.memory.fetch_session)
            .next()
    }

    /// Lets a client write and read what it can now.
    pub(super) fn client_step(&mut self, at: usize) -> Moved {
        let wrote = self.client_writes(at);
        Ok(self.client_reads(at)? | wrote)
    }

    fn client_writes(&mut self, at: usize) -> bool {
        let now = self.now;
        let Some(client) = self.clients.get_mut(at) else {
            return false;
        };
        let Some(c) = client.connection.as_mut().filter(|c| !c.over) else {
            return false;
        };
        if c.outbox.is_empty() && (!c.fin || c.has_finished) {
            return false;
        }
        let arrival = self.net.arrival(now, &mut self.rng);
        let pipe = &mut self.net.link(c.link).up;
        let Some(bytes) = c.outbox.front_mut() else {
            if c.fin && !c.has_finished {
                c.has_finished = true;
                pipe.finish(arrival);
                return true;
            }
            return false;
        };
        if c.drip.is_some() && c.next_drip > now {
            return false;
        }
        let most = if c.drip.is_some() { 1 } else { bytes.len() };
        match pipe.write(arrival, bytes.get(..most).unwrap_or_default()) {
            Ok(0) => false,
            Ok(count) => {
                let _ = bytes.split_to(count);
                if bytes.is_empty() {
                    c.outbox.pop_front();
                }
                if let Some(drip) = c.drip {
                    c.next_drip = now.after(drip);
                }
                true
            }
            Err(_) => {
                c.outbox.clear();
                true
            }
        }
    }

    fn client_reads(&mut self, at: usize) -> Moved {
        let now = self.now;
        let Some(client) = self.clients.get_mut(at) else {
            return Ok(false);
        };
        let Some(c) = client.connection.as_mut() else {
            return Ok(false);
        };
        if c.over || c.stalled {
            return Ok(false);
        }
        match self.net.link(c.link).down.read(now, usize::MAX) {
            Got::Nothing => return Ok(false),
            Got::End(_) => {
                self.client_leaves(at, End::Fin);
                return Ok(true);
            }
            Got::Bytes(bytes) => c.cutter.push(&bytes),
        }
        while let Some(frame) = c.cutter.next_frame() {
            let owed = c.owed.pop_front();
            let id = owed.as_ref().map(|owed| owed.id);
            let owes = if c.untidy {
                Expects::Anything
            } else {
                Expects::Answer(id)
            };
            self.watch.client_got(now, c.session, owes, &frame)?;
            if let Some(owed) = owed {
                client
                    .memory
                    .learn(owed.key, owed.version, owed.group, &frame);
            }
        }
        Ok(true)
    }
}

fn head(frame: &[u8]) -> (i16, i16) {
    let int = |at: usize| {
        let bytes = frame.get(at..at + 2).and_then(|two| two.try_into().ok());
        bytes.map_or(-1, i16::from_be_bytes)
    };
    (int(4), int(6))
}

/// The group that a request is about.
const fn group(what: &What) -> u8 {
    match what {
        What::JoinGroup(group)
        | What::SyncGroup(group)
        | What::Heartbeat(group)
        | What::LeaveGroup(group)
        | What::OffsetCommit(group, _)
        | What::OffsetFetch(group) => *group,
        What::ApiVersions
        | What::Metadata(_)
        | What::Produce(..)
        | What::Fetch(..)
        | What::ListOffsets(_)
        | What::FindCoordinator(_)
        | What::InitProducerId
        | What::CreateTopics(_)
        | What::DescribeCluster
        | What::DescribeConfigs(_)
        | What::Other(..) => 0,
    }
}
