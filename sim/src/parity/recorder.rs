//! What doorkeeper reports of its sessions, in the order in which it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::Accept;
use doorkeeper_core::event::Event;
use doorkeeper_core::topology::Topology;
use doorkeeper_io_tokio::id::ClusterId;
use doorkeeper_io_tokio::observer::{ClientConnection, Observer, SessionEnd, Traffic};
use tokio::sync::Notify;

/// Gets everything that doorkeeper reports.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    records: Mutex<Records>,
    /// For the one who waits.
    news: Notify,
}

#[derive(Debug, Default)]
struct Records {
    sessions: Vec<Session>,
    published: bool,
}

/// What doorkeeper reported of one session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) connection: ClientConnection,
    pub(super) events: Vec<Event>,
    pub(super) ended: Option<SessionEnd>,
}

impl Recorder {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_session(&self, connection: &ClientConnection, act: impl FnOnce(&mut Session)) {
        let mut records = self.records();
        let mut sessions = records.sessions.iter_mut();
        if let Some(known) = sessions.find(|it| it.connection.session == connection.session) {
            act(known);
        }
    }

    async fn until(&self, is_so: impl Fn(&Records) -> bool) {
        while !is_so(&self.records()) {
            self.news.notified().await;
        }
    }

    /// Waits until the cluster is known.
    pub(super) async fn ready(&self) {
        self.until(|records| records.published).await;
    }

    /// Waits until so many sessions have begun.
    pub(super) async fn opened(&self, sessions: usize) {
        self.until(|records| records.sessions.len() >= sessions)
            .await;
    }

    /// Waits until no session is open.
    pub(super) async fn quiet(&self) {
        let over = |records: &Records| records.sessions.iter().all(|it| it.ended.is_some());
        self.until(over).await;
    }

    /// The sessions in the order in which they began.
    pub(super) fn sessions(&self) -> Vec<Session> {
        self.records().sessions.clone()
    }
}

impl Observer for Recorder {
    fn session_opened(&self, connection: &ClientConnection, _: &Accept) {
        self.records().sessions.push(Session {
            connection: connection.clone(),
            events: Vec::new(),
            ended: None,
        });
        self.news.notify_one();
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        self.with_session(connection, |records| records.events.push(event.clone()));
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        _: Traffic,
        _: Duration,
    ) {
        self.with_session(connection, |records| records.ended = Some(ended));
        self.news.notify_one();
    }

    fn topology_published(&self, _: &ClusterId, _before: &Topology, _topology: &Topology) {
        self.records().published = true;
        self.news.notify_one();
    }
}
