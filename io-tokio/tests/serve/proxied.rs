//! Clients behind load balancers that say who they are, and brokers that are told.

use std::net::SocketAddr;
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::proxy_protocol::{Header, Progress, read};
use doorkeeper_io_tokio::proxy_protocol::ProxyProtocol;
use doorkeeper_io_tokio::serve::Plan;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::client::Client;
use crate::clock::pass;
use crate::frames::{
    API_VERSIONS, Asked, api_versions_response, heartbeat, heartbeat_response, metadata_response,
    next_frame,
};
use crate::mesh::{Far, Mesh};
use crate::recorder::Seen;
use crate::world::*;

/// The load balancer, and a peer that is none.
const PROXY: [u8; 4] = [10, 9, 0, 1];
const STRANGER: [u8; 4] = [10, 8, 0, 1];

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 51221 9092\r\n";
const BEHIND: &str = "192.0.2.7:51221";

fn v2() -> Vec<u8> {
    let header = Header::Client {
        client: BEHIND.parse().unwrap(),
        destination: "198.51.100.1:9092".parse().unwrap(),
    };
    header.encode()
}

fn behind_proxies(plan: &mut Plan) {
    plan.listeners[0].proxy_protocol = Some(ProxyProtocol {
        trusted: vec!["10.9.0.0/16".parse().unwrap()],
        takes_direct_clients: false,
        timeout: 5 * SECOND,
    });
}

/// doorkeeper behind load balancers, with a bystander that comes by one.
async fn world(change: impl FnOnce(&mut Plan)) -> World {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    let mut plan = plan();
    behind_proxies(&mut plan);
    change(&mut plan);
    let world = World::cold(mesh, cluster, plan);
    world.published("main").await;
    world
}

/// A connection of the load balancer, and what it has sent.
async fn by_proxy(world: &World, sent: &[u8]) -> Client {
    let mut client = world.client_from(BROKER_1, PROXY.into()).await;
    client.send(sent).await;
    client
}

/// Waits until the connection was rejected for this reason. It is ended, and was sent nothing.
async fn is_rejected(world: &World, client: &mut Client, why: &str) {
    assert_eq!(client.rest().await, b"");
    let is_it = |seen: &Seen| matches!(seen, Seen::Rejected(_, reason) if *reason == why);
    let rejected = |all: &[Seen]| all.iter().any(is_it).then_some(());
    world.seen.until(why, rejected).await;
    let sample =
        format!("doorkeeper_connections_rejected_total{{listener=\"local\",reason=\"{why}\"}}");
    assert!(world.seen.sample(&sample) > 0, "{why} is counted");
}

/// Whether a session, and not discovery, has dialled anybody.
fn nobody_was_dialled(world: &World) -> bool {
    !world.mesh.dialled().iter().any(|at| at == B1)
}

#[tokio::test(start_paused = true)]
async fn a_header_in_any_two_pieces_says_who_the_client_is() {
    let world = world(|_| {}).await;
    for header in [V1.to_vec(), v2()] {
        let glued = [&header[..], &heartbeat(1)].concat();
        for cut in 0..=header.len() {
            let (first, rest) = glued.split_at(cut);
            let mut client = by_proxy(&world, first).await;
            pass(Duration::from_millis(1)).await;
            client.send(rest).await;
            assert_eq!(client.frame().await, heartbeat_response(1), "cut at {cut}");
            let accept = world.seen.accepts().pop().unwrap();
            let expected = ClientAddress::Proxied {
                client: BEHIND.parse().unwrap(),
                proxy: client.address,
            };
            assert_eq!(accept.client, expected);
        }
    }
    let reasons = world.seen.reasons();
    assert!(
        reasons.keys().all(|it| *it == "client_closed"),
        "{reasons:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_speaks_for_itself_is_no_client() {
    let world = world(|_| {}).await;
    let local = Header::NoClient.encode();
    for header in [&b"PROXY UNKNOWN\r\n"[..], &local] {
        let mut client = by_proxy(&world, header).await;
        client.exchange(1).await;
        let accept = world.seen.accepts().pop().unwrap();
        assert_eq!(accept.client, ClientAddress::Proxy(client.address));
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_has_to_say_who_the_client_is() {
    let world = world(|_| {}).await;
    let mut wrong = v2();
    *wrong.last_mut().unwrap() ^= 1;
    for (sent, why) in [
        (heartbeat(1), "proxy_header_missing"),
        (b"\x16\x03\x01\x02\x00".to_vec(), "proxy_header_missing"),
        (
            b"PROXY TCP4 host 1.1.1.1 1 1\r\n".to_vec(),
            "proxy_v1_malformed",
        ),
        (wrong, "proxy_v2_wrong_checksum"),
    ] {
        let mut client = by_proxy(&world, &sent).await;
        is_rejected(&world, &mut client, why).await;
    }
    assert!(nobody_was_dialled(&world));
    assert!(world.seen.accepts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_else_says_who_the_client_is() {
    let world = world(|_| {}).await;
    let mut stranger = world.client_from(BROKER_1, STRANGER.into()).await;
    is_rejected(&world, &mut stranger, "peer_not_trusted").await;
    assert!(nobody_was_dialled(&world));
}

#[tokio::test(start_paused = true)]
async fn others_connect_without_a_header_where_that_is_allowed() {
    let world = world(|plan| {
        let settings = plan.listeners[0].proxy_protocol.as_mut().unwrap();
        settings.takes_direct_clients = true;
    })
    .await;
    let mut direct = world.client_from(BROKER_1, STRANGER.into()).await;
    direct.exchange(1).await;
    let accept = world.seen.accepts().pop().unwrap();
    assert_eq!(accept.client, ClientAddress::Direct(direct.address));
    let mut claims = world.client_from(BROKER_1, STRANGER.into()).await;
    claims.send(V1).await;
    world
        .ends(&mut claims, "client_speaks_proxy_protocol")
        .await;
    // A proxy has no choice.
    let mut proxy = by_proxy(&world, &heartbeat(1)).await;
    is_rejected(&world, &mut proxy, "proxy_header_missing").await;
}

#[tokio::test(start_paused = true)]
async fn a_header_has_its_time_from_accept_however_it_dribbles() {
    let world = world(|_| {}).await;
    let mut client = by_proxy(&world, b"P").await;
    for byte in &V1[1..5] {
        pass(SECOND).await;
        client.send(&[*byte]).await;
    }
    pass(SECOND).await;
    is_rejected(&world, &mut client, "proxy_timed_out").await;
    assert_eq!(client.age(), 5 * SECOND);
}

/// The idle time of a session counts from accept as well.
#[tokio::test(start_paused = true)]
async fn no_deadline_begins_anew_behind_the_header() {
    let world = world(|plan| {
        plan.listeners[0].snapshot.limits.idle_timeout = 10 * SECOND;
    })
    .await;
    let mut client = by_proxy(&world, &[]).await;
    pass(4 * SECOND).await;
    client.send(V1).await;
    let at: SocketAddr = BEHIND.parse().unwrap();
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(at).await, "idle");
    assert_eq!(world.seen.lasted(at).await, 10 * SECOND);
    assert_eq!(client.age(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_probe_reaches_no_broker_and_is_counted() {
    let world = world(|_| {}).await;
    for (sent, why) in [(&b""[..], "proxy_closed"), (b"PROXY ", "proxy_truncated")] {
        let client = by_proxy(&world, sent).await;
        drop(client);
        let is_it = |seen: &Seen| matches!(seen, Seen::Rejected(_, reason) if *reason == why);
        let rejected = |all: &[Seen]| all.iter().any(is_it).then_some(());
        world.seen.until(why, rejected).await;
    }
    let health_check = by_proxy(&world, &Header::NoClient.encode()).await;
    let at = health_check.address;
    drop(health_check);
    assert_eq!(world.seen.closed(at).await, "client_closed");
    assert!(nobody_was_dialled(&world));
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_listener_without_proxies_reaches_no_broker_either() {
    let world = World::start().await;
    let probe = world.client(BROKER_1).await;
    let at = probe.address;
    drop(probe);
    assert_eq!(world.seen.closed(at).await, "client_closed");
    assert!(nobody_was_dialled(&world));
    world.stops_in_order().await;
}

/// Connections that are open stay, whoever they came from.
#[tokio::test(start_paused = true)]
async fn a_reload_changes_whose_headers_are_taken() {
    let mut world = World::start().await;
    let mut before = by_proxy(&world, V1).await;
    world
        .ends(&mut before, "client_speaks_proxy_protocol")
        .await;
    let changes = world.reload(behind_proxies).await.unwrap();
    assert_eq!(changes.to_string(), "listener local: proxy_protocol");
    let mut behind = by_proxy(&world, V1).await;
    behind.exchange(1).await;
    let mut stranger = world.client_from(BROKER_1, STRANGER.into()).await;
    is_rejected(&world, &mut stranger, "peer_not_trusted").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn limits_count_clients_and_not_their_proxy() {
    let world = world(|plan| plan.listeners[0].limits.connections_per_address = 1).await;
    let header = |host: u8| format!("PROXY TCP4 192.0.2.{host} 10.0.0.1 1 1\r\n").into_bytes();
    let mut all = Vec::new();
    for host in 1..10 {
        let mut client = by_proxy(&world, &header(host)).await;
        client.exchange(1).await;
        all.push(client);
    }
    let mut second = by_proxy(&world, &header(1)).await;
    is_rejected(&world, &mut second, "connections_per_address").await;
    for client in &mut all {
        client.exchange(2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_header_gives_way_to_others() {
    let world = world(|plan| plan.listeners[0].silent.connections = 2).await;
    let mut waits = by_proxy(&world, b"PROXY").await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(by_proxy(&world, &[]).await);
        pass(Duration::from_millis(1)).await;
    }
    is_rejected(&world, &mut waits, "silent_limit").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_when_doorkeeper_stops() {
    let world = world(|_| {}).await;
    let mut waits = by_proxy(&world, b"PROXY").await;
    pass(Duration::from_millis(1)).await;
    world.stop.cancel();
    assert_eq!(waits.rest().await, b"");
    assert!(waits.age() < SECOND);
    world.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_too_fast_is_rejected_and_nobody_else() {
    let world = World::with(|plan| plan.listeners[0].rates.per_second_per_address = 1).await;
    let fast = [10, 7, 0, 1];
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(world.client_from(BROKER_1, fast.into()).await);
    }
    for client in &mut all {
        client.exchange(1).await;
    }
    let mut one_too_many = world.client_from(BROKER_1, fast.into()).await;
    is_rejected(&world, &mut one_too_many, "connection_rate_per_address").await;
    let mut other = world.client_from(BROKER_1, STRANGER.into()).await;
    other.exchange(1).await;
    pass(SECOND).await;
    let mut later = world.client_from(BROKER_1, fast.into()).await;
    later.exchange(1).await;
    world.stops_in_order().await;
}

/// They wait where they cost nothing, and none is lost.
#[tokio::test(start_paused = true)]
async fn connections_beyond_the_rate_of_all_wait() {
    let world = World::with(|plan| plan.listeners[0].rates.per_second = 1).await;
    // The bystander was the first.
    let mut all = Vec::new();
    for host in 0..12 {
        all.push(world.client_from(BROKER_1, [10, 7, 0, host].into()).await);
    }
    for client in &mut all {
        client.exchange(1).await;
    }
    let waited = all[11].age();
    assert!((2 * SECOND..4 * SECOND).contains(&waited), "{waited:?}");
    let delays = "doorkeeper_accept_delays_total{listener=\"local\"}";
    assert!(world.seen.sample(delays) > 0);
    world.stops_in_order().await;
}

/// The header at the beginning of a broker's connection.
pub async fn proxy_header<S: AsyncRead + Unpin>(broker: &mut S) -> Header {
    let mut come = Vec::new();
    loop {
        match read(&come).unwrap() {
            Progress::Whole { header, .. } => return header,
            Progress::Lacks(more) => {
                let before = come.len();
                come.resize(before + more, 0);
                broker.read_exact(&mut come[before..]).await.unwrap();
            }
        }
    }
}

/// The next connection of a session that a broker gets: its header, and the rest.
async fn session_at(brokers: &mut UnboundedReceiver<Far>) -> (Header, Far) {
    loop {
        let mut broker = brokers.recv().await.unwrap();
        let header = proxy_header(&mut broker.stream).await;
        // Discovery has other questions.
        if next_frame(&mut broker.stream).await == Some(heartbeat(1)) {
            return (header, broker);
        }
    }
}

/// Responds to discovery, which connects for itself.
async fn lists_broker_1(mut bootstrap: UnboundedReceiver<Far>) {
    while let Some(mut discovery) = bootstrap.recv().await {
        assert_eq!(proxy_header(&mut discovery.stream).await, Header::NoClient);
        while let Some(frame) = next_frame(&mut discovery.stream).await {
            let asked = Asked::read(&frame);
            let (version, id) = (asked.version, asked.id);
            let response = match asked.api {
                API_VERSIONS => api_versions_response(version, id),
                _ => metadata_response(version, id, "main", &[(1, "b1.test".to_owned(), 9092)]),
            };
            discovery.say(&response).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_is_told_who_the_client_is() {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    tokio::spawn(lists_broker_1(mesh.by_hand(BOOT)));
    let mut brokers = mesh.by_hand(B1);
    let mut plan = plan();
    plan.clusters[0].sends_proxy_header = true;
    behind_proxies(&mut plan);
    let settings = plan.listeners[0].proxy_protocol.as_mut().unwrap();
    settings.takes_direct_clients = true;
    let world = World::cold(mesh, cluster, plan);
    world.published("main").await;
    let destination = listen_at(BROKER_1);
    let local = Header::NoClient.encode();
    let by_v1 = Header::Client {
        client: BEHIND.parse().unwrap(),
        destination,
    };
    for (peer, sent, expected) in [
        (STRANGER, &b""[..], None),
        (PROXY, V1, Some(by_v1)),
        (PROXY, &local, Some(Header::NoClient)),
    ] {
        let mut client = world.client_from(BROKER_1, peer.into()).await;
        client.send(&[sent, &heartbeat(1)].concat()).await;
        let (header, mut broker) = session_at(&mut brokers).await;
        let direct = Header::Client {
            client: client.address,
            destination,
        };
        assert_eq!(header, expected.unwrap_or(direct));
        broker.say(&heartbeat_response(1)).await;
        assert_eq!(client.frame().await, heartbeat_response(1));
    }
}
