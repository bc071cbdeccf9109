//! Drives one session of core through the same exchange again and again, without a socket: what
//! valgrind counts of it is the same in every run. `cargo xtask instructions` runs it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use doorkeeper_bench::frames;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::{Accept, Effect, Input, Instant, Leg, Route, Session, Snapshot};

const CHUNK_BYTES: usize = 256 * 1024;
const SINK_PORT: u16 = 9092;
/// An ApiVersions version that nobody has.
const FUTURE: i16 = 99;

/// A request and the response of the broker; none where doorkeeper responds itself.
struct Exchange {
    request: Bytes,
    response: Option<Bytes>,
    policy: Policy,
}

fn exchange(name: &str) -> Result<Exchange> {
    let relayed = |request: frames::Request, response| Exchange {
        request: request.frame,
        response: Some(response),
        policy: Policy::allow_all(),
    };
    let (kib, mib) = (1 << 10, 1 << 20);
    Ok(match name {
        "produce_100_bytes" => relayed(frames::produce(100)?, frames::produced()?),
        "produce_10_kib" => relayed(frames::produce(10 * kib)?, frames::produced()?),
        "produce_1_mib" => relayed(frames::produce(mib)?, frames::produced()?),
        "fetch_10_kib" => relayed(
            frames::fetch(frames::FETCH)?,
            frames::fetched(frames::FETCH, 10 * kib)?,
        ),
        "fetch_1_mib" => relayed(
            frames::fetch(frames::FETCH)?,
            frames::fetched(frames::FETCH, mib)?,
        ),
        "fetch_12_1_mib" => relayed(
            frames::fetch(frames::OLD_FETCH)?,
            frames::fetched(frames::OLD_FETCH, mib)?,
        ),
        "metadata_1000_partitions" => relayed(
            frames::metadata()?,
            frames::described(frames::METADATA.1, SINK_PORT)?,
        ),
        "api_versions" => relayed(
            frames::api_versions()?,
            frames::ranges(frames::API_VERSIONS.1, frames::APIS.iter().copied())?,
        ),
        "denied_topic" => Exchange {
            request: frames::produce(100)?.frame,
            response: None,
            policy: Policy::allow_all().deny_topic(&Principal::anonymous(), &frames::topic(0)),
        },
        "rejected_version" => Exchange {
            request: frames::api_versions_of_version(FUTURE)?.frame,
            response: None,
            policy: Policy::allow_all(),
        },
        other => bail!("there is no exchange {other}"),
    })
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: core-instructions EXCHANGE COUNT";
    let name = args.next().context(usage)?;
    let count: usize = args.next().context(usage)?.parse()?;
    let exchange = exchange(&name)?;
    let mut pair = Pair::new(exchange.policy.clone())?;
    for _ in 0..count {
        pair.exchange(&exchange)?;
    }
    Ok(())
}

/// A session with both its peers.
struct Pair {
    session: Session,
    now: Instant,
    /// Bytes that were written to the client and to the broker.
    written: [usize; 2],
}

impl Pair {
    fn new(policy: Policy) -> Result<Self> {
        let now = Instant::from_nanos(1_000_000_000);
        let accept = Accept::new(now, "192.0.2.1:5000".parse()?, Route::Broker(BrokerId(1)));
        let snapshot = Arc::new(snapshot(policy)?);
        Ok(Self {
            session: Session::new(accept, snapshot, Seed([0; 32])),
            now,
            written: [0, 0],
        })
    }

    /// One request up and one response down, as a driver would move them.
    fn exchange(&mut self, exchange: &Exchange) -> Result<()> {
        let [client, upstream] = self.written;
        self.arrive(Leg::Client, &exchange.request)?;
        if let Some(response) = &exchange.response {
            self.arrive(Leg::Upstream, response)?;
            ensure!(self.written[1] > upstream, "the request was not relayed");
        }
        ensure!(self.written[0] > client, "the client got no response");
        Ok(())
    }

    fn arrive(&mut self, leg: Leg, frame: &Bytes) -> Result<()> {
        let mut rest = frame.clone();
        while !rest.is_empty() {
            let bytes = rest.split_to(rest.len().min(CHUNK_BYTES));
            self.input(Input::Bytes { leg, bytes })?;
            for to in [Leg::Client, Leg::Upstream] {
                self.write(to)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, leg: Leg) -> Result<()> {
        let bytes = self.session.egress(leg).slices().map(<[u8]>::len).sum();
        if bytes == 0 {
            return Ok(());
        }
        let [client, upstream] = &mut self.written;
        match leg {
            Leg::Client => *client += bytes,
            Leg::Upstream => *upstream += bytes,
        }
        self.input(Input::Wrote { leg, bytes })
    }

    fn input(&mut self, input: Input) -> Result<()> {
        self.now = self.now.after(Duration::from_micros(1));
        self.session.handle(self.now, input);
        while let Some(effect) = self.session.poll() {
            match effect {
                Effect::Connect(_) => self.input(Input::Connected)?,
                Effect::Close(reason) => bail!("the session closed: {reason}"),
                Effect::Evaluate(_)
                | Effect::RequestToken(_)
                | Effect::Learn(_)
                | Effect::Report(_)
                | Effect::Finish(_) => drop(black_box(effect)),
            }
        }
        black_box(self.session.demand());
        Ok(())
    }
}

fn snapshot(policy: Policy) -> Result<Snapshot> {
    let seen = (0..frames::BROKERS).map(|id| {
        let at: HostPort = format!("127.0.0.1:{}", SINK_PORT + id).parse()?;
        Ok((BrokerId(id.into()), at))
    });
    let seen: Vec<_> = seen.collect::<Result<_>>()?;
    let topology = Topology::default().merged(&seen, Some("bench"));
    let topology = Arc::new(topology.context("no brokers")?);
    let bootstrap: Vec<HostPort> = vec!["bootstrap.internal:9092".parse()?];
    let dial = DialMap::default();
    Ok(Snapshot {
        epoch: 1,
        limits: Limits::default(),
        policy,
        login: None,
        upstream_login: false,
        offered: OfferedApis::default(),
        known_hosts: KnownHosts::new(&bootstrap, &dial, &topology),
        bootstrap,
        dial,
        advertised: AdvertisedAddresses::Ports {
            host: "doorkeeper.example".into(),
            base: 19093,
            ids: vec![0..=2],
        },
        topology,
    })
}
