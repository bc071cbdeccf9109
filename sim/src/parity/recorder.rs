//! What doorkeeper tells of its sessions, in the order in which it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::event::Event;
use doorkeeper_core::topology::Topology;
use doorkeeper_io_tokio::observer::{ClientConnection, Observer, SessionEnd, Traffic};
use tokio::sync::Notify;

/// Is told everything.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    told: Mutex<Told>,
    /// For the one who waits.
    news: Notify,
}

#[derive(Debug, Default)]
struct Told {
    sessions: Vec<Session>,
    published: bool,
}

/// What was told of one session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) connection: ClientConnection,
    pub(super) events: Vec<Event>,
    pub(super) ended: Option<SessionEnd>,
}

impl Recorder {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, connection: &ClientConnection, act: impl FnOnce(&mut Session)) {
        let mut told = self.told();
        let mut sessions = told.sessions.iter_mut();
        if let Some(known) = sessions.find(|it| it.connection.session == connection.session) {
            act(known);
        }
    }

    async fn until(&self, is_so: impl Fn(&Told) -> bool) {
        while !is_so(&self.told()) {
            self.news.notified().await;
        }
    }

    /// Waits until the cluster is known.
    pub(super) async fn ready(&self) {
        self.until(|told| told.published).await;
    }

    /// Waits until so many sessions have begun.
    pub(super) async fn opened(&self, sessions: usize) {
        self.until(|told| told.sessions.len() >= sessions).await;
    }

    /// Waits until no session is open.
    pub(super) async fn quiet(&self) {
        let over = |told: &Told| told.sessions.iter().all(|it| it.ended.is_some());
        self.until(over).await;
    }

    /// The sessions in the order in which they began.
    pub(super) fn sessions(&self) -> Vec<Session> {
        self.told().sessions.clone()
    }
}

impl Observer for Recorder {
    fn session_opened(&self, connection: &ClientConnection) {
        self.told().sessions.push(Session {
            connection: connection.clone(),
            events: Vec::new(),
            ended: None,
        });
        self.news.notify_one();
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        self.tell(connection, |told| told.events.push(event.clone()));
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        _: Traffic,
        _: Duration,
    ) {
        self.tell(connection, |told| told.ended = Some(ended));
        self.news.notify_one();
    }

    fn topology_published(&self, _cluster: &str, _before: &Topology, _topology: &Topology) {
        self.told().published = true;
        self.news.notify_one();
    }
}
