//! A whole session between two hostile peers: it never panics, never has a bug, never is stuck,
//! and ends with one reason.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::api::Offered;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{Advertised, DialMap, Topology};
use doorkeeper_core::{
    Accept, CloseReason, ConnectFailure, Effect, End, Input, Instant, Leg, Route, Session, Shared,
};

/// How many effects one input may have: each of its bytes can end a frame, and little more.
const EFFECTS_MAX: usize = 4096;

/// How many deadlines may come before a session that is left alone has closed.
const TICKS_MAX: usize = 4096;

/// Input: flags, then operations. Each is a byte that names it, and for bytes, their number and
/// they themselves; see `Run::step`.
pub fn session(data: &[u8]) {
    let Some((&flags, mut rest)) = data.split_first() else {
        return;
    };
    let Some(shared) = shared(flags) else { return };
    let mut run = Run::new(shared, flags);
    while let Some((&what, tail)) = rest.split_first() {
        rest = tail;
        run.step(what, &mut rest);
        if run.closed {
            return;
        }
    }
    run.leave_alone();
}

/// One session and what its driver knows.
struct Run {
    session: Session,
    shared: Arc<Shared>,
    now: Instant,
    /// An attempt to connect is under way.
    connecting: bool,
    ended: [bool; 2],
    closed: bool,
}

impl Run {
    fn new(shared: Shared, flags: u8) -> Self {
        let shared = Arc::new(shared);
        let route = if flags & 1 == 0 {
            Route::Broker(BrokerId(1))
        } else {
            Route::Bootstrap
        };
        let accept = Accept::new(([192, 0, 2, 1], 5000).into(), route);
        let now = Instant::from_nanos(1_000_000_000);
        let session = Session::new(now, accept, Arc::clone(&shared), Seed([7; 32]));
        Self {
            session,
            shared,
            now,
            connecting: false,
            ended: [false; 2],
            closed: false,
        }
    }

    /// Hands in one thing that a driver could hand in now.
    fn step(&mut self, what: u8, rest: &mut &[u8]) {
        match what % 12 {
            0 => self.bytes(Leg::Client, rest),
            1 => self.bytes(Leg::Upstream, rest),
            2 => self.wrote(Leg::Client, take(rest)),
            3 => self.wrote(Leg::Upstream, take(rest)),
            4 if self.connecting => {
                self.connecting = false;
                self.input(Input::Connected);
            }
            5 if self.connecting => {
                self.connecting = false;
                self.input(Input::ConnectFailed(ConnectFailure::Refused));
            }
            6 => self.ended(Leg::Client, End::Fin),
            7 => self.ended(
                Leg::Upstream,
                if what & 16 == 0 { End::Fin } else { End::Reset },
            ),
            8 => {
                self.now = self
                    .now
                    .after(Duration::from_millis(u64::from(take(rest)) * 100))
            }
            9 => self.tick(),
            10 => {
                let mut next = Shared::clone(&self.shared);
                next.epoch += 1;
                self.shared = Arc::new(next);
                self.input(Input::Shared(Arc::clone(&self.shared)));
            }
            11 => {
                let by = self.now.after(Duration::from_secs(take(rest).into()));
                self.input(Input::Drain { by });
            }
            _ => {}
        }
    }

    /// A driver reads only what is wanted, and never after the end.
    fn bytes(&mut self, leg: Leg, rest: &mut &[u8]) {
        let count = usize::from(take(rest)).min(rest.len());
        let Some((bytes, tail)) = rest.split_at_checked(count) else {
            return;
        };
        *rest = tail;
        if bytes.is_empty() || !self.reads(leg) {
            return;
        }
        self.input(Input::Bytes {
            leg,
            bytes: Bytes::copy_from_slice(bytes),
        });
    }

    fn reads(&self, leg: Leg) -> bool {
        let demand = self.session.demand();
        match leg {
            Leg::Client => demand.read_client && !self.ended[0],
            Leg::Upstream => demand.read_upstream && !self.ended[1],
        }
    }

    fn ended(&mut self, leg: Leg, how: End) {
        if !self.reads(leg) {
            return;
        }
        match leg {
            Leg::Client => self.ended[0] = true,
            Leg::Upstream => self.ended[1] = true,
        }
        self.input(Input::Ended { leg, how });
    }

    /// Part of what is due, in 255ths.
    fn wrote(&mut self, leg: Leg, part: u8) {
        let due = self.session.egress(leg).len();
        let bytes = due * usize::from(part) / 255;
        if bytes > 0 {
            self.input(Input::Wrote { leg, bytes });
        }
    }

    fn tick(&mut self) {
        if let Some(deadline) = self.session.demand().deadline {
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
        }
    }

    fn input(&mut self, input: Input) {
        self.session.handle(self.now, input);
        let mut effects = 0;
        while let Some(effect) = self.session.poll() {
            assert!(!self.closed, "an effect after the close: {effect:?}");
            effects += 1;
            assert!(effects < EFFECTS_MAX, "effects without end");
            match effect {
                Effect::Connect(_) => {
                    assert!(!self.connecting, "two attempts at once");
                    self.connecting = true;
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
                Effect::Ask { .. } | Effect::Forget(_) | Effect::Learn(_) | Effect::Report(_) => {}
            }
        }
        self.is_not_stuck();
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
            || due;
        assert!(self.closed || waits, "an open session waits for nothing");
    }

    /// Peers that say nothing and take nothing more cannot keep a session open.
    fn leave_alone(mut self) {
        // The driver answers an attempt within the time that the target allows.
        for _ in 0..TICKS_MAX {
            if self.connecting {
                self.connecting = false;
                self.input(Input::ConnectFailed(ConnectFailure::TimedOut));
            } else {
                assert!(
                    self.session.demand().deadline.is_some(),
                    "open without a deadline"
                );
                self.tick();
            }
            if self.closed {
                return;
            }
        }
        assert!(self.closed, "left alone and still open");
    }
}

fn take(rest: &mut &[u8]) -> u8 {
    let Some((&first, tail)) = rest.split_first() else {
        return 0;
    };
    *rest = tail;
    first
}

/// Small limits where the flags say so, so that short inputs reach them.
fn shared(flags: u8) -> Option<Shared> {
    let at = |host: &str, port| HostPort::new(host, port).ok();
    let bootstrap = vec![at("bootstrap.canary", 9092)?];
    let seen = [
        (BrokerId(0), at("b0.canary", 9092)?),
        (BrokerId(1), at("b1.canary", 9093)?),
    ];
    let topology = Topology::default().merged(&seen, Some("cluster"))?;
    let mut limits = Limits {
        frame_bytes_max: 1 << 20,
        ..Limits::default()
    };
    if flags & 2 != 0 {
        limits.hold_bytes_max = 32;
        limits.egress_high_bytes = 16;
        limits.in_flight_max = 2;
    }
    let policy = match flags & 8 {
        0 => Policy::allow_all(),
        _ => Policy::allow_all().refuse_topic(&Principal::anonymous(), "t"),
    };
    Some(Shared {
        epoch: 1,
        limits,
        policy,
        offered: Offered::default(),
        known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &topology),
        bootstrap,
        dial: DialMap::default(),
        advertised: Advertised::Ports {
            host: "door.example".into(),
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
