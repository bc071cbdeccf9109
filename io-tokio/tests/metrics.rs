//! `docs/metrics.md` says what is exposed, all of it and nothing else.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::discovery;
use doorkeeper_core::error::{UpstreamFault, Wait};
use doorkeeper_core::event::{Event, Rewrites};
use doorkeeper_core::id::{ApiKey, ApiVersion, BrokerId};
use doorkeeper_core::policy::Principal;
use doorkeeper_core::proxy_protocol;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::failure::{BrokerLoginFailure, LoginFailure};
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::{Accept, CloseReason, End, Instant, Leg, Route};
use doorkeeper_io_tokio::metrics::{Metrics, ReloadOutcome};
use doorkeeper_io_tokio::observer::{
    ClientConnection, Direction, ListenAddr, Observer, Rejection, SessionEnd, Traffic,
};

const API: ApiKey = ApiKey(0);
const VERSION: ApiVersion = ApiVersion(3);
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// Every way in which a session can end, with a reason of core's for each that is counted apart.
fn all_ends() -> Vec<SessionEnd> {
    let withheld = UpstreamFault::Malformed(API, VERSION, Malformed::Truncated);
    let closed = [
        CloseReason::ClientEnded(End::Fin),
        CloseReason::Upstream(withheld),
        CloseReason::BufferLimit(Leg::Client),
        CloseReason::BufferLimit(Leg::Upstream),
    ];
    let others = [
        SessionEnd::SilentLimit,
        SessionEnd::Aborted,
        SessionEnd::NotMoved,
        SessionEnd::Panic,
    ];
    let closed = closed.into_iter().map(SessionEnd::Closed);
    closed.chain(others).collect()
}

const REJECTIONS: [Rejection; 9] = [
    Rejection::Connections,
    Rejection::ConnectionsPerAddress,
    Rejection::FileDescriptors,
    Rejection::ConnectionRatePerAddress,
    Rejection::SilentLimit,
    Rejection::PeerNotTrusted,
    Rejection::ProxyClosed,
    Rejection::ProxyTruncated,
    Rejection::ProxyTimedOut,
];

fn all_rejections() -> impl Iterator<Item = Rejection> {
    let invalid = proxy_protocol::Invalid::ALL.iter().copied();
    REJECTIONS
        .into_iter()
        .chain(invalid.map(Rejection::ProxyHeader))
}

fn rejection_is_listed(rejection: Rejection) -> bool {
    match rejection {
        Rejection::Connections
        | Rejection::ConnectionsPerAddress
        | Rejection::FileDescriptors
        | Rejection::ConnectionRatePerAddress
        | Rejection::SilentLimit
        | Rejection::PeerNotTrusted
        | Rejection::ProxyClosed
        | Rejection::ProxyTruncated
        | Rejection::ProxyTimedOut
        | Rejection::ProxyHeader(_) => all_rejections().any(|it| it == rejection),
    }
}

/// A client logs in, and others fail before their first request in every way.
fn clients_come_in(metrics: &Metrics, connection: &ClientConnection) {
    for failure in TlsFailure::ALL {
        metrics.tls_handshake_failed(connection, *failure);
    }
    let login = Event::LoginSucceeded {
        mechanism: Mechanism::Plain,
        principal: Principal::new("User:alice"),
        lifetime: None,
        again: false,
    };
    metrics.session_event(connection, &login);
    for why in LoginFailure::ALL {
        let (mechanism, why) = (Some(Mechanism::ScramSha512), *why);
        metrics.session_event(connection, &Event::LoginFailed { mechanism, why });
    }
    let logged_in = Event::UpstreamLoggedIn {
        lifetime: None,
        again: false,
    };
    metrics.session_event(connection, &logged_in);
    for why in BrokerLoginFailure::ALL {
        let why = *why;
        metrics.session_event(connection, &Event::UpstreamLoginFailed { why });
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
        client: ClientAddress::Direct(PEER),
    };
    let accept = Accept::new(Instant::ZERO, PEER, Route::Bootstrap);
    metrics.session_opened(&connection, &accept);
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
    clients_come_in(&metrics, &connection);
    metrics.bytes(&connection, Leg::Client, Direction::In, 10);
    for ended in all_ends() {
        metrics.session_closed(&connection, ended, Traffic::default(), Duration::ZERO);
    }
    for rejection in all_rejections() {
        assert!(rejection_is_listed(rejection));
        metrics.connection_rejected(&listen_addr, connection.client, rejection);
    }
    metrics.accept_failed(&listen_addr, &io::ErrorKind::Other.into(), Duration::ZERO);
    let known = Topology::default();
    metrics.topology_published(&"main".into(), &known, &known);
    metrics.brokers_unaddressed(&listen_addr.listener, 1);
    metrics.broker_unaddressed(&listen_addr.listener, BrokerId(3));
    metrics.discovery_panicked(&"main".into());
    for event in [
        discovery::Event::Refreshed {
            brokers: vec![BrokerId(1)],
        },
        discovery::Event::Ignored {
            broker: BrokerId(-1),
            brokers: 1,
        },
    ] {
        metrics.discovery_event(&"main".into(), &event);
    }
    for outcome in ReloadOutcome::ALL {
        metrics.reloads().ended(outcome);
    }
    metrics
        .reloads()
        .listener_certificate(&listen_addr.listener, 0, 1);
    metrics.reloads().cluster_certificate(&"main".into(), 1);
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
            let Some((name, labels)) = line.split_once('{') else {
                assert!(line.starts_with(&open), "{line} is not of {open}");
                continue;
            };
            assert!(name.starts_with(&open), "{line} is not of {open}");
            let labels = labels.split_once('}').unwrap().0.split("\",");
            let names = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
            let names = names.filter(|name| name != "le");
            shown.get_mut(&open).unwrap().1.extend(names);
        }
    }
    shown
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md")
}

fn document() -> String {
    fs::read_to_string(path()).unwrap()
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
        let labels = labels.split(", ").map(bare);
        let labels = labels.filter(|label| !label.is_empty()).collect();
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
    for label in ["leg", "direction", "how", "why", "event", "outcome"] {
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

/// The heading of the table that is written from the names and meanings in the code.
const CLOSED: &str = "## Reasons of closed sessions\n";

fn owned((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn the_page_names_every_reason() {
    let waits = Wait::MEANINGS.iter();
    let meanings = CloseReason::MEANINGS
        .iter()
        .chain(waits)
        .chain(SessionEnd::MEANINGS);
    let rows: String = meanings
        .map(|(name, meaning)| format!("| `{name}` | {meaning} |\n"))
        .collect();
    let (before, rest) = document().split_once(CLOSED).map(owned).unwrap();
    let (head, table) = rest.split_once("|---|---|\n").map(owned).unwrap();
    let end = table.find("\n\n").map_or(table.len(), |at| at + 1);
    let page = format!("{before}{CLOSED}{head}|---|---|\n{rows}{}", &table[end..]);
    if std::env::var_os("DOORKEEPER_WRITE_DOCS").is_some() {
        fs::write(path(), &page).unwrap();
    }
    assert!(
        document() == page,
        "docs/metrics.md is stale: run this test with DOORKEEPER_WRITE_DOCS=1"
    );
    let documented = reasons("Reasons of failed TLS handshakes");
    let named: Vec<&str> = TlsFailure::ALL.iter().map(|it| it.name()).collect();
    assert_eq!(documented, named);
    let documented = reasons("Reasons of failed logins");
    let named: Vec<&str> = LoginFailure::ALL.iter().map(|it| it.name()).collect();
    assert_eq!(documented, named);
    let documented = reasons("Reasons of failed logins at brokers");
    let named: Vec<&str> = BrokerLoginFailure::ALL.iter().map(|it| it.name()).collect();
    assert_eq!(documented, named);
    let documented = reasons("Reasons of rejected connections");
    let names: Vec<_> = all_rejections().map(Rejection::name).collect();
    assert_eq!(documented, names);
}
