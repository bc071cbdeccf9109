//! The clients: they send what the script says, and check their responses.

use std::time::Duration;

use doorkeeper_core::{End, Instant};

use super::channel::ReadResult;
use super::net::LinkId;
use super::{Progress, World};
use crate::client::{self, Dialogue};
use crate::script::{self, Direction, ListenAddr, Ordinal, Request};
use crate::watch::SessionId;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    says: client::Client,
    connection: Option<Connection>,
    /// The sessions before this connection in which it was untidy.
    untidy: Vec<SessionId>,
}

/// The connection that it has.
#[derive(Debug)]
struct Connection {
    session: SessionId,
    link: LinkId,
    dialogue: Dialogue,
    /// Ends its half once the outbox is empty.
    fin: bool,
    has_finished: bool,
    stalled: bool,
    drip: Option<Duration>,
    next_drip: Instant,
    over: bool,
}

impl Client {
    pub(super) fn new(number: Ordinal) -> Self {
        Self {
            says: client::Client::new(number),
            connection: None,
            untidy: Vec::new(),
        }
    }

    pub(super) fn number(&self) -> Ordinal {
        self.says.number()
    }

    /// Whether it waits for responses on a connection that is there.
    pub(super) fn waits(&self) -> bool {
        let open = self.connection.as_ref().filter(|c| !c.over);
        open.is_some_and(|c| c.dialogue.waits())
    }

    /// Whether some of what it sent to that session was no request.
    pub(super) fn was_untidy_in(&self, session: SessionId) -> bool {
        self.untidy.contains(&session) || self.is_untidy_in() == Some(session)
    }

    fn is_untidy_in(&self) -> Option<SessionId> {
        let connection = self.connection.as_ref();
        connection
            .filter(|c| c.dialogue.is_untidy())
            .map(|c| c.session)
    }

    /// Whether it has a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| !c.over)
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
        let drips = c.drip.is_some() && !c.dialogue.due().is_empty();
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
    pub(super) fn client_acts(&mut self, who: Ordinal, what: &script::Client) {
        let (now, at) = (self.now, usize::from(who.0));
        match what {
            script::Client::Connect(doorkeeper) => {
                self.client_leaves(at, End::Fin);
                self.client_connects(at, *doorkeeper);
            }
            script::Client::Send(request) => self.client_sends(at, request, u8::MAX),
            script::Client::SendPart(part, request) => self.client_sends(at, request, *part),
            script::Client::Raw(bytes) => {
                if let Some(c) = self.connection_mut(at) {
                    c.dialogue.says_raw(bytes);
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
            script::Client::Wait | script::Client::WaitEnd => {}
        }
    }

    fn connection_mut(&mut self, at: usize) -> Option<&mut Connection> {
        let client = self.clients.get_mut(at)?;
        client.connection.as_mut().filter(|c| !c.over)
    }

    fn client_connects(&mut self, at: usize, doorkeeper: ListenAddr) {
        // A listener that is closing accepts nobody.
        if self.drain.is_some() {
            return;
        }
        let Some(number) = self.clients.get(at).map(Client::number) else {
            return;
        };
        let broker = match doorkeeper {
            ListenAddr::Bootstrap => None,
            ListenAddr::Broker(broker) => Some(broker.0),
        };
        let (session, link) = self.accept(number, super::driver::route(broker));
        if let Some(client) = self.clients.get_mut(at) {
            client.untidy.extend(client.is_untidy_in());
            client.connection = Some(Connection {
                session,
                link,
                dialogue: client.says.connects(),
                fin: false,
                has_finished: false,
                stalled: false,
                drip: None,
                next_drip: self.now,
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
            End::Fin | End::Truncated => self.net.close(link, Direction::Up, now, &mut self.rng),
            End::Reset => {
                let arrival = self.net.arrival(now, &mut self.rng);
                self.net.link(link).reset(arrival);
            }
        }
    }

    /// Puts so many 255ths of a request on their way.
    fn client_sends(&mut self, at: usize, request: &Request, part: u8) {
        let foreign = self.foreign_session(at);
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        if let Some(c) = client.connection.as_mut().filter(|c| !c.over && !c.fin) {
            let cluster = &self.brokers.cluster;
            client
                .says
                .says(&mut c.dialogue, request, part, cluster, foreign);
        }
    }

    fn foreign_session(&self, at: usize) -> Option<(i32, i32)> {
        let others = self
            .clients
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        others
            .filter_map(|(_, client)| client.says.fetch_session())
            .next()
    }

    /// Lets a client write and read what it can now.
    pub(super) fn client_step(&mut self, at: usize) -> Progress {
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
        let nothing = c.dialogue.due().is_empty();
        if nothing && (!c.fin || c.has_finished) {
            return false;
        }
        let arrival = self.net.arrival(now, &mut self.rng);
        let pipe = &mut self.net.link(c.link).up;
        if nothing {
            c.has_finished = true;
            pipe.finish(arrival);
            return true;
        }
        if c.drip.is_some() && c.next_drip > now {
            return false;
        }
        let most = if c.drip.is_some() { 1 } else { usize::MAX };
        let due = c.dialogue.due();
        match pipe.write(arrival, due.get(..most).unwrap_or(due)) {
            Ok(0) => false,
            Ok(count) => {
                c.dialogue.sent(count);
                if let Some(drip) = c.drip {
                    c.next_drip = now.after(drip);
                }
                true
            }
            Err(_) => {
                c.dialogue.gives_up();
                true
            }
        }
    }

    fn client_reads(&mut self, at: usize) -> Progress {
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
            ReadResult::Nothing => return Ok(false),
            ReadResult::End(_) => {
                self.client_leaves(at, End::Fin);
                return Ok(true);
            }
            ReadResult::Bytes(bytes) => c.dialogue.received(&bytes),
        }
        while let Some(heard) = client.says.hears(&mut c.dialogue) {
            self.watch
                .client_got(now, c.session, heard.expects, &heard.frame)?;
        }
        Ok(true)
    }
}
