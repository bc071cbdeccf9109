//! One conversation on two networks: what doorkeeper read and wrote, and what it told of it, must
//! be the same on a simulated network and on the operating system's, whatever the pieces.

mod conversation;
mod loopback;
mod simulated;
mod transcript;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::event::Event;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_core::topology::Topology;
use doorkeeper_io_tokio::answers::Unanswered;
use doorkeeper_io_tokio::config;
use doorkeeper_io_tokio::observer::{Ended, Observer, Traffic, Visitor};
use doorkeeper_io_tokio::serve::{Context, Plan, Readiness};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use loopback::on_loopback;
pub use simulated::on_turmoil;

/// The brokers, by ids.
const BROKER_IDS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

/// The seed of the cluster.
const SEED: u64 = 11;

/// What clients are told: broker n is at this port plus n.
const ADVERTISED: (&str, u16) = ("door.example", 19092);

/// The name of a broker.
fn broker_name(id: BrokerId) -> String {
    format!("b{id}.{}.internal", crate::world::CANARY)
}

/// The doors of doorkeeper: the bootstrap address and one for each broker.
fn doors() -> impl Iterator<Item = Option<BrokerId>> {
    std::iter::once(None).chain(BROKER_IDS.into_iter().map(Some))
}

/// Where a door is bound.
type Binds = Vec<(Option<BrokerId>, HostPort)>;

/// The plan of a doorkeeper with these doors, in front of brokers that are dialled elsewhere.
fn plan(binds: &Binds, dial: &[(String, HostPort)]) -> Result<Plan, String> {
    let bootstrap: Vec<String> = BROKER_IDS
        .iter()
        .map(|id| format!("{}:9092", broker_name(*id)))
        .collect();
    let dial: Vec<String> = dial
        .iter()
        .map(|(name, to)| format!("\"{name}:9092\": \"{to}\""))
        .collect();
    let explicit: Vec<String> = binds
        .iter()
        .map(|(door, bind)| {
            let (host, port) = ADVERTISED;
            let name = door.map_or_else(|| "bootstrap".to_owned(), |id| id.to_string());
            let port = i32::from(port) + door.map_or(0, |id| id.0);
            format!("{{ broker_id: {name}, bind: \"{bind}\", advertised: \"{host}:{port}\" }}")
        })
        .collect();
    let file = format!(
        "clusters:\n  main:\n    bootstrap: [{}]\n    dial: {{ {} }}\n\
         listeners:\n  public:\n    cluster: main\n    insecure: allow\n    route:\n      \
         explicit: [{}]\n",
        bootstrap.join(", "),
        dial.join(", "),
        explicit.join(", ")
    );
    let loaded = config::parse("parity", &file, HashMap::new()).map_err(|it| it.to_string())?;
    let compiled = config::compile(&loaded).map_err(|it| it.to_string())?;
    Ok(compiled.plan)
}

/// What doorkeeper told, in the order in which it did.
#[derive(Debug, Default)]
struct Recorder {
    told: Mutex<Vec<(Visitor, Told)>>,
    opened: AtomicUsize,
    closed: AtomicUsize,
    published: AtomicUsize,
    news: Notify,
}

#[derive(Clone, Debug)]
enum Told {
    Event(Event),
    Closed(Ended),
}

impl Recorder {
    fn told(&self) -> MutexGuard<'_, Vec<(Visitor, Told)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the cluster is known.
    async fn ready(&self) {
        while self.published.load(Ordering::Relaxed) == 0 {
            self.news.notified().await;
        }
    }

    /// Waits until no session is open.
    async fn quiet(&self) {
        while self.opened.load(Ordering::Relaxed) != self.closed.load(Ordering::Relaxed) {
            self.news.notified().await;
        }
    }
}

impl Observer for Recorder {
    fn session_opened(&self, _visitor: &Visitor) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    fn session_event(&self, visitor: &Visitor, event: &Event) {
        self.told()
            .push((visitor.clone(), Told::Event(event.clone())));
    }

    fn session_closed(&self, visitor: &Visitor, ended: Ended, _: Traffic, _: Duration) {
        self.told().push((visitor.clone(), Told::Closed(ended)));
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.news.notify_one();
    }

    fn topology_published(&self, _cluster: &str, _topology: &Topology) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.news.notify_one();
    }
}

/// The surroundings of a doorkeeper that is told to stop by a token.
fn context(plan: &Plan, recorder: &Arc<Recorder>, stop: &CancellationToken) -> Context {
    Context {
        observer: Arc::clone(recorder) as Arc<_>,
        answers: Arc::new(Unanswered),
        seed: Arc::new(|| Seed([0; 32])),
        recorder: None,
        ready: Arc::new(Readiness::new(
            plan.clusters.iter().map(|it| Arc::clone(&it.name)),
        )),
        stop: stop.clone(),
        kill: CancellationToken::new(),
    }
}
