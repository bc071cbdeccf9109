//! `io_tokio::serve` itself on a simulated network: whatever happens between clients and brokers,
//! records arrive as they were written, and nothing is left behind.

use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::CloseReason;
use doorkeeper_core::error::Wait;
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::{ConnectFailure, End};
use doorkeeper_io_tokio::observer::SessionEnd;
use doorkeeper_net::Net;
use doorkeeper_sim::choppy::FaultRates;
use doorkeeper_sim::world::faults::Crash;
use doorkeeper_sim::world::link::Link;
use doorkeeper_sim::world::watch::ClosedSession;
use doorkeeper_sim::world::workload::{Generation, Ledger, Work, consume, produce};
use doorkeeper_sim::world::{ClientParts, Config, Failure, Report, World, doorkeeper};
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

const TOPIC: &str = "orders";
const WRITERS: usize = 2;
const METADATA: i16 = 12;

/// What two writers and a reader have to do.
struct Job {
    ledger: Ledger,
    records: usize,
}

impl Job {
    fn start(world: &mut World, records: usize, think_ms: u64) -> Self {
        let ledger = Ledger::default();
        let work = |number: usize, records| Work {
            topic: TOPIC.to_owned(),
            records,
            generation: if number.is_multiple_of(2) {
                Generation::Names
            } else {
                Generation::Ids
            },
            think_max: Duration::from_millis(think_ms),
            ledger: ledger.clone(),
        };
        for number in 0..WRITERS {
            let work = work(number, records);
            world.client(&format!("writer-{number}"), |parts| produce(parts, work));
        }
        let records = WRITERS * records;
        let work = work(WRITERS + 1, records);
        world.client("reader", |parts| consume(parts, work));
        Self { ledger, records }
    }

    /// There is work left: what happens now happens to somebody.
    fn is_under_way(&self) -> bool {
        (1..self.records).contains(&self.ledger.read())
    }

    fn finish(self, mut world: World) -> Result<Report, Failure> {
        world.finish(Duration::from_secs(180))?;
        self.ledger.compare(self.records)?;
        world.end()
    }

    fn finish_in(self, world: &mut World, within: Duration) -> Result<(), Failure> {
        world.run_until("all is read", within, |_| {
            self.ledger.read() == self.records
        })?;
        Ok(self.ledger.compare(self.records)?)
    }
}

fn undisturbed(seed: u64) -> Result<Report, Failure> {
    let mut world = World::new(Config::new(seed))?;
    Job::start(&mut world, 20, 50).finish(world)
}

#[test]
fn every_record_arrives_unchanged_in_order_and_once() -> Result<(), Failure> {
    for seed in 1..=5 {
        undisturbed(seed)?;
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_trace() -> Result<(), Failure> {
    let first = undisturbed(7)?;
    assert_eq!(first, undisturbed(7)?);
    assert_ne!(first.hash, undisturbed(8)?.hash);
    Ok(())
}

#[test]
fn brokers_that_crash_and_come_back_are_survived() -> Result<(), Failure> {
    for (seed, how) in [(1, Crash::Process), (2, Crash::Power), (3, Crash::Power)] {
        let mut world = World::new(Config::new(seed))?;
        let job = Job::start(&mut world, 150, 300);
        world.run_for(Duration::from_secs(2))?;
        for id in [BrokerId(1), BrokerId(2), BrokerId(3)] {
            assert!(job.is_under_way());
            world.crash_broker(id, how);
            world.run_for(Duration::from_secs(3))?;
            world.restart_broker(id);
            world.run_for(Duration::from_secs(1))?;
        }
        job.finish(world)?;
    }
    Ok(())
}

#[test]
fn a_broker_at_a_new_address_is_found_without_a_restart() -> Result<(), Failure> {
    let mut world = World::new(Config::new(4))?;
    let job = Job::start(&mut world, 60, 200);
    for id in [BrokerId(3), BrokerId(1)] {
        world.run_for(Duration::from_secs(2))?;
        assert!(job.is_under_way());
        world.crash_broker(id, Crash::Process);
        world.run_for(Duration::from_millis(500))?;
        world.move_broker(id)?;
        assert!(world.move_leader(TOPIC, 0, id));
    }
    job.finish(world)?;
    Ok(())
}

/// Found by seed 4 of tier 1: sessions of the bootstrap address knew the bootstrap list alone,
/// although discovery had followed every broker to its new place.
#[test]
fn new_clients_are_served_after_every_broker_has_moved() -> Result<(), Failure> {
    let mut world = World::new(Config::new(6))?;
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    for (moved, id) in [BrokerId(1), BrokerId(2), BrokerId(3)]
        .into_iter()
        .enumerate()
    {
        world.crash_broker(id, Crash::Process);
        world.move_broker(id)?;
        let published = moved + 2;
        // The old address is a black hole, and so may the next one be that is asked.
        world.run_until("it was found", Duration::from_secs(120), |world| {
            world.doorkeeper().watch().topologies() >= published
        })?;
    }
    Job::start(&mut world, 5, 50).finish(world)?;
    Ok(())
}

#[test]
fn a_broker_that_joins_is_served_without_a_restart() -> Result<(), Failure> {
    let mut world = World::new(Config::new(5))?;
    let new = BrokerId(4);
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    world.move_broker(new)?;
    // The topic comes after it, so the new broker has replicas of it.
    let job = Job::start(&mut world, 30, 50);
    world.run_until("the topic is there", Duration::from_secs(5), |world| {
        world.leader(TOPIC, 0).is_some()
    })?;
    assert!((0..3).any(|partition| world.move_leader(TOPIC, partition, new)));
    job.finish(world)?;
    Ok(())
}

#[test]
fn records_survive_resets_refused_dials_stalls_and_early_ends() -> Result<(), Failure> {
    let mut ends = std::collections::BTreeSet::new();
    for seed in 1..=6 {
        let mut config = Config::new(seed);
        config.cluster_limits = "connect_timeout: 3s, request_timeout: 5s".to_owned();
        config.doorkeeper_fault_rates = FaultRates {
            stall_permille: 200,
            stall_max: Duration::from_secs(8),
            reset_permille: 200,
            finish_permille: 100,
            fault_bytes_max: 64 << 10,
            dial_refused_permille: 100,
            dial_timeout_permille: 50,
            accept_fails_permille: 200,
            ..FaultRates::choppy()
        };
        config.other_fault_rates = FaultRates {
            finish_permille: 100,
            fault_bytes_max: 64 << 10,
            ..FaultRates::choppy()
        };
        let mut world = World::new(config)?;
        let job = Job::start(&mut world, 30, 200);
        world.run_for(Duration::from_secs(40))?;
        world.heal();
        world.run_until("all is read", Duration::from_secs(60), |_| {
            job.ledger.read() == job.records
        })?;
        assert!(world.doorkeeper().watch().accept_failures() > 0);
        ends.extend(
            world
                .doorkeeper()
                .watch()
                .closed()
                .iter()
                .map(|it| it.ended.name()),
        );
        job.finish(world)?;
    }
    for expected in [
        "client_reset",
        "upstream_reset",
        "client_closed",
        "upstream_closed",
    ] {
        assert!(ends.contains(expected), "{expected} is not among {ends:?}");
    }
    Ok(())
}

fn is_ready(world: &World) -> bool {
    world.doorkeeper().is_ready()
}

fn only_end(world: &mut World) -> Result<ClosedSession, Failure> {
    // A session is over once its client has ended, which takes a moment to arrive.
    world.run_for(Duration::from_millis(100))?;
    let closed = world.doorkeeper().watch().closed();
    let [only] = <[ClosedSession; 1]>::try_from(closed)
        .map_err(|all| Failure::from(format!("one session was expected, not {all:?}")))?;
    Ok(only)
}

/// A network for measuring times: nothing is choppy, and each way takes 5 ms.
fn exact(seed: u64) -> Config {
    Config {
        doorkeeper_fault_rates: FaultRates::default(),
        other_fault_rates: FaultRates::default(),
        latency: Duration::from_millis(5)..=Duration::from_millis(5),
        cluster_limits: "connect_timeout: 4s, request_timeout: 7s".to_owned(),
        listener_limits: "write_stall_timeout: 9s, idle_timeout: 1m".to_owned(),
        ..Config::new(seed)
    }
}

/// Milliseconds that a round trip and the steps of hosts may add.
const SLACK_MS: u128 = 40;

fn assert_lasted(closed: &ClosedSession, ms: u128) {
    let lasted = closed.lasted.as_millis();
    assert!((ms..=ms + SLACK_MS).contains(&lasted), "{closed:?}");
}

/// A client's connection to what doorkeeper says is a broker.
async fn linked(
    parts: &ClientParts,
    broker: BrokerId,
) -> Result<Link<impl AsyncRead + AsyncWrite + Unpin>, String> {
    let at = doorkeeper::address(&parts.doorkeeper, Some(broker))?;
    let stream = parts.net.connect(&at).await;
    let stream = stream.map_err(|error| error.to_string())?;
    Ok(Link::new(stream, &parts.name, &parts.trace))
}

/// A request on it gets no response: doorkeeper ends it.
async fn ends_when_asked(
    link: &mut Link<impl AsyncRead + AsyncWrite + Unpin>,
) -> Result<(), String> {
    let request = ApiVersionsRequest::default();
    match link.call(0, &request, Duration::from_secs(60)).await {
        Err(error) if error.kind() != std::io::ErrorKind::TimedOut => Ok(()),
        other => Err(format!("an end was expected, not {other:?}")),
    }
}

#[test]
fn a_silent_broker_is_closed_when_its_time_is_over() -> Result<(), Failure> {
    let mut world = World::new(exact(1))?;
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    let silent = Arc::new(Notify::new());
    let stop = Arc::clone(&silent);
    world.client("client", |parts| async move {
        let mut link = linked(&parts, BrokerId(2)).await?;
        let request = ApiVersionsRequest::default();
        let first = link.call(0, &request, Duration::from_secs(60)).await;
        first.map_err(|error| error.to_string())?;
        stop.notified().await;
        ends_when_asked(&mut link).await
    });
    world.run_for(Duration::from_secs(2))?;
    world.hold_broker(BrokerId(2));
    silent.notify_one();
    world.finish(Duration::from_secs(60))?;
    let closed = only_end(&mut world)?;
    assert_eq!(
        closed.ended,
        SessionEnd::Closed(CloseReason::TimedOut(Wait::RESPONSE))
    );
    assert_lasted(&closed, 2000 + 7000);
    world.release_broker(BrokerId(2));
    world.end()?;
    Ok(())
}

/// Of something on each connection doorkeeper's runtime learns up to 12 s late, unless it asks the
/// network itself, as it does before it decides by a deadline.
#[test]
fn a_late_runtime_closes_nothing_for_what_came_in_time() -> Result<(), Failure> {
    const CONNECTIONS: usize = 8;
    let mut config = exact(1);
    config.doorkeeper_fault_rates = FaultRates {
        delayed_wakeup_permille: 1000,
        delayed_wakeup_max: Duration::from_secs(12),
        fault_bytes_max: 64,
        ..FaultRates::default()
    };
    let mut world = World::new(config)?;
    world.run_until("doorkeeper is ready", Duration::from_secs(120), is_ready)?;
    world.client("client", |parts| async move {
        for _ in 0..CONNECTIONS {
            let mut link = linked(&parts, BrokerId(2)).await?;
            let request = ApiVersionsRequest::default();
            let response = link.call(0, &request, Duration::from_secs(60)).await;
            response.map_err(|error| error.to_string())?;
        }
        Ok(())
    });
    world.finish(Duration::from_secs(300))?;
    let closed = |world: &World| world.doorkeeper().watch().closed();
    let have_closed = |world: &World| closed(world).len() == CONNECTIONS;
    world.run_until("all have closed", Duration::from_secs(20), have_closed)?;
    let by_client = SessionEnd::Closed(CloseReason::ClientEnded(End::Fin));
    for closed in closed(&world) {
        assert_eq!(closed.ended, by_client);
    }
    world.end()?;
    Ok(())
}

#[test]
fn a_dial_that_neither_succeeds_nor_fails_ends_at_the_connect_timeout() -> Result<(), Failure> {
    let mut world = World::new(exact(2))?;
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    world.hold_broker(BrokerId(3));
    world.client("client", |parts| async move {
        ends_when_asked(&mut linked(&parts, BrokerId(3)).await?).await
    });
    world.finish(Duration::from_secs(60))?;
    let closed = only_end(&mut world)?;
    let timed_out = CloseReason::Unreachable(ConnectFailure::TimedOut);
    assert_eq!(closed.ended, SessionEnd::Closed(timed_out));
    // All but a 32nd of the limit: the attempt ends before the session would, and says how.
    assert_lasted(&closed, 4000 - 4000 / 32);
    world.release_broker(BrokerId(3));
    world.end()?;
    Ok(())
}

/// Each client that comes for such a broker costs one connection to ourselves, which shows it, and
/// nothing is left of that once brokers advertise their own addresses again.
#[test]
fn brokers_that_advertise_doorkeeper_make_it_no_client_of_itself() -> Result<(), Failure> {
    const CLIENTS: usize = 5;
    let mut world = World::new(exact(4))?;
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    for id in world.brokers() {
        world.mislead_broker(id)?;
    }
    // Discovery learns of it at its next turn.
    let before = world.doorkeeper().watch().topologies();
    world.run_until("it is learned", Duration::from_secs(60), |world| {
        world.doorkeeper().watch().topologies() > before
    })?;
    for number in 0..CLIENTS {
        world.client(&format!("client-{number}"), |parts| async move {
            ends_when_asked(&mut linked(&parts, BrokerId(2)).await?).await
        });
    }
    world.finish(Duration::from_secs(5))?;
    world.run_for(Duration::from_secs(60))?;
    let closed = world.doorkeeper().watch().closed();
    let looped = SessionEnd::Closed(CloseReason::Unreachable(ConnectFailure::Loop));
    let came_back = closed.iter().filter(|it| it.ended == looped).count();
    assert_eq!(came_back, CLIENTS, "{closed:?}");
    assert_eq!(closed.len(), 2 * CLIENTS, "{closed:?}");
    for id in world.brokers() {
        world.correct_broker(id)?;
    }
    world.run_for(Duration::from_secs(31))?;
    Job::start(&mut world, 5, 50).finish(world)?;
    Ok(())
}

#[test]
fn a_client_that_never_reads_is_closed_and_blocks_nobody() -> Result<(), Failure> {
    let mut world = World::new(exact(3))?;
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    let job = Job::start(&mut world, 60, 100);
    world.run_until("something was written", Duration::from_secs(20), |_| {
        job.is_under_way()
    })?;
    world.client("sloth", |parts| async move {
        let at = doorkeeper::address(&parts.doorkeeper, None)?;
        let stream = parts.net.connect(&at).await.map_err(|it| it.to_string())?;
        let mut link = Link::new(stream, &parts.name, &parts.trace);
        let request = MetadataRequest::default().with_topics(None);
        // Far more responses than the windows of both legs and all water marks take.
        for _ in 0..100_000 {
            if link.send(METADATA, &request).await.is_err() {
                return Ok(());
            }
        }
        Err("nothing held the client up".to_owned())
    });
    job.finish_in(&mut world, Duration::from_secs(20))?;
    world.finish(Duration::from_secs(60))?;
    let stalled = CloseReason::TimedOut(Wait::CLIENT_WRITE);
    let ends = world.doorkeeper().watch().closed();
    let stalled = ends
        .iter()
        .filter(|it| it.ended == SessionEnd::Closed(stalled));
    assert_eq!(stalled.count(), 1);
    world.end()?;
    Ok(())
}

#[test]
fn a_drain_gives_owed_responses_and_the_next_start_serves_again() -> Result<(), Failure> {
    let mut world = World::new(exact(4))?;
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    world.client("poller", |parts| async move {
        let at = doorkeeper::address(&parts.doorkeeper, None)?;
        let stream = parts.net.connect(&at).await.map_err(|it| it.to_string())?;
        let mut link = Link::new(stream, &parts.name, &parts.trace);
        // A long poll of nothing has its response when its time is over.
        let fetch = FetchRequest::default()
            .with_max_wait_ms(3000)
            .with_min_bytes(1)
            .with_session_epoch(-1);
        let metadata = MetadataRequest::default().with_topics(None);
        let failed = |error: std::io::Error| error.to_string();
        link.send(11, &fetch).await.map_err(failed)?;
        link.send(METADATA, &metadata).await.map_err(failed)?;
        link.receive::<FetchRequest>(11).await.map_err(failed)?;
        link.receive::<MetadataRequest>(METADATA)
            .await
            .map_err(failed)?;
        match link.frame().await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
            other => Err(format!("an end was expected, not {other:?}")),
        }
    });
    world.run_for(Duration::from_secs(1))?;
    world.drain_doorkeeper(0);
    world.finish(Duration::from_secs(10))?;
    assert_eq!(
        only_end(&mut world)?.ended,
        SessionEnd::Closed(CloseReason::Drained)
    );
    world.start_doorkeeper(0);
    world.run_until("doorkeeper is ready", Duration::from_secs(5), is_ready)?;
    Job::start(&mut world, 5, 50).finish(world)?;
    Ok(())
}

#[test]
fn doorkeepers_that_restart_with_clients_at_work_are_survived() -> Result<(), Failure> {
    let mut config = Config::new(6);
    config.doorkeepers = 2;
    // Clients that are at work do not see at once that doorkeeper has ended.
    config.listener_limits = "flush_timeout: 300ms".to_owned();
    let mut world = World::new(config)?;
    let job = Job::start(&mut world, 120, 200);
    for round in 0..4 {
        world.run_for(Duration::from_secs(1))?;
        assert!(job.is_under_way());
        let doorkeeper = round % 2;
        if round < 2 {
            world.drain_doorkeeper(doorkeeper);
            world.run_for(Duration::from_millis(700))?;
            world.start_doorkeeper(doorkeeper);
        } else {
            world.bounce_doorkeeper(doorkeeper);
        }
    }
    job.finish(world)?;
    Ok(())
}
