//! Drives a session: the only loop that touches its sockets.
//!
//! A session is one task with one await point: a function that is polled. It reads what is wanted,
//! writes what is due, looks at everything else that may have happened, hands each to the
//! session as one input, does what the session asks, and goes round again until nothing moves and
//! no deadline has come.
//! It decides nothing. The data path has no channel, and bytes that are forwarded as they come meet
//! no lock but those of metrics: a session that buffers more than is always free counts it behind a
//! lock of all sessions (`budget.rs`).

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::event::Event;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::proxy_protocol::Header;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::{
    Accept, ConnectFailure, Demand, Effect, Input, Instant, Leg, Observation, Session,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::budget::BufferShares;
use crate::clock::Timer;
use crate::dial::Dial;
use crate::id::ClusterId;
use crate::login::identities::Identities;
use crate::login::{BrokerLogin, ClientLogin, LoggedIn, Logins, revokes_login};
use crate::observer::{ClientConnection, Direction, SessionEnd, Traffic};
use crate::open_sessions::{ClientIdentity, ConnectedBroker, Order, Registration};
use crate::process::ProcessContext;
use crate::recorder::SessionRecording;
use crate::shutdown::Stage;
use crate::silent::Silent;
use crate::snapshots::Snapshots;
use crate::stream::{Arrived, Fit, LegStream};
use crate::tls::connected::broker_failure;
use crate::tls::transport::Transport;
use crate::tls::upstream::UpstreamTls;
use crate::version_watch::Subscription;
use crate::{Interest, Net};

/// How often a session may go round before it lets others have the thread.
const ROUNDS_MAX: usize = 32;

/// A session that forwards so many bytes in one turn moves to the threads for bulk. What clients
/// ask for in between, like the next Metadata, is much less, and so is a batch of a few records.
const BULK_BYTES_MIN: u64 = 64 * 1024;

/// What all sessions of one listener have in common.
pub(crate) struct SessionContext<N> {
    pub(crate) process: Arc<ProcessContext<N>>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// What clients log in with.
    pub(crate) logins: ArcSwapOption<Logins>,
    pub(crate) cluster: Arc<ClusterContext>,
}

/// What all sessions of one cluster have in common.
pub(crate) struct ClusterContext {
    pub(crate) id: ClusterId,
    /// TLS towards its brokers. A reload may replace it.
    pub(crate) tls: ArcSwapOption<UpstreamTls>,
    /// As whom doorkeeper logs in at its brokers. A reload may replace it.
    pub(crate) identities: ArcSwapOption<Identities>,
    /// Whether a connection to its brokers begins with a PROXY header. A reload may change it.
    pub(crate) sends_proxy_header: AtomicBool,
    /// To its discovery.
    pub(crate) hints: mpsc::Sender<Observation>,
}

impl ClusterContext {
    pub(crate) fn sends_proxy_header(&self) -> bool {
        self.sends_proxy_header.load(Ordering::Relaxed)
    }
}

/// Serves one client from accept to close. A panic in it ends one session alone.
///
/// The session counts from when the connection was accepted.
pub(crate) async fn drive<N: Net>(
    context: Arc<SessionContext<N>>,
    connection: ClientConnection,
    registration: Registration,
    accept: Accept,
    silent: Silent,
    client: Transport<N::Stream>,
) {
    let observer = Arc::clone(&context.process.observer);
    let clock = context.process.clock.clone();
    let accepted = accept.at;
    let driver = contained(|| {
        observer.session_opened(&connection, &accept);
        // A task is moved when it is spawned and when it ends; most of it stays where it is.
        Box::new(Driver::new(
            context,
            connection.clone(),
            registration,
            accept,
            silent,
            client,
        ))
    });
    let (ended, traffic) = match driver {
        Some(mut driver) => {
            match poll_fn(|cx| driver.poll_contained(cx)).await {
                Stop::Ended(ended) => driver.end(ended),
                Stop::Bulk(threads) => {
                    let moved = driver.go_on_at(&threads).await;
                    moved.unwrap_or_else(|error| {
                        // But for a panic, only the end of the process takes a task away.
                        let ended = if error.is_panic() {
                            SessionEnd::Panic
                        } else {
                            SessionEnd::Aborted
                        };
                        (ended, Traffic::default())
                    })
                }
            }
        }
        None => (SessionEnd::Panic, Traffic::default()),
    };
    // Both connections are closed by now.
    let lasted = clock.now().since(accepted);
    contained(|| observer.session_closed(&connection, ended, traffic, lasted));
}

/// The result of `act`, or nothing if it panicked, which must never happen.
fn contained<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

struct Driver<N: Net> {
    session: Session,
    context: Arc<SessionContext<N>>,
    connection: ClientConnection,
    client: LegStream<N::Stream>,
    upstream: Dial<N::Stream>,
    /// Whom the last attempt was to, and with which TLS.
    dialled: Option<(Arc<str>, Arc<UpstreamTls>)>,
    timer: Timer,
    /// The epoch of the snapshot that the session has, and word of a newer one.
    epoch: u64,
    epochs: Subscription,
    /// Its place among the open sessions, and the order that it has obeyed.
    registration: Registration,
    order: Order,
    /// The stage of the shutdown that the session knows, and word of the next.
    stage: Stage,
    stages: Subscription,
    buffer_shares: BufferShares,
    traffic: Traffic,
    /// The login of the client, where it has to log in.
    login: ClientLogin,
    /// doorkeeper's own login at the broker, where it wants one.
    broker_login: BrokerLogin,
    /// Its place among the connections that have sent no whole request, as long as it is one.
    silent: Option<Silent>,
    /// What is recorded of the session, if it is.
    recording: Option<SessionRecording>,
    /// It runs on the threads for sessions that forward much.
    in_bulk: bool,
    /// The time that inputs are handed in with: when this turn began, or last ticked.
    now: Instant,
    /// What is woken by its socket and need not be looked at again in this turn.
    not_ready: NotReady,
    /// What the session wants since its last input.
    demand: Demand,
}

/// What each leg was found not to be ready for when that was last tried: bytes to be read, room for
/// what is due.
#[derive(Clone, Copy, Debug, Default)]
struct NotReady {
    client: Interest,
    upstream: Interest,
}

impl NotReady {
    const fn of(&mut self, leg: Leg) -> &mut Interest {
        match leg {
            Leg::Client => &mut self.client,
            Leg::Upstream => &mut self.upstream,
        }
    }
}

/// Why a session is not driven on.
enum Stop {
    /// It has ended.
    Ended(SessionEnd),
    /// It forwards much, and goes on as a task of these threads.
    Bulk(Handle),
}

/// Whether anything moved, or how the session ended.
type Moved = ControlFlow<SessionEnd, bool>;

const MOVED: Moved = ControlFlow::Continue(true);
const STILL: Moved = ControlFlow::Continue(false);

impl<N: Net> Driver<N> {
    fn new(
        context: Arc<SessionContext<N>>,
        connection: ClientConnection,
        registration: Registration,
        accept: Accept,
        silent: Silent,
        client: Transport<N::Stream>,
    ) -> Self {
        let process = &context.process;
        let snapshot = context.snapshots.newest();
        let epoch = snapshot.epoch;
        let now = accept.at;
        let seed = (process.seed)();
        let recorder = process.recorder.as_ref();
        let recording = recorder.and_then(|it| it.begin(&connection, &accept, &snapshot, seed));
        if snapshot.login.is_some() {
            registration.identify(ClientIdentity::BeforeLogin);
        }
        let session = Session::new(accept, snapshot, seed);
        Self {
            demand: session.demand(),
            session,
            client: LegStream::new(client),
            upstream: Dial::Absent,
            dialled: None,
            timer: Timer::new(process.clock.clone()),
            epoch,
            epochs: Subscription::new(context.snapshots.epoch()),
            registration,
            order: Order::GoOn,
            stage: Stage::Run,
            stages: process.shutdown.subscribe(),
            buffer_shares: process
                .budgets
                .shares(connection.session, connection.client.network()),
            traffic: Traffic::default(),
            login: ClientLogin::default(),
            broker_login: BrokerLogin::default(),
            silent: Some(silent),
            recording,
            in_bulk: false,
            now,
            not_ready: NotReady::default(),
            connection,
            context,
        }
    }

    fn poll_contained(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        contained(|| self.poll(cx)).unwrap_or(Poll::Ready(Stop::Ended(SessionEnd::Panic)))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        match self.turn(cx) {
            ControlFlow::Break(stop) => {
                if matches!(stop, Stop::Ended(_)) {
                    self.finish(cx);
                }
                return Poll::Ready(stop);
            }
            ControlFlow::Continue(true) => cx.waker().wake_by_ref(),
            ControlFlow::Continue(false) => {}
        }
        Poll::Pending
    }

    /// Goes round until nothing moves, or others are to have the thread: then it says that there
    /// may be more.
    fn turn(&mut self, cx: &mut Context<'_>) -> ControlFlow<Stop, bool> {
        let before = self.traffic.read();
        self.now = self.context.process.clock.now();
        self.not_ready = NotReady::default();
        for _ in 0..ROUNDS_MAX {
            if self.traffic.read() - before >= BULK_BYTES_MIN
                && let Some(threads) = self.bulk_threads()
            {
                return ControlFlow::Break(Stop::Bulk(threads.clone()));
            }
            let moved = self.round(cx).map_break(Stop::Ended)?;
            if !moved && !self.tick(cx).map_break(Stop::Ended)? {
                return ControlFlow::Continue(false);
            }
        }
        // However much there is to forward, time passes.
        self.tick(cx).map_break(Stop::Ended)?;
        ControlFlow::Continue(true)
    }

    /// The threads to move to, unless the session is there or cannot move.
    fn bulk_threads(&self) -> Option<&Handle> {
        let bulk = self
            .context
            .process
            .bulk
            .as_ref()
            .filter(|_| !self.in_bulk)?;
        // A connection that is being opened belongs to the runtime that opens it.
        let is_settled = !matches!(self.upstream, Dial::Opening(_));
        is_settled.then(|| bulk.handle()).flatten()
    }

    /// Goes on as a task of these threads, to the end.
    fn go_on_at(mut self: Box<Self>, threads: &Handle) -> JoinHandle<(SessionEnd, Traffic)> {
        threads.spawn(async move {
            if let Err(error) = self.take_over() {
                // Its sockets are not where they were any more, so it cannot stay there.
                let session = self.connection.session;
                tracing::debug!(session, %error, "not moved to other threads");
                return self.end(SessionEnd::NotMoved);
            }
            loop {
                if let Stop::Ended(ended) = poll_fn(|cx| self.poll_contained(cx)).await {
                    return self.end(ended);
                }
            }
        })
    }

    /// Binds the session to the runtime that this is called on.
    fn take_over(&mut self) -> io::Result<()> {
        let process = &self.context.process;
        process.net.take_over(self.client.socket_mut())?;
        if let Some(upstream) = self.upstream.stream() {
            process.net.take_over(upstream.socket_mut())?;
        }
        self.timer = Timer::new(process.clock.clone());
        self.in_bulk = true;
        Ok(())
    }

    /// What is reported of the session at its end.
    fn end(&mut self, ended: SessionEnd) -> (SessionEnd, Traffic) {
        if let Some(recording) = self.recording.take() {
            recording.end(ended);
        }
        (ended, self.traffic)
    }

    /// Ends in order what the session's last effects asked to be ended so.
    fn finish(&mut self, cx: &mut Context<'_>) {
        let _ = self.client.poll_write(cx, std::iter::empty());
        if let Some(stream) = self.upstream.stream() {
            let _ = stream.poll_write(cx, std::iter::empty());
        }
    }

    /// One look at everything, in an order that never changes: what has come on one leg goes out on
    /// the other before anything else is read, while its bytes are warm and their buffer is needed.
    fn round(&mut self, cx: &mut Context<'_>) -> Moved {
        let moved = self.read(cx, Leg::Client)?
            | self.write(cx, Leg::Upstream)?
            | self.read(cx, Leg::Upstream)?
            | self.write(cx, Leg::Client)?
            | self.connect(cx)?
            | self.login(cx)?
            | self.log_in(cx)?
            | self.refresh(cx)?
            | self.buffer(cx)?
            | self.leave(cx)?
            | self.obey(cx)?
            | self.give_way(cx)?;
        ControlFlow::Continue(moved)
    }

    fn write(&mut self, cx: &mut Context<'_>, leg: Leg) -> Moved {
        let egress = self.session.egress(leg);
        let (is_due, due) = (!egress.is_empty(), egress.len());
        // With nothing to write there may still be something to flush, or a half to end.
        if is_due && self.not_ready.of(leg).write {
            return STILL;
        }
        let stream = match leg {
            Leg::Client => Some(&mut self.client),
            Leg::Upstream => self.upstream.stream(),
        };
        match stream.map(|stream| stream.poll_write(cx, egress.slices())) {
            None => STILL,
            Some(Poll::Pending) => {
                self.not_ready.of(leg).write = is_due;
                STILL
            }
            Some(Poll::Ready(Ok(bytes))) => {
                self.count(leg, Direction::Out, bytes);
                // The session may have dropped its egress while the stream kept some of it.
                match bytes.min(due) {
                    0 => MOVED,
                    bytes => self.handle_input(Input::Wrote { leg, bytes }),
                }
            }
            Some(Poll::Ready(Err(how))) => self.handle_input(Input::Ended { leg, how }),
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, leg: Leg) -> Moved {
        let demand = self.demand;
        let wanted = match leg {
            Leg::Client => demand.read_client,
            Leg::Upstream => demand.read_upstream,
        };
        if !wanted || self.not_ready.of(leg).read {
            return STILL;
        }
        // What is read next goes by the newest snapshot: a request by the newest policy, the
        // addresses of a response by all hosts that are known.
        if self.epochs.value() != self.epoch {
            return self.handle_newest_snapshot();
        }
        let stream = match leg {
            Leg::Client => Some(&mut self.client),
            Leg::Upstream => self.upstream.stream(),
        };
        // What joins a buffered frame is kept for long: it must not keep a half empty buffer alive.
        let fit = if self.session.buffered(leg) > 0 {
            Fit::Exact
        } else {
            Fit::Loose
        };
        match stream.map(|stream| stream.poll_read(cx, fit)) {
            None => STILL,
            Some(Poll::Pending) => {
                self.not_ready.of(leg).read = true;
                STILL
            }
            Some(Poll::Ready(Arrived::Bytes(bytes))) => {
                self.count(leg, Direction::In, bytes.len());
                self.handle_input(Input::Bytes { leg, bytes })
            }
            Some(Poll::Ready(Arrived::End(how))) => self.handle_input(Input::Ended { leg, how }),
        }
    }

    fn connect(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.upstream.poll_open(cx) {
            Poll::Pending => STILL,
            Poll::Ready(Ok(())) => match self.register_broker() {
                Ok(()) => self.handle_input(Input::Connected),
                Err(failure) => {
                    self.upstream = Dial::Absent;
                    self.handle_input(Input::ConnectFailed(ConnectFailure::Tls(failure)))
                }
            },
            Poll::Ready(Err(failure)) => self.handle_input(Input::ConnectFailed(failure)),
        }
    }

    /// Lets reloads find the broker. Fails if there was one while it was dialled, and the broker
    /// does not hold by what is in force now.
    fn register_broker(&mut self) -> Result<(), TlsFailure> {
        let dialled = self.dialled.take();
        let Some(stream) = self.upstream.stream() else {
            return Ok(());
        };
        let (host, dialled_with) = dialled.unzip();
        let broker = ConnectedBroker {
            host: host.unwrap_or_default(),
            peer: stream.peer(),
        };
        let now = self
            .registration
            .connected(broker.clone(), || self.context.cluster.tls.load_full());
        let is_same = match (&now, &dialled_with) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, _) => true,
            (Some(_), None) => false,
        };
        if is_same {
            return Ok(());
        }
        let failure = broker_failure(now.as_deref(), &broker.host, &broker.peer);
        failure.map_or(Ok(()), Err)
    }

    fn login(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.login.poll(cx) {
            Poll::Pending => STILL,
            Poll::Ready(evaluation) => self.handle_input(Input::Evaluated(Box::new(evaluation))),
        }
    }

    fn log_in(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.broker_login.poll(cx) {
            Poll::Pending => STILL,
            Poll::Ready(reply) => self.handle_input(Input::Token(Box::new(reply))),
        }
    }

    fn refresh(&mut self, cx: &Context<'_>) -> Moved {
        if self.demand.snapshot && self.epochs.poll(cx) != self.epoch {
            return self.handle_newest_snapshot();
        }
        STILL
    }

    fn buffer(&mut self, cx: &Context<'_>) -> Moved {
        match self.buffer_shares.poll(cx) {
            Poll::Pending => STILL,
            Poll::Ready(input) => self.handle_input(input),
        }
    }

    fn leave(&mut self, cx: &Context<'_>) -> Moved {
        let stage = Stage::from_value(self.stages.poll(cx));
        if stage == self.stage {
            return STILL;
        }
        self.stage = stage;
        match stage {
            Stage::Run => STILL,
            Stage::Drain(by) => self.handle_input(Input::Drain { by }),
            Stage::Abort => ControlFlow::Break(SessionEnd::Aborted),
        }
    }

    /// A reload may have ended the session's right to be there.
    fn obey(&mut self, cx: &Context<'_>) -> Moved {
        let order = self.registration.poll(cx);
        if order == self.order {
            return STILL;
        }
        self.order = order;
        match order {
            Order::GoOn => STILL,
            Order::ListenerRemoved { by } => self.handle_input(Input::ListenerRemoved { by }),
            Order::Revoked(why) => self.handle_input(Input::Revoked(why)),
        }
    }

    /// One that has sent no whole request may have to give way to another such connection.
    fn give_way(&mut self, cx: &mut Context<'_>) -> Moved {
        let is_silent = self.session.is_opening();
        let Some(silent) = self.silent.as_mut().filter(|_| is_silent) else {
            self.silent = None;
            return STILL;
        };
        match silent.poll_gives_way(cx) {
            Poll::Pending => STILL,
            Poll::Ready(()) => ControlFlow::Break(SessionEnd::SilentLimit),
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Moved {
        let (waits, net) = (self.not_ready, &self.context.process.net);
        let is_ready = || {
            let upstream = self.upstream.stream();
            self.client.is_ready(net, waits.client)
                || upstream.is_some_and(|stream| stream.is_ready(net, waits.upstream))
        };
        let deadline = self.demand.deadline;
        match self.timer.poll(cx, self.now, deadline, is_ready) {
            Poll::Pending => STILL,
            Poll::Ready(()) => {
                self.now = self.context.process.clock.now();
                self.handle_input(Input::Tick)
            }
        }
    }

    fn handle_newest_snapshot(&mut self) -> Moved {
        let newest = self.context.snapshots.newest();
        self.epoch = newest.epoch;
        self.handle_input(Input::Snapshot(newest))
    }

    /// Hands one input to the session and performs its effects.
    fn handle_input(&mut self, input: Input) -> Moved {
        self.apply(input)?;
        while let Some(input) = self.buffer_shares.update(self.session.buffered_bytes()) {
            self.apply(input)?;
        }
        MOVED
    }

    fn apply(&mut self, input: Input) -> ControlFlow<SessionEnd> {
        if let Some(recording) = &mut self.recording {
            recording.input(self.now, &input);
        }
        self.session.handle(self.now, input);
        let control = self.perform_effects();
        if let Some(recording) = &mut self.recording {
            recording.settled(&self.session);
        }
        control
    }

    fn perform_effects(&mut self) -> ControlFlow<SessionEnd> {
        while let Some(effect) = self.session.poll() {
            if let Some(recording) = &mut self.recording {
                recording.effect(&effect);
            }
            match effect {
                Effect::Connect(target) => {
                    let ProcessContext {
                        net, own, clock, ..
                    } = &*self.context.process;
                    let tls = self.context.cluster.tls.load_full();
                    let header = self.proxy_header();
                    let host: Arc<str> = target.name.host().into();
                    self.dialled = tls.clone().map(|tls| (host, tls));
                    self.upstream = Dial::to(net, own, clock, header, tls, target);
                    // There is another socket.
                    self.not_ready.upstream = Interest::default();
                }
                Effect::Evaluate(token) => {
                    let ProcessContext {
                        verifiers, seed, ..
                    } = &*self.context.process;
                    let logins = self.context.logins.load();
                    self.login
                        .evaluate(&token, logins.as_ref(), verifiers, || seed());
                }
                Effect::RequestToken(request) => {
                    let identities = self.context.cluster.identities.load_full();
                    let seed = &self.context.process.seed;
                    self.broker_login.request(request, identities, || seed());
                }
                Effect::Learn(observation) => {
                    // A hint; when there are too many at once, one less does no harm.
                    let _ = self.context.cluster.hints.try_send(observation);
                }
                Effect::Report(event) => {
                    if let Event::LoginSucceeded {
                        mechanism,
                        principal,
                        ..
                    } = &event
                    {
                        self.logged_in(*mechanism, principal);
                    }
                    self.context
                        .process
                        .observer
                        .session_event(&self.connection, &event);
                }
                Effect::Finish(Leg::Client) => self.client.finish(),
                Effect::Finish(Leg::Upstream) => {
                    if let Some(stream) = self.upstream.stream() {
                        stream.finish();
                    }
                }
                Effect::Close(reason) => return ControlFlow::Break(SessionEnd::Closed(reason)),
            }
        }
        self.demand = self.session.demand();
        ControlFlow::Continue(())
    }

    /// Lets reloads find who has logged in. One since the login began may have ended it already.
    fn logged_in(&mut self, mechanism: Mechanism, principal: &Principal) {
        let login = LoggedIn {
            mechanism,
            principal: principal.clone(),
        };
        self.registration
            .identify(ClientIdentity::LoggedIn(login.clone()));
        let before = self.login.take_begun_with();
        let settings = self.context.snapshots.newest().login.clone();
        let now = self.context.logins.load_full();
        let why = revokes_login(
            &login,
            settings.as_deref(),
            before.as_deref(),
            now.as_deref(),
        );
        if let Some(why) = why {
            self.registration.revoke(why);
        }
    }

    /// What the broker is told of the client, if it is.
    fn proxy_header(&self) -> Option<Header> {
        if !self.context.cluster.sends_proxy_header() {
            return None;
        }
        Some(match self.connection.client {
            ClientAddress::Direct(client) | ClientAddress::Proxied { client, .. } => {
                let ends = self.context.process.net.ends(self.client.socket());
                let bound = self.connection.listen_addr.at;
                Header::Client {
                    client,
                    destination: ends.map_or(bound, |it| it.local),
                }
            }
            // Who the client is, nobody knows.
            ClientAddress::Proxy(_) => Header::NoClient,
        })
    }

    fn count(&mut self, leg: Leg, direction: Direction, bytes: usize) {
        let total = match (leg, direction) {
            (Leg::Client, Direction::In) => &mut self.traffic.client_in,
            (Leg::Client, Direction::Out) => &mut self.traffic.client_out,
            (Leg::Upstream, Direction::In) => &mut self.traffic.upstream_in,
            (Leg::Upstream, Direction::Out) => &mut self.traffic.upstream_out,
        };
        *total += bytes as u64;
        let observer = &self.context.process.observer;
        observer.bytes(&self.connection, leg, direction, bytes);
    }
}
