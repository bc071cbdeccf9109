//! One session and its driver, which does whatever the bytes of an input say and a driver may do.
//! After each input it holds what must hold whatever the peers do: no panic, no bug, never stuck,
//! bounded, and one reason to close.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::error::Revocation;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::broker::TokenReply;
use doorkeeper_core::sasl::login::{Evaluation, LoginSettings};
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::{
    Accept, CloseReason, ConnectFailure, Effect, End, Input, Instant, Leg, Route, Session, Snapshot,
};

use crate::invariants::work::Work;

/// How many effects one input may have: each of its bytes can end a frame, and little more.
const EFFECTS_MAX: usize = 4096;

/// How many deadlines may come before a session that is left alone has closed.
const TICKS_MAX: usize = 4096;

/// Our own host: the only one that clients may see.
pub(super) const DOORKEEPER: &str = "door.example";

/// Hosts of the cluster, as far as the session knows them.
pub(super) const HOSTS: [&str; 3] = ["bootstrap.canary", "b0.canary", "b1.canary"];

/// One more, which texts have as a word.
pub(super) const WORD: &str = "broker";

/// One session and what its driver knows.
pub(super) struct SessionDriver {
    session: Session,
    snapshot: Arc<Snapshot>,
    now: Instant,
    /// Whether the client is somebody: it has logged in, or need not.
    is_known: bool,
    /// A token of the client is being evaluated.
    evaluating: bool,
    /// A token for the broker has been asked for.
    requesting: bool,
    /// An attempt to connect is under way.
    connecting: bool,
    ended: [bool; 2],
    closed: bool,
    /// The largest piece that was read.
    chunk_max: usize,
    work: Work,
}

impl SessionDriver {
    /// Flags: 1 comes through the bootstrap address, 2 has small limits, 4 knows no topology yet,
    /// 8 is denied the topic `t`, 16 has to log in.
    pub(super) fn new(flags: u8) -> Option<Self> {
        let snapshot = Arc::new(snapshot(flags)?);
        let route = if flags & 1 == 0 {
            Route::Broker(BrokerId(1))
        } else {
            Route::Bootstrap
        };
        let now = Instant::from_nanos(1_000_000_000);
        let accept = Accept::new(now, ([192, 0, 2, 1], 5000).into(), route);
        let session = Session::new(accept, Arc::clone(&snapshot), Seed([7; 32]));
        Some(Self {
            session,
            is_known: snapshot.login.is_none(),
            evaluating: false,
            requesting: false,
            snapshot,
            now,
            connecting: false,
            ended: [false; 2],
            closed: false,
            chunk_max: 0,
            work: Work::default(),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn known_hosts(&self) -> &KnownHosts {
        &self.snapshot.known_hosts
    }

    /// Hands bytes of a peer in. A driver reads only what is wanted, and never after the end.
    pub(super) fn bytes(&mut self, leg: Leg, bytes: &[u8]) {
        if bytes.is_empty() || !self.reads(leg) {
            return;
        }
        self.chunk_max = self.chunk_max.max(bytes.len());
        self.input(Input::Bytes {
            leg,
            bytes: Bytes::copy_from_slice(bytes),
        });
    }

    pub(super) fn reads(&self, leg: Leg) -> bool {
        let demand = self.session.demand();
        match leg {
            Leg::Client => demand.read_client && !self.ended[0],
            Leg::Upstream => demand.read_upstream && !self.ended[1],
        }
    }

    pub(super) fn ended(&mut self, leg: Leg, how: End) {
        if !self.reads(leg) {
            return;
        }
        match leg {
            Leg::Client => self.ended[0] = true,
            Leg::Upstream => self.ended[1] = true,
        }
        self.input(Input::Ended { leg, how });
    }

    /// A peer takes part of what is due, in 255ths.
    pub(super) fn wrote(&mut self, leg: Leg, part: u8) -> Vec<u8> {
        let egress = self.session.egress(leg);
        let count = egress.len() * usize::from(part) / 255;
        let mut bytes: Vec<u8> = Vec::with_capacity(count);
        for slice in egress.slices() {
            let left = (count - bytes.len()).min(slice.len());
            bytes.extend_from_slice(slice.get(..left).unwrap_or_default());
        }
        assert_eq!(bytes.len(), count, "an egress has less than it says");
        if count > 0 {
            self.input(Input::Wrote { leg, bytes: count });
        }
        bytes
    }

    pub(super) fn connected(&mut self) {
        if self.connecting {
            self.connecting = false;
            self.input(Input::Connected);
        }
    }

    pub(super) fn connect_failed(&mut self, how: ConnectFailure) {
        if self.connecting {
            self.connecting = false;
            self.input(Input::ConnectFailed(how));
        }
    }

    /// What becomes of the client's token.
    pub(super) fn evaluated(&mut self, evaluation: Evaluation) {
        if self.evaluating {
            self.evaluating = false;
            self.is_known |= matches!(evaluation, Evaluation::Success { .. });
            self.input(Input::Evaluated(Box::new(evaluation)));
        }
    }

    /// What a token for the broker was asked for with.
    pub(super) fn token(&mut self, reply: TokenReply) {
        if self.requesting {
            self.requesting = false;
            self.input(Input::Token(Box::new(reply)));
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    pub(super) fn tick(&mut self) {
        if let Some(deadline) = self.session.demand().deadline {
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
        }
    }

    pub(super) fn renew(&mut self) {
        let mut next = Snapshot::clone(&self.snapshot);
        next.epoch += 1;
        self.snapshot = Arc::new(next);
        self.input(Input::Snapshot(Arc::clone(&self.snapshot)));
    }

    pub(super) fn drain(&mut self, within: Duration) {
        let by = self.now.after(within);
        self.input(Input::Drain { by });
    }

    pub(super) fn listener_removed(&mut self, within: Duration) {
        let by = self.now.after(within);
        self.input(Input::ListenerRemoved { by });
    }

    /// Whatever it was doing, it ends at once.
    pub(super) fn revoked(&mut self, why: Revocation) {
        self.input(Input::Revoked(why));
        assert!(self.closed, "a revoked session goes on");
    }

    /// There is no room for what the session buffers, or there is again.
    pub(super) fn buffer_notice(&mut self, input: Input) {
        self.input(input);
    }

    fn input(&mut self, input: Input) {
        let done = self.work.handle(self.now, &mut self.session, input);
        assert!(done.is_ok(), "{done:?}");
        let mut effects = 0;
        while let Some(effect) = self.session.poll() {
            assert!(!self.closed, "an effect after the close: {effect:?}");
            effects += 1;
            assert!(effects < EFFECTS_MAX, "effects without end");
            match effect {
                Effect::Connect(_) => {
                    assert!(!self.connecting, "two attempts at once");
                    assert!(
                        self.is_known,
                        "nobody is dialled for a client that is nobody"
                    );
                    self.connecting = true;
                    self.requesting = false;
                    self.ended[1] = false;
                }
                Effect::RequestToken(_) => {
                    assert!(!self.requesting, "two requests for a token at once");
                    self.requesting = true;
                }
                Effect::Evaluate(_) => {
                    assert!(!self.evaluating, "two evaluations at once");
                    self.evaluating = true;
                }
                Effect::Finish(leg) => {
                    assert!(
                        self.session.egress(leg).is_empty(),
                        "finished with bytes due"
                    );
                }
                Effect::Close(reason) => {
                    assert!(!matches!(reason, CloseReason::Bug(_)), "{reason}");
                    self.closed = true;
                }
                Effect::Learn(_) | Effect::Report(_) => {}
            }
        }
        self.is_not_stuck();
        self.is_bounded();
        let is_quiet = self.session.egress(Leg::Upstream).is_empty();
        assert!(
            self.is_known || is_quiet,
            "requests of a client that is nobody"
        );
    }

    /// An open session waits for something that can come.
    fn is_not_stuck(&self) {
        let demand = self.session.demand();
        let due = !self.session.egress(Leg::Client).is_empty()
            || !self.session.egress(Leg::Upstream).is_empty();
        let waits = demand.read_client
            || demand.read_upstream
            || demand.deadline.is_some()
            || self.connecting
            || self.evaluating
            || due;
        assert!(self.closed || waits, "an open session waits for nothing");
    }

    /// No more is buffered than the limits allow, and what came in one piece.
    fn is_bounded(&self) {
        let limits = &self.snapshot.limits;
        for (leg, limit) in [
            (Leg::Client, limits.request_buffer_bytes_max),
            (Leg::Upstream, limits.response_buffer_bytes_max),
        ] {
            let buffered = self.session.buffered(leg);
            assert!(
                buffered <= limit.saturating_add(self.chunk_max),
                "{buffered} bytes buffered of the {} leg, {limit} are allowed",
                leg.name()
            );
        }
    }

    /// Peers that say nothing and take nothing more cannot keep a session open.
    pub(super) fn leave_alone(mut self) {
        // The driver reports an attempt within the time that the target allows.
        for _ in 0..TICKS_MAX {
            if self.closed {
                return;
            }
            if self.connecting {
                self.connect_failed(ConnectFailure::TimedOut);
            } else {
                assert!(
                    self.session.demand().deadline.is_some(),
                    "open without a deadline"
                );
                self.tick();
            }
        }
        assert!(self.closed, "left alone and still open");
    }
}

fn login() -> LoginSettings {
    LoginSettings {
        mechanisms: vec![Mechanism::Plain, Mechanism::ScramSha256],
        frame_bytes_max: 64,
        frames_max: 4,
        login_timeout: Duration::from_secs(10),
        failure_delay: Duration::from_millis(100),
        session_lifetime_max: Some(Duration::from_secs(60)),
    }
}

/// Small limits where the flags say so, so that short inputs reach them.
fn snapshot(flags: u8) -> Option<Snapshot> {
    let at = |host: &str, port| HostPort::new(host, port).ok();
    let [bootstrap, b0, b1] = HOSTS;
    let bootstrap = vec![at(bootstrap, 9092)?, at(WORD, 9092)?];
    let seen = [(BrokerId(0), at(b0, 9092)?), (BrokerId(1), at(b1, 9093)?)];
    let topology = Topology::default().merged(&seen, Some("cluster"))?;
    let mut limits = Limits {
        frame_bytes_max: 1 << 20,
        ..Limits::default()
    };
    if flags & 2 != 0 {
        limits.request_buffer_bytes_max = 32;
        limits.egress_high_bytes = 16;
        limits.in_flight_max = 2;
    }
    let policy = match flags & 8 {
        0 => Policy::allow_all(),
        _ => Policy::allow_all().deny_topic(&Principal::anonymous(), "t"),
    };
    Some(Snapshot {
        epoch: 1,
        limits,
        policy,
        login: (flags & 16 != 0).then(|| Arc::new(login())),
        upstream_login: flags & 32 != 0,
        offered: OfferedApis::default(),
        known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &topology),
        bootstrap,
        dial: DialMap::default(),
        advertised: AdvertisedAddresses::Ports {
            host: DOORKEEPER.into(),
            base: 19093,
            ids: vec![0..=2],
        },
        topology: Arc::new(if flags & 4 == 0 {
            topology
        } else {
            Topology::default()
        }),
    })
}
