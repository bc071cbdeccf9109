//! The clients of a script over a network. They move whenever the player waits, all in one task,
//! so that nothing but the script and the network decides who comes first.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use doorkeeper_core::End;
use doorkeeper_core::id::HostPort;
use doorkeeper_host::Handle;
use doorkeeper_model::client::{Client, Dialogue};
use doorkeeper_model::script::{Direction, Ending, NetFault, Ordinal, Request};
use doorkeeper_net::Net;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::net::Reset;

/// What one read takes at most.
const READ_BYTES: usize = 16 << 10;

/// All clients of a script.
pub(super) struct Clients<N: Net> {
    net: N,
    all: Vec<ClientTask<N::Stream>>,
}

/// One client.
struct ClientTask<S> {
    client: Client,
    connection: Option<Connection<S>>,
}

/// The connection that it has.
struct Connection<S> {
    stream: S,
    dialogue: Dialogue,
    /// Ends its half once everything is sent.
    fin: bool,
    has_finished: bool,
    stalled: bool,
    /// What a network does to bytes on their way, the ends of it do here.
    held: [bool; 2],
    cut: Option<(usize, Ending)>,
    drip: Option<Duration>,
    next_drip: Option<Pin<Box<Sleep>>>,
}

/// What became of a connection in one turn.
#[derive(PartialEq, Eq)]
enum TurnOutcome {
    Moved,
    Rests,
    Over,
}

impl<N: Net> Clients<N>
where
    N::Stream: Reset,
{
    /// Nobody has a connection yet.
    pub(super) fn new(net: N) -> Self {
        let talker = |number| ClientTask {
            client: Client::new(Ordinal(number)),
            connection: None,
        };
        Self {
            net,
            all: (0..Ordinal::MAX).map(talker).collect(),
        }
    }

    fn talker(&mut self, who: Ordinal) -> Option<&mut ClientTask<N::Stream>> {
        self.all.get_mut(usize::from(who.0))
    }

    /// The connection of a client, if it has one.
    fn connection(&mut self, who: Ordinal) -> Option<&mut Connection<N::Stream>> {
        self.talker(who)?.connection.as_mut()
    }

    /// Connects a client, which has left the connection that it had.
    ///
    /// # Errors
    /// The network's.
    pub(super) async fn connect(&mut self, who: Ordinal, to: &HostPort) -> std::io::Result<()> {
        let stream = self.net.connect(to).await?;
        if let Some(talker) = self.talker(who) {
            let dialogue = talker.client.connects();
            talker.connection = Some(Connection::new(stream, dialogue));
        }
        Ok(())
    }

    /// A client lets go of its connection.
    pub(super) fn leave(&mut self, who: Ordinal, how: End) {
        let talker = self.talker(who);
        let left = talker.and_then(|talker| talker.connection.take());
        if let (Some(mut connection), End::Reset) = (left, how) {
            connection.stream.reset();
        }
    }

    /// All of them do.
    pub(super) fn leave_all(&mut self) {
        for number in 0..Ordinal::MAX {
            self.leave(Ordinal(number), End::Fin);
        }
    }

    /// Says so many 255ths of a request.
    pub(super) fn says(&mut self, who: Ordinal, request: &Request, part: u8, cluster: &Handle) {
        let others = self.all.iter().filter(|it| it.client.number() != who);
        let foreign = others.filter_map(|it| it.client.fetch_session()).next();
        let Some(ClientTask { client, connection }) = self.talker(who) else {
            return;
        };
        if let Some(connection) = connection.as_mut().filter(|it| !it.fin) {
            let dialogue = &mut connection.dialogue;
            cluster.with(|cluster, _| client.says(dialogue, request, part, cluster, foreign));
        }
    }

    /// Says bytes that are no request.
    pub(super) fn says_raw(&mut self, who: Ordinal, bytes: &[u8]) {
        if let Some(connection) = self.connection(who) {
            connection.dialogue.says_raw(bytes);
        }
    }

    /// Ends its half once everything is sent.
    pub(super) fn finish(&mut self, who: Ordinal) {
        if let Some(connection) = self.connection(who) {
            connection.fin = true;
        }
    }

    /// Reads nothing any more, or again.
    pub(super) fn stall(&mut self, who: Ordinal, stalled: bool) {
        if let Some(connection) = self.connection(who) {
            connection.stalled = stalled;
        }
    }

    /// Sends one byte in so many milliseconds; 0 for all at once.
    pub(super) fn drip(&mut self, who: Ordinal, ms: u8) {
        if let Some(connection) = self.connection(who) {
            connection.drip = (ms > 0).then(|| Duration::from_millis(ms.into()));
            connection.next_drip = None;
        }
    }

    /// Something happens to the client leg.
    pub(super) fn net_fault(&mut self, who: Ordinal, way: Direction, fault: NetFault) {
        let Some(connection) = self.connection(who) else {
            return;
        };
        let [up, down] = &mut connection.held;
        let held = match way {
            Direction::Up => up,
            Direction::Down => down,
        };
        match fault {
            NetFault::Hold => *held = true,
            NetFault::Release => *held = false,
            NetFault::Cut(bytes, how) => connection.cut = Some((bytes.into(), how)),
            // An error before anything is played.
            NetFault::Window(_) => {}
        }
    }

    /// No client is slow any more.
    pub(super) fn heal(&mut self) {
        let all = self.all.iter_mut();
        for connection in all.filter_map(|it| it.connection.as_mut()) {
            connection.stalled = false;
            connection.held = [false; 2];
            connection.cut = None;
            connection.drip = None;
        }
    }

    /// Whether a client waits for responses on a connection that is there.
    pub(super) fn waits(&self, who: Ordinal) -> bool {
        let talker = self.all.get(usize::from(who.0));
        let connection = talker.and_then(|it| it.connection.as_ref());
        connection.is_some_and(|it| it.dialogue.waits())
    }

    /// The first who waits.
    pub(super) fn who_waits(&self) -> Option<Ordinal> {
        (0..Ordinal::MAX).map(Ordinal).find(|who| self.waits(*who))
    }

    /// Whether a client has a connection.
    pub(super) fn is_connected(&self, who: Ordinal) -> bool {
        let talker = self.all.get(usize::from(who.0));
        talker.is_some_and(|it| it.connection.is_some())
    }

    /// Lets everybody write and read what they can now.
    ///
    /// # Errors
    /// A response that is not the one that was owed, or not what it was.
    pub(super) fn move_on(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        self.all.iter_mut().try_for_each(|it| it.move_on(cx))
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> ClientTask<S> {
    fn move_on(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let Self { client, connection } = self;
        loop {
            let Some(open) = connection else {
                return Ok(());
            };
            let turns = [open.write(cx), open.read(cx)];
            while let Some(heard) = client.hears(&mut open.dialogue) {
                heard.check().map_err(|violation| violation.to_string())?;
            }
            if turns.contains(&TurnOutcome::Over) {
                *connection = None;
            } else if !turns.contains(&TurnOutcome::Moved) {
                return Ok(());
            }
        }
    }
}

impl<S> Connection<S> {
    const fn new(stream: S, dialogue: Dialogue) -> Self {
        Self {
            stream,
            dialogue,
            fin: false,
            has_finished: false,
            stalled: false,
            held: [false; 2],
            cut: None,
            drip: None,
            next_drip: None,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> Connection<S> {
    fn write(&mut self, cx: &mut Context<'_>) -> TurnOutcome {
        let [is_buffered, _] = self.held;
        if is_buffered {
            return TurnOutcome::Rests;
        }
        if self.has_finished {
            // What is said behind a cut vanishes.
            self.dialogue.gives_up();
            return TurnOutcome::Rests;
        }
        if let Some((0, how)) = self.cut {
            return self.end(how, cx);
        }
        let due = self.dialogue.due();
        if due.is_empty() {
            if self.fin {
                return self.end(Ending::Fin, cx);
            }
            return TurnOutcome::Rests;
        }
        if let Some(next) = &mut self.next_drip
            && next.as_mut().poll(cx).is_pending()
        {
            return TurnOutcome::Rests;
        }
        let left = self.cut.map_or(usize::MAX, |(left, _)| left);
        let most = if self.drip.is_some() { 1 } else { left };
        match Pin::new(&mut self.stream).poll_write(cx, due.get(..most).unwrap_or(due)) {
            Poll::Pending => TurnOutcome::Rests,
            Poll::Ready(Ok(count)) => {
                self.dialogue.sent(count);
                if let Some((left, _)) = &mut self.cut {
                    *left = left.saturating_sub(count);
                }
                self.next_drip = self.drip.map(|drip| Box::pin(sleep(drip)));
                TurnOutcome::Moved
            }
            Poll::Ready(Err(_)) => {
                self.dialogue.gives_up();
                TurnOutcome::Moved
            }
        }
    }

    /// Ends what it writes.
    fn end(&mut self, how: Ending, cx: &mut Context<'_>) -> TurnOutcome {
        match how {
            Ending::Reset => {
                self.stream.reset();
                TurnOutcome::Over
            }
            Ending::Fin | Ending::Truncated => match Pin::new(&mut self.stream).poll_shutdown(cx) {
                Poll::Pending => TurnOutcome::Rests,
                // Whoever is gone already needs no end.
                Poll::Ready(_) => {
                    self.has_finished = true;
                    TurnOutcome::Moved
                }
            },
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> TurnOutcome {
        let [_, is_buffered] = self.held;
        if is_buffered || self.stalled {
            return TurnOutcome::Rests;
        }
        let mut bytes = [0; READ_BYTES];
        let mut buf = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Pending => TurnOutcome::Rests,
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                self.dialogue.received(buf.filled());
                TurnOutcome::Moved
            }
            Poll::Ready(Ok(()) | Err(_)) => TurnOutcome::Over,
        }
    }
}
