//! doorkeeper in front of a cluster of three, with one client that is served all the time.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::discovery::Failure;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::Policy;
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::{Route, Snapshot, discovery};
use doorkeeper_io_tokio::connection_rate::ConnectionRates;
use doorkeeper_io_tokio::limits::ListenerLimits;
use doorkeeper_io_tokio::recorder::{Counts, Recorder as SessionRecorder};
use doorkeeper_io_tokio::serve::{
    self, Bind, Changes, Cluster as Upstream, Context, Listener, Plan, Readiness, ReloadError,
    Reloader, ServeError,
};
use doorkeeper_io_tokio::silent::SilentLimits;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Bystander, Client};
use crate::clock::pass;
use crate::cluster::Cluster;
use crate::frames::next_frame;
use crate::mesh::{Far, Mesh};
use crate::recorder::{Recorder, Seen};

pub const BOOT: &str = "boot.test:9092";
/// The broker that things happen to.
pub const B1: &str = "b1.test:9092";
/// The broker of the bystander.
pub const B2: &str = "b2.test:9092";

/// doorkeeper's bootstrap port; broker n is at the port n behind the next one.
pub const BOOTSTRAP: u16 = 9000;
pub const BROKER_1: u16 = 9002;
pub const BROKER_2: u16 = 9003;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn listen_at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub struct World {
    pub mesh: Mesh,
    pub cluster: Cluster,
    pub seen: Arc<Recorder>,
    pub ready: Arc<Readiness>,
    pub stop: CancellationToken,
    pub kill: CancellationToken,
    pub serving: JoinHandle<Result<(), ServeError>>,
    pub plan: Plan,
    reloader: Arc<OnceLock<Reloader>>,
    bystander: Option<Bystander>,
    clients: AtomicU16,
}

/// A listener for the brokers `ids` of a cluster, from `port` on.
pub fn listener(name: &str, cluster: &str, bootstrap: &[&str], port: u16) -> Listener {
    let brokers = 0..=5;
    let broker_at = |id: i32| port + 1 + id as u16;
    let mut binds = vec![Bind {
        at: listen_at(port),
        route: Route::Bootstrap,
    }];
    binds.extend(brokers.clone().map(|id| Bind {
        at: listen_at(broker_at(id)),
        route: Route::Broker(BrokerId(id)),
    }));
    let bootstrap: Vec<HostPort> = bootstrap.iter().map(|at| at.parse().unwrap()).collect();
    let topology = Arc::new(Topology::default());
    Listener {
        id: name.into(),
        cluster: cluster.into(),
        tls: None,
        logins: None,
        handshake_timeout: 10 * SECOND,
        proxy_protocol: None,
        rates: ConnectionRates::default(),
        binds,
        snapshot: Snapshot {
            epoch: 0,
            limits: Limits::default(),
            policy: Policy::allow_all(),
            login: None,
            upstream_login: false,
            offered: OfferedApis::default(),
            known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &topology),
            bootstrap,
            dial: DialMap::default(),
            advertised: AdvertisedAddresses::Ports {
                host: "proxy.test".into(),
                base: broker_at(0),
                ids: vec![brokers],
            },
            topology,
        },
        limits: ListenerLimits::default(),
        silent: SilentLimits::default(),
    }
}

pub fn upstream(name: &str, bootstrap: &[&str]) -> Upstream {
    Upstream {
        id: name.into(),
        tls: None,
        identities: None,
        sends_proxy_header: false,
        discovery: discovery::Config {
            bootstrap: bootstrap.iter().map(|at| at.parse().unwrap()).collect(),
            dial: DialMap::default(),
            refresh_interval: 30 * SECOND,
            refresh_interval_min: SECOND,
            connect_timeout: 10 * SECOND,
            request_timeout: 10 * SECOND,
            backoff_min: Duration::from_millis(50),
            backoff_max: SECOND,
            frame_bytes_max: 4 << 20,
            learns_versions: false,
            logs_in: false,
        },
    }
}

pub fn plan() -> Plan {
    Plan {
        clusters: vec![upstream("main", &[BOOT])],
        listeners: vec![listener("local", "main", &[BOOT], BOOTSTRAP)],
        drain_timeout: 30 * SECOND,
        buffered_bytes_max: 1 << 30,
        connections_max: usize::MAX,
    }
}

/// Three brokers that are up, and a bootstrap address that leads to one.
pub fn cluster(mesh: &Mesh) -> Cluster {
    let cluster = Cluster::new(mesh, "main");
    cluster.lists(&["0@b0.test:9092", "1@b1.test:9092", "2@b2.test:9092"]);
    for name in [BOOT, "b0.test:9092", B1, B2] {
        cluster.up(name);
    }
    cluster
}

/// A first response may take as long as any other.
pub fn waits_for_first_responses(plan: &mut Plan) {
    for listener in &mut plan.listeners {
        listener.snapshot.limits.connect_timeout = 60 * SECOND;
    }
}

impl World {
    /// All brokers are known, and the bystander is served.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same; brokers may be silent for a minute from the first request of a connection on.
    pub async fn patient() -> Self {
        Self::with(waits_for_first_responses).await
    }

    pub async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let mesh = Mesh::default();
        let cluster = cluster(&mesh);
        let mut plan = plan();
        change(&mut plan);
        let mut world = Self::cold(mesh, cluster, plan);
        world.warm_up().await;
        world
    }

    /// Nothing is known yet, and there is no bystander.
    pub fn cold(mesh: Mesh, cluster: Cluster, plan: Plan) -> Self {
        Self::recorded(mesh, cluster, plan, |_| None)
    }

    /// The same, with a recorder of its sessions.
    pub fn recorded(
        mesh: Mesh,
        cluster: Cluster,
        plan: Plan,
        recorder: impl FnOnce(Counts) -> Option<SessionRecorder>,
    ) -> Self {
        let names = plan.listeners.iter().map(|it| it.id.clone());
        let seen = Arc::new(Recorder::new(names));
        let clusters = plan.clusters.iter().map(|it| it.id.clone());
        let ready = Arc::new(Readiness::new(clusters));
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let context = Context {
            observer: Arc::clone(&seen) as _,
            seed: Arc::new(|| Seed([0; 32])),
            recorder: recorder(seen.recordings()),
            bulk: None,
            ready: Arc::clone(&ready),
            stop: stop.clone(),
            kill: kill.clone(),
        };
        let reloader = Arc::new(OnceLock::new());
        let serving = {
            let (net, plan, reloader) = (mesh.clone(), plan.clone(), Arc::clone(&reloader));
            tokio::spawn(async move {
                let bound = serve::bind(&net, &plan).await?;
                let _ = reloader.set(bound.reloader());
                serve::serve_bound(net, plan, bound, context).await
            })
        };
        Self {
            mesh,
            cluster,
            seen,
            ready,
            stop,
            kill,
            serving,
            plan,
            reloader,
            bystander: None,
            clients: AtomicU16::new(1),
        }
    }

    /// Changes the plan, also where that cannot be served, and asks for it to be served.
    pub async fn reload(&mut self, change: impl FnOnce(&mut Plan)) -> Result<Changes, ReloadError> {
        change(&mut self.plan);
        let reloader = self.reloader.get().expect("doorkeeper serves");
        reloader.reload(self.plan.clone()).await
    }

    /// Waits until the topology is known, and lets the bystander in.
    pub async fn warm_up(&mut self) {
        self.published("main").await;
        let bystander = Bystander::start(self.client(BROKER_2).await);
        bystander.is_served().await;
        self.bystander = Some(bystander);
    }

    /// Waits until the address is bound, and comes in there as a client with a port of its own.
    pub async fn client(&self, port: u16) -> Client {
        self.client_from(port, [10, 0, 0, 1].into()).await
    }

    /// The same, as a client of this address.
    pub async fn client_from(&self, port: u16, address: IpAddr) -> Client {
        while !self.mesh.listens(listen_at(port)) {
            assert!(!self.serving.is_finished(), "doorkeeper does not serve");
            tokio::task::yield_now().await;
        }
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let from = SocketAddr::new(address, 1000 + number);
        Client::new(self.mesh.visit(listen_at(port), from), from)
    }

    /// A client and its broker, both played by hand, with one request on its way.
    pub async fn pair(&self, asked: &[u8]) -> (Client, Far) {
        let mut brokers = self.mesh.by_hand(B1);
        let mut client = self.client(BROKER_1).await;
        client.send(asked).await;
        let mut broker = brokers.recv().await.unwrap();
        assert_eq!(next_frame(&mut broker.stream).await.unwrap(), asked);
        (client, broker)
    }

    /// The last topology that was published of a cluster, once there is one.
    pub async fn published(&self, cluster: &str) -> Vec<(i32, String)> {
        let newest = |all: &[Seen]| {
            all.iter().rev().find_map(|seen| match seen {
                Seen::Published(of, brokers) if of == cluster => Some(brokers.clone()),
                _ => None,
            })
        };
        self.seen.until("a topology", newest).await
    }

    /// All that discovery has reported.
    pub fn discoveries(&self) -> Vec<discovery::Event> {
        let of_it = |seen: &Seen| match seen {
            Seen::Discovery(_, event) => Some(event.clone()),
            _ => None,
        };
        self.seen.all().iter().filter_map(of_it).collect()
    }

    /// Waits until discovery has failed so often in this way.
    pub async fn discovery_fails(&self, failure: Failure, times: usize) {
        let is_it = |seen: &&Seen| match seen {
            Seen::Discovery(_, discovery::Event::Failed { why, .. }) => *why == failure,
            _ => false,
        };
        let failed = |all: &[Seen]| (all.iter().filter(is_it).count() >= times).then_some(());
        self.seen.until("failures of discovery", failed).await;
    }

    /// Waits until a broker is known to be at an address.
    pub async fn knows(&self, broker: i32, at: &str) {
        let entry = (broker, at.to_owned());
        let says = |seen: &Seen| matches!(seen, Seen::Published(_, all) if all.contains(&entry));
        let known = |all: &[Seen]| all.iter().any(says).then_some(());
        self.seen.until(at, known).await;
    }

    /// Waits until so many sessions have been opened.
    pub async fn opened(&self, times: usize) {
        let is_open = |seen: &&Seen| matches!(seen, Seen::SessionOpened(_));
        let opened = |all: &[Seen]| (all.iter().filter(is_open).count() >= times).then_some(());
        self.seen.until("sessions", opened).await;
    }

    /// Waits until an address has been dialled so often.
    pub async fn dials(&self, name: &str, times: usize) {
        let count = || self.mesh.dialled().iter().filter(|it| *it == name).count();
        while count() < times {
            pass(Duration::from_millis(1)).await;
        }
    }

    /// The client is sent no more, its connection ends, and its session closes for this reason.
    pub async fn ends(&self, client: &mut Client, reason: &str) {
        assert_eq!(client.rest().await, b"", "nothing more is said");
        assert_eq!(self.seen.closed(client.address).await, reason);
        let sample =
            format!("doorkeeper_sessions_closed_total{{listener=\"local\",reason=\"{reason}\"}}");
        assert!(self.seen.sample(&sample) > 0, "{reason} is counted");
    }

    /// The bystander has not noticed anything, and neither has the process; it stops in order.
    pub async fn stops_in_order(self) {
        self.stops_in_order_but_for("nothing").await;
    }

    /// The same, where one reason that must never be seen has been provoked.
    pub async fn stops_in_order_but_for(mut self, provoked: &str) {
        let bystander = self.bystander.take().expect("a bystander");
        bystander.is_served().await;
        let events = self.seen.events(bystander.address);
        let failed = |event: &_| !format!("{event:?}").contains("Failed");
        assert!(events.iter().all(failed), "{events:?}");
        self.stop.cancel();
        assert_eq!(self.seen.closed(bystander.address).await, "drained");
        self.serving.await.unwrap().unwrap();
        self.seen.assert_in_order();
        let reasons = self.seen.reasons();
        for never in ["internal_error", "panic"] {
            assert!(
                never == provoked || !reasons.contains_key(never),
                "{reasons:?}"
            );
        }
        assert_eq!(
            self.seen
                .sample("doorkeeper_connections{listener=\"local\"}"),
            0
        );
    }
}
