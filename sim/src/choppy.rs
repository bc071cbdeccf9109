//! A network that is as bad as networks may be: [`Choppy`] makes the connections of any [`Net`]
//! read and write in pieces, stall, break off and end early, and its dials and accepts fail.
//!
//! What happens follows from the seed and the number of the connection. TLS, where it is on, runs
//! above it, so that the pieces are cut out of what is on the wire.

mod delayed_wakeup;
mod fault;
mod fault_rates;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use doorkeeper_core::id::HostPort;
use doorkeeper_net::{Ends, Interest, Net};

use crate::net::Reset;
use crate::splitmix64::SplitMix64;

pub use fault_rates::FaultRates;
pub use stream::ChoppyStream;

/// What a process says that has no descriptor left.
const EMFILE: i32 = 24;

/// Streams of numbers, apart from each other.
const CONNECTIONS: u64 = 1 << 32;
const DIALS: u64 = 2 << 32;
const ACCEPTS: u64 = 3 << 32;

/// A network with faults.
#[derive(Clone, Debug)]
pub struct Choppy<N> {
    inner: N,
    shared: Arc<NetworkState>,
}

#[derive(Debug)]
struct NetworkState {
    seed: u64,
    fault_rates: FaultRates,
    healed: AtomicBool,
    connections: AtomicU64,
    dials: AtomicU64,
    accepts: AtomicU64,
}

impl<N> Choppy<N> {
    /// The network with these fault rates.
    #[must_use]
    pub fn new(inner: N, seed: u64, fault_rates: FaultRates) -> Self {
        let shared = NetworkState {
            seed,
            fault_rates,
            healed: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            dials: AtomicU64::new(0),
            accepts: AtomicU64::new(0),
        };
        Self {
            inner,
            shared: Arc::new(shared),
        }
    }

    /// From now on nothing breaks any more; connections stay choppy.
    pub fn heal(&self) {
        self.shared.healed.store(true, Ordering::Relaxed);
    }

    fn rng(&self, kind: u64, counter: &AtomicU64) -> SplitMix64 {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        SplitMix64::new(self.shared.seed, kind + number)
    }

    fn fault_rates(&self) -> FaultRates {
        if self.shared.healed.load(Ordering::Relaxed) {
            self.shared.fault_rates.healed()
        } else {
            self.shared.fault_rates
        }
    }

    fn wrap<S: Reset>(&self, stream: S) -> ChoppyStream<S> {
        let rng = self.rng(CONNECTIONS, &self.shared.connections);
        ChoppyStream::new(stream, rng, self.fault_rates())
    }
}

impl<N: Net> Net for Choppy<N>
where
    N::Stream: Reset,
{
    type Stream = ChoppyStream<N::Stream>;
    type Listener = N::Listener;

    async fn bind(&self, at: SocketAddr) -> io::Result<N::Listener> {
        self.inner.bind(at).await
    }

    async fn accept(&self, on: &mut N::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        let mut rng = self.rng(ACCEPTS, &self.shared.accepts);
        if rng.chance(self.fault_rates().accept_fails_permille) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let (stream, peer) = self.inner.accept(on).await?;
        Ok((self.wrap(stream), peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        let mut rng = self.rng(DIALS, &self.shared.dials);
        let fault_rates = self.fault_rates();
        let delay = rng.duration(fault_rates.dial_delay_max);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if rng.chance(fault_rates.dial_refused_permille) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if rng.chance(fault_rates.dial_timeout_permille) {
            return std::future::pending().await;
        }
        Ok(self.wrap(self.inner.connect(to).await?))
    }

    fn ends(&self, stream: &Self::Stream) -> Option<Ends> {
        self.inner.ends(stream.inner())
    }

    /// All that is there is known, but for what this network has kept from the runtime.
    fn is_ready(&self, stream: &Self::Stream, interest: Interest) -> bool {
        interest.read && stream.notice()
    }
}
