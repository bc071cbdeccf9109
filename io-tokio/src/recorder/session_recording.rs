//! The recording of one session as the session sees it: it hands over each input and its effects.
//! This costs copies of memory, and a lock for as long as it takes to push to a list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::id::Seed;
use doorkeeper_core::{Accept, Effect, Input, Instant, Session, Snapshot};
use doorkeeper_recording::{EgressLengths, RecordedStep};

use super::writer::{Beginning, Item};
use super::{Cut, Recorder};
use crate::observer::{ClientConnection, SessionEnd};
use crate::queue::{Full, Queue};

/// The recording of one session while the session lasts.
#[derive(Debug)]
pub(crate) struct SessionRecording {
    waiting: Arc<Queue<Item>>,
    session: u64,
    client: ClientNetwork,
    dues: EgressLengths,
    /// The input that the session is dealing with, and what it has asked for so far.
    input: Option<(Instant, Input)>,
    effects: Vec<Effect>,
    /// Nothing more is wanted.
    is_cut: Arc<AtomicBool>,
    /// How the session ended; one that has only been dropped was left behind by the runtime.
    ended: &'static str,
}

impl Recorder {
    /// The recording of a session that begins, if there is room for its beginning.
    pub(crate) fn begin(
        &self,
        connection: &ClientConnection,
        accept: &Accept,
        snapshot: &Arc<Snapshot>,
        seed: Seed,
    ) -> Option<SessionRecording> {
        let is_cut = Arc::new(AtomicBool::new(false));
        let beginning = Box::new(Beginning {
            connection: connection.clone(),
            opened: SystemTime::now(),
            accept: accept.clone(),
            snapshot: Arc::clone(snapshot),
            seed,
            is_cut: Arc::clone(&is_cut),
        });
        let waiting = Arc::clone(&self.0.waiting);
        let item = Item::SessionHeader(beginning);
        let client = connection.client.network();
        if let Err(Full) = waiting.push(Some(client), item.bytes(), |items| items.push(item)) {
            self.0.counts.cut(Cut::Queue);
            return None;
        }
        Some(SessionRecording {
            waiting,
            session: connection.session,
            client,
            dues: EgressLengths::default(),
            input: None,
            effects: Vec::new(),
            is_cut,
            ended: "dropped",
        })
    }
}

impl SessionRecording {
    /// The session is about to be handed this.
    pub(crate) fn input(&mut self, at: Instant, input: &Input) {
        if !self.is_cut.load(Ordering::Relaxed) {
            self.input = Some((at, input.clone()));
        }
    }

    /// It asks for something because of it.
    pub(crate) fn effect(&mut self, effect: &Effect) {
        if self.input.is_some() {
            self.effects.push(effect.clone());
        }
    }

    /// That was all.
    pub(crate) fn settled(&mut self, session: &Session) {
        if let Some((at, input)) = self.input.take() {
            let effects = std::mem::take(&mut self.effects);
            let outcome = Some(self.dues.after(&input, effects, session));
            self.hand_over(RecordedStep { at, input, outcome });
        }
    }

    /// The session is over.
    pub(crate) fn end(mut self, ended: SessionEnd) {
        self.ended = ended.name();
    }

    fn hand_over(&self, taken: RecordedStep) {
        let item = Item::Step(self.session, taken);
        let of = Some(self.client);
        if let Err(Full) = self
            .waiting
            .push(of, item.bytes(), |items| items.push(item))
        {
            self.is_cut.store(true, Ordering::Relaxed);
            self.always(Item::Cut(self.session));
        }
    }

    /// A session hands over at most one of each kind.
    fn always(&self, item: Item) {
        let _ = self.waiting.push(None, 0, |items| items.push(item));
    }
}

impl Drop for SessionRecording {
    fn drop(&mut self) {
        if let Some((at, input)) = self.input.take() {
            let outcome = None;
            self.hand_over(RecordedStep { at, input, outcome });
        }
        self.always(Item::Ended(self.session, self.ended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::ListenAddr;
    use crate::recorder::{Counts, RecorderState};
    use doorkeeper_core::api::OfferedApis;
    use doorkeeper_core::client_address::ClientAddress;
    use doorkeeper_core::limits::Limits;
    use doorkeeper_core::policy::Policy;
    use doorkeeper_core::rewrite::KnownHosts;
    use doorkeeper_core::topology::{AdvertisedAddresses, DialMap};
    use doorkeeper_core::{CloseReason, Leg, Route};

    fn snapshot() -> Arc<Snapshot> {
        Arc::new(Snapshot {
            epoch: 0,
            limits: Limits::default(),
            policy: Policy::allow_all(),
            login: None,
            upstream_login: false,
            offered: OfferedApis::default(),
            bootstrap: Vec::new(),
            dial: DialMap::default(),
            advertised: AdvertisedAddresses::Explicit(std::collections::BTreeMap::new()),
            topology: Arc::default(),
            known_hosts: KnownHosts::default(),
        })
    }

    fn connection() -> ClientConnection {
        let at = "127.0.0.1:9092".parse().unwrap();
        let (listener, route) = ("local".into(), Route::Bootstrap);
        ClientConnection {
            session: 7,
            listen_addr: Arc::new(ListenAddr {
                listener,
                at,
                route,
            }),
            client: ClientAddress::Direct(at),
        }
    }

    /// Nobody writes: what there is no room for is seen at once.
    #[test]
    fn a_writer_that_stalls_costs_the_rest_of_a_recording_and_no_time() {
        let waiting = Arc::new(Queue::new(64 << 10));
        let counts = Counts::default();
        let recorder = Recorder(Arc::new(RecorderState {
            waiting: Arc::clone(&waiting),
            counts: counts.clone(),
        }));
        let (connection, snapshot, seed) = (connection(), snapshot(), Seed([0; 32]));
        let (at, accept) = (
            Instant::ZERO,
            Accept::new(Instant::ZERO, connection.client.socket(), Route::Bootstrap),
        );
        let recording = recorder.begin(&connection, &accept, &snapshot, seed);
        let mut recording = recording.unwrap();
        let session = Session::new(accept.clone(), Arc::clone(&snapshot), seed);
        for _ in 0..100 {
            let bytes = vec![0; 1000].into();
            let leg = Leg::Client;
            recording.input(at, &Input::Bytes { leg, bytes });
            recording.settled(&session);
        }
        while recorder
            .begin(&connection, &accept, &snapshot, seed)
            .is_some()
        {}
        let other = ClientConnection {
            client: ClientAddress::Direct("127.0.0.2:9092".parse().unwrap()),
            ..connection
        };
        let of_another = recorder.begin(&other, &accept, &snapshot, seed);
        assert!(of_another.is_some(), "there is room for other addresses");
        drop(of_another);
        recording.end(SessionEnd::Closed(CloseReason::Drained));
        let mut items = Vec::new();
        waiting.next(&mut items);
        let count = |is_it: fn(&Item) -> bool| items.iter().filter(|it| is_it(it)).count();
        let steps = count(|it| matches!(it, Item::Step(..)));
        assert!((10..64).contains(&steps), "{steps}");
        assert_eq!(count(|it| matches!(it, Item::Cut(7))), 1);
        assert!(matches!(items.last(), Some(Item::Ended(7, "drained"))));
        assert_eq!(counts.of("cut_queue").get(), 1);
    }

    #[test]
    fn an_input_that_a_session_did_not_come_back_from_is_the_last_one() {
        let waiting = Arc::new(Queue::new(64 << 10));
        let recorder = Recorder(Arc::new(RecorderState {
            waiting: Arc::clone(&waiting),
            counts: Counts::default(),
        }));
        let (connection, snapshot, seed) = (connection(), snapshot(), Seed([0; 32]));
        let (at, accept) = (
            Instant::ZERO,
            Accept::new(Instant::ZERO, connection.client.socket(), Route::Bootstrap),
        );
        let recording = recorder.begin(&connection, &accept, &snapshot, seed);
        let mut recording = recording.unwrap();
        recording.input(at, &Input::Tick);
        recording.end(SessionEnd::Panic);
        let mut items = Vec::new();
        waiting.next(&mut items);
        assert!(matches!(
            &items[..],
            [
                Item::SessionHeader(_),
                Item::Step(7, RecordedStep { outcome: None, .. }),
                Item::Ended(7, "panic"),
            ]
        ));
    }
}
