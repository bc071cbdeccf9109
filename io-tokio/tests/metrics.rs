//! `docs/metrics.md` says what is exposed, all of it and nothing else.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::discovery;
use doorkeeper_core::error::{BadLength, ClientFault, OtherProtocol, UpstreamFault, Wait};
use doorkeeper_core::event::{Event, Rewrites};
use doorkeeper_core::id::{ApiKey, ApiVersion, BrokerId};
use doorkeeper_core::topology::Topology;
use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::{CloseReason, ConnectFailure, End, Leg, Route};
use doorkeeper_io_tokio::metrics::Metrics;
use doorkeeper_io_tokio::observer::{
    ClientConnection, Direction, ListenAddr, Observer, Rejection, SessionEnd, Traffic,
};

const API: ApiKey = ApiKey(0);
const VERSION: ApiVersion = ApiVersion(3);

/// The reason behind this one, so that each is seen: a new one does not compile without a place.
fn after(reason: CloseReason) -> Option<CloseReason> {
    use CloseReason as R;
    use Leg::{Client, Upstream};
    Some(match reason {
        R::ClientEnded(End::Fin) => R::ClientEnded(End::Reset),
        R::ClientEnded(End::Reset) => R::UpstreamEnded(End::Fin),
        R::UpstreamEnded(End::Fin) => R::UpstreamEnded(End::Reset),
        R::UpstreamEnded(End::Reset) => R::Client(ClientFault::FrameLength(BadLength::Negative)),
        R::Client(fault) => after_client(fault),
        R::Upstream(fault) => after_upstream(fault),
        R::Unreachable(ConnectFailure::Unresolved) => R::Unreachable(ConnectFailure::Refused),
        R::Unreachable(ConnectFailure::Refused) => R::Unreachable(ConnectFailure::TimedOut),
        R::Unreachable(ConnectFailure::TimedOut) => R::Unreachable(ConnectFailure::Unreachable),
        R::Unreachable(ConnectFailure::Unreachable) => R::Unreachable(ConnectFailure::Loop),
        R::Unreachable(ConnectFailure::Loop) => R::BrokerUnknown(BrokerId(1)),
        R::BrokerUnknown(_) => R::BufferLimit(Client),
        R::BufferLimit(Client) => R::BufferLimit(Upstream),
        R::BufferLimit(Upstream) => R::BufferRejected,
        R::BufferRejected => R::TimedOut(Wait::Frame(Client)),
        R::TimedOut(Wait::Frame(Client)) => R::TimedOut(Wait::Frame(Upstream)),
        R::TimedOut(Wait::Frame(Upstream)) => R::TimedOut(Wait::Idle),
        R::TimedOut(Wait::Idle) => R::TimedOut(Wait::Topology),
        R::TimedOut(Wait::Topology) => R::TimedOut(Wait::Response),
        R::TimedOut(Wait::Response) => R::TimedOut(Wait::FirstResponse),
        R::TimedOut(Wait::FirstResponse) => R::TimedOut(Wait::Write(Client)),
        R::TimedOut(Wait::Write(Client)) => R::TimedOut(Wait::Write(Upstream)),
        R::TimedOut(Wait::Write(Upstream)) => R::TimedOut(Wait::Buffer(Client)),
        R::TimedOut(Wait::Buffer(Client)) => R::TimedOut(Wait::Buffer(Upstream)),
        R::TimedOut(Wait::Buffer(Upstream)) => R::Drained,
        R::Drained => R::DrainExpired,
        R::DrainExpired => R::Bug("none"),
        R::Bug(_) => return None,
    })
}

fn after_client(fault: ClientFault) -> CloseReason {
    use ClientFault as F;
    let next = match fault {
        F::FrameLength(BadLength::Negative) => F::FrameLength(BadLength::TooShort),
        F::FrameLength(BadLength::TooShort) => F::FrameLength(BadLength::TooLarge),
        F::FrameLength(BadLength::TooLarge) => F::Speaks(OtherProtocol::Tls),
        F::Speaks(OtherProtocol::Tls) => F::Speaks(OtherProtocol::Http),
        F::Speaks(OtherProtocol::Http) => F::Speaks(OtherProtocol::ProxyProtocol),
        F::Speaks(OtherProtocol::ProxyProtocol) => F::Malformed(API, VERSION, Malformed::Truncated),
        F::Malformed(..) => F::ApiNotOffered(API),
        F::ApiNotOffered(_) => F::UnsupportedVersion(API, VERSION),
        F::UnsupportedVersion(..) => F::ReplicaRequest(API),
        F::ReplicaRequest(_) => F::DeniedAcksZero,
        F::DeniedAcksZero => F::DenialNotEncodable(API, VERSION),
        F::DenialNotEncodable(..) => {
            return UpstreamFault::FrameLength(BadLength::Negative).into();
        }
    };
    next.into()
}

fn after_upstream(fault: UpstreamFault) -> CloseReason {
    use UpstreamFault as F;
    let next = match fault {
        F::FrameLength(BadLength::Negative) => F::FrameLength(BadLength::TooShort),
        F::FrameLength(BadLength::TooShort) => F::FrameLength(BadLength::TooLarge),
        F::FrameLength(BadLength::TooLarge) => F::Unsolicited,
        F::Unsolicited => F::CorrelationMismatch,
        F::CorrelationMismatch => F::Malformed(API, VERSION, Malformed::Truncated),
        F::Malformed(..) => return CloseReason::Unreachable(ConnectFailure::Unresolved),
    };
    next.into()
}

fn all_ends() -> Vec<SessionEnd> {
    let first = CloseReason::ClientEnded(End::Fin);
    let closed =
        std::iter::successors(Some(first), |reason| after(*reason)).map(SessionEnd::Closed);
    let others = [
        SessionEnd::SilentLimit,
        SessionEnd::Aborted,
        SessionEnd::NotMoved,
        SessionEnd::Panic,
    ];
    closed.chain(others).collect()
}

const REJECTIONS: [Rejection; 3] = [
    Rejection::Connections,
    Rejection::ConnectionsPerAddress,
    Rejection::FileDescriptors,
];

fn rejection_is_listed(rejection: Rejection) -> bool {
    match rejection {
        Rejection::Connections | Rejection::ConnectionsPerAddress | Rejection::FileDescriptors => {
            REJECTIONS.contains(&rejection)
        }
    }
}

/// Everything that can be counted has happened at least once.
fn page() -> String {
    let metrics = Metrics::new(["public".into()]);
    let listen_addr = Arc::new(ListenAddr {
        listener: "public".into(),
        at: "127.0.0.1:9092".parse().unwrap(),
        route: Route::Bootstrap,
    });
    let connection = ClientConnection {
        session: 1,
        listen_addr: Arc::clone(&listen_addr),
        peer: "192.0.2.1:5000".parse().unwrap(),
    };
    metrics.session_opened(&connection);
    for event in [
        Event::Request {
            api: API,
            version: VERSION,
            bytes: 10,
        },
        Event::Response {
            api: API,
            version: VERSION,
            bytes: 10,
            latency: Duration::from_millis(3),
            local: true,
        },
        Event::Rewrote(Rewrites::default()),
        Event::SaslWithoutLogin,
    ] {
        metrics.session_event(&connection, &event);
    }
    metrics.bytes(&connection, Leg::Client, Direction::In, 10);
    for ended in all_ends() {
        metrics.session_closed(&connection, ended, Traffic::default(), Duration::ZERO);
    }
    for rejection in REJECTIONS {
        assert!(rejection_is_listed(rejection));
        metrics.connection_rejected(&listen_addr, connection.peer, rejection);
    }
    metrics.accept_failed(&listen_addr, &io::ErrorKind::Other.into(), Duration::ZERO);
    let known = Topology::default();
    metrics.topology_published("main", &known, &known);
    metrics.brokers_unaddressed(&listen_addr.listener, 1);
    metrics.broker_unaddressed(&listen_addr.listener, BrokerId(3));
    metrics.discovery_panicked("main");
    for event in [
        discovery::Event::Refreshed {
            brokers: vec![BrokerId(1)],
        },
        discovery::Event::Ignored {
            broker: BrokerId(-1),
            brokers: 1,
        },
    ] {
        metrics.discovery_event("main", &event);
    }
    metrics.text()
}

/// A metric by its name: the type and the labels.
type Exposed = BTreeMap<String, (String, BTreeSet<String>)>;

/// What a page shows.
fn shown(page: &str) -> Exposed {
    let mut shown = Exposed::new();
    let mut open = String::new();
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            open = format!("{name}{suffix}");
            shown.insert(open.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (name, labels) = line.split_once('{').unwrap();
            assert!(name.starts_with(&open), "{line} is not of {open}");
            let labels = labels.split_once('}').unwrap().0.split("\",");
            let names = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
            let names = names.filter(|name| name != "le");
            shown.get_mut(&open).unwrap().1.extend(names);
        }
    }
    shown
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    fs::read_to_string(path).unwrap()
}

/// The cells of the table whose head begins with this cell.
fn table(head: &str) -> Vec<Vec<String>> {
    let document = document();
    let begins = format!("| {head} |");
    let rows = document
        .lines()
        .skip_while(|line| !line.starts_with(&begins));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let line = line.trim_matches(|c| c == '|' || c == ' ');
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

fn bare(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

#[test]
fn the_page_names_every_metric_with_its_type_and_labels() {
    let mut documented = Exposed::new();
    for row in table("metric") {
        let [name, kind, labels, what] = <[String; 4]>::try_from(row).unwrap();
        assert!(!what.is_empty(), "{name}");
        let labels = labels.split(", ").map(bare).collect();
        assert!(
            documented.insert(bare(&name), (kind, labels)).is_none(),
            "{name} is there twice"
        );
    }
    assert_eq!(documented, shown(&page()));
}

#[test]
fn the_page_names_every_label() {
    let documented: BTreeSet<String> = table("label")
        .iter()
        .map(|row| bare(row.first().unwrap()))
        .collect();
    let shown: BTreeSet<String> = shown(&page()).into_values().flat_map(|it| it.1).collect();
    assert_eq!(documented, shown);
}

#[test]
fn the_page_names_every_value_of_labels_with_few() {
    let page = page();
    for label in ["leg", "direction", "how", "why", "event"] {
        let begins = format!("{label}=\"");
        let values = page
            .split(&begins)
            .skip(1)
            .map(|rest| rest.split_once('"').unwrap().0);
        let values: BTreeSet<&str> = values.collect();
        let row = table("label")
            .into_iter()
            .find(|row| bare(row.first().unwrap()) == label);
        let row = row.unwrap();
        let documented: BTreeSet<&str> =
            row.get(1).unwrap().split('`').skip(1).step_by(2).collect();
        assert_eq!(documented, values, "{label}");
    }
}

/// The names in the table of reasons under this heading.
fn reasons(heading: &str) -> Vec<String> {
    let document = document();
    let rest = document.split_once(&format!("## {heading}\n")).unwrap().1;
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn the_page_names_every_reason() {
    let mut documented = reasons("Reasons of closed sessions");
    let mut named: Vec<String> = all_ends().iter().map(|it| it.name().to_owned()).collect();
    documented.sort();
    named.sort();
    assert_eq!(documented, named);
    let documented = reasons("Reasons of rejected connections");
    assert_eq!(documented, REJECTIONS.map(Rejection::name));
}
