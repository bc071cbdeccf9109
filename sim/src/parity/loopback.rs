//! A script on this machine's loopback interface.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorkeeper_core::id::HostPort;
use doorkeeper_core::time::Instant;
use doorkeeper_host::Clock;
use doorkeeper_io_tokio::net::{Socket, TokioNet};
use doorkeeper_io_tokio::serve;
use doorkeeper_model::script::Script;
use doorkeeper_net::{Ends, Interest, Net};
use tokio_util::sync::CancellationToken;

use super::clients::Clients;
use super::names::NamedNet;
use super::player::Player;
use super::recorder::Recorder;
use super::rig::Rig;
use super::wait_limits::WaitLimits;
use super::{brokers, doorkeeper, transcripts};
use crate::net::Reset;
use crate::tap::{Tap, Tape};

/// Plays a script there and gives its transcript.
///
/// # Errors
/// It could not be played.
pub fn on_loopback(script: &Script) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(run(script))
}

async fn run(script: &Script) -> Result<String, String> {
    let net = Loopback::default();
    let origin = tokio::time::Instant::now();
    let clock: Clock = Arc::new(move || Instant::ZERO.after(origin.elapsed()));
    let cluster = brokers::cluster(&script.setting, clock)?;
    let rig = Rig::new(doorkeeper_model::environment::brokers(&script.setting));
    let end = CancellationToken::new();
    let hosted = brokers::run(net.clone(), cluster.clone(), rig.clone(), end.clone());
    let hosted = tokio::spawn(hosted);
    let (stop, recorder, tape) = (
        CancellationToken::new(),
        Arc::new(Recorder::default()),
        Tape::default(),
    );
    let plan = doorkeeper::plan(script)?;
    let context = doorkeeper::context(script, &plan, &recorder, &stop);
    let named = NamedNet::new(net.clone(), rig.clone());
    let served = tokio::spawn(serve::serve(Tap::new(named, tape.clone()), plan, context));
    let player = Player {
        clients: Clients::new(net),
        rig,
        cluster,
        recorder: Arc::clone(&recorder),
        stop,
        wait_limits: WaitLimits::REAL,
    };
    let clients = player.play(script).await?;
    let served = served.await.map_err(|error| error.to_string())?;
    served.map_err(|error| error.to_string())?;
    end.cancel();
    let hosted = hosted.await.map_err(|error| error.to_string())?;
    hosted.map_err(|error| error.to_string())?;
    transcripts::transcript(&tape, &recorder, &clients)
}

/// Sockets of the operating system at ports that are free: whoever binds a port gets another one,
/// and whoever dials it is led there.
#[derive(Clone, Debug, Default)]
struct Loopback {
    inner: TokioNet,
    ports: Arc<Mutex<BTreeMap<u16, SocketAddr>>>,
}

impl Loopback {
    fn ports(&self) -> MutexGuard<'_, BTreeMap<u16, SocketAddr>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net for Loopback {
    type Stream = <TokioNet as Net>::Stream;
    type Listener = <TokioNet as Net>::Listener;

    async fn bind(&self, at: SocketAddr) -> io::Result<Self::Listener> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = self.inner.bind(free).await?;
        self.ports().insert(at.port(), listener.local_addr());
        Ok(listener)
    }

    async fn accept(&self, on: &mut Self::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        self.inner.accept(on).await
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        let real = self.ports().get(&to.port()).copied();
        let real = real.ok_or(io::ErrorKind::ConnectionRefused)?;
        let real = HostPort::new(&real.ip().to_string(), real.port());
        let real = real.map_err(|error| io::Error::other(error.to_string()))?;
        self.inner.connect(&real).await
    }

    fn ends(&self, _: &Self::Stream) -> Option<Ends> {
        // Its real ports are not those that it is bound at.
        None
    }

    fn is_ready(&self, stream: &Self::Stream, interest: Interest) -> bool {
        self.inner.is_ready(stream, interest)
    }
}

impl Reset for Socket {
    fn reset(&mut self) {
        // The socket is closed with a reset instead of an end. One that is gone needs none.
        let _ = self.tcp().and_then(|tcp| tcp.set_zero_linger());
    }
}
