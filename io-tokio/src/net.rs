//! The operating system's network.

mod lookups;
mod socket;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use doorkeeper_core::id::HostPort;
use doorkeeper_net::{Ends, Interest, Net};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use self::lookups::Lookups;
pub use self::socket::Socket;
use crate::own_addresses::OwnAddresses;

/// How long one address may be silent before the next one is tried beside it (RFC 8305 section 5
/// recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How many attempts of one connect are under way at a time, each with a file descriptor. When
/// another address is due, the oldest makes room: it has been silent for twice as long.
pub(crate) const ATTEMPTS_MAX: usize = 2;

/// A silent connection is probed after this long,
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// then this often,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// and given up after so many probes without a response.
const KEEPALIVE_PROBES: u32 = 6;

/// TCP sockets of the operating system, with `TCP_NODELAY` and keepalive.
#[derive(Clone, Debug, Default)]
pub struct TokioNet {
    lookups: Lookups,
    bound: Bound,
}

/// All that is bound with a network.
#[derive(Clone, Debug, Default)]
struct Bound(Arc<Mutex<BTreeSet<SocketAddr>>>);

impl Bound {
    fn all(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct ListeningSocket {
    socket: TcpListener,
    at: SocketAddr,
    among: Bound,
}

impl ListeningSocket {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        self.among.all().remove(&self.at);
    }
}

impl TokioNet {
    /// One of these addresses. A name may lead to us and to the broker: what we listen at ourselves
    /// is left out where there is anything else, and shows by its ends where there is not.
    async fn connect_to_one_of(&self, found: Vec<SocketAddr>) -> io::Result<TcpStream> {
        if found.len() < 2 {
            return first_open(found, |_| false).await;
        }
        let own = OwnAddresses::new(self.bound.all().iter().copied());
        let others = found.iter().filter(|at| !own.contains_resolved(**at));
        let others: Vec<SocketAddr> = others.copied().collect();
        let candidates = if others.is_empty() { found } else { others };
        first_open(candidates, |stream| {
            ends_of(stream).is_some_and(|ends| own.is_loop(ends))
        })
        .await
    }
}

impl Net for TokioNet {
    type Stream = Socket;
    type Listener = ListeningSocket;

    async fn bind(&self, at: SocketAddr) -> io::Result<ListeningSocket> {
        let socket = TcpListener::bind(at).await?;
        if ACCEPTED_INHERIT {
            tune(SockRef::from(&socket));
        }
        let at = socket.local_addr()?;
        self.bound.all().insert(at);
        Ok(ListeningSocket {
            socket,
            at,
            among: self.bound.clone(),
        })
    }

    async fn accept(&self, on: &mut ListeningSocket) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = on.socket.accept().await?;
        if !ACCEPTED_INHERIT {
            tune(SockRef::from(&stream));
        }
        Ok((Socket::new(stream), peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Socket> {
        let found = self.lookups.addresses(to).await?;
        self.connect_to_one_of(found).await.map(Socket::new)
    }

    fn is_resolving(&self, name: &HostPort) -> bool {
        self.lookups.are_under_way_for(name)
    }

    fn ends(&self, stream: &Socket) -> Option<Ends> {
        ends_of(stream.tcp().ok()?)
    }

    fn is_ready(&self, stream: &Socket, interest: Interest) -> bool {
        let Ok(stream) = stream.tcp() else {
            return true;
        };
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, interest.read);
        wanted.set(PollFlags::OUT, interest.write);
        // One that has failed is ready for whatever is asked for.
        let mut sockets = [PollFd::new(stream, wanted)];
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    fn take_over(&self, stream: &mut Socket) -> io::Result<()> {
        stream.take_over()
    }
}

fn ends_of(stream: &TcpStream) -> Option<Ends> {
    let (local, peer) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    Some(Ends { local, peer })
}

/// Whether accepted connections have the options of their listener (Linux: `sk_clone_lock` copies
/// the whole socket), which saves five calls for each.
const ACCEPTED_INHERIT: bool = cfg!(target_os = "linux");

/// Sets the options of a connection. One that is already broken shows it at its first read.
fn tune(socket: SockRef<'_>) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
}

/// Tries the addresses in the resolver's order, each next one as soon as the last attempt has
/// failed or has been silent for a while. The first connection to open wins, but for one that is a
/// loop: that is given where no other opens.
async fn first_open(
    addresses: Vec<SocketAddr>,
    is_loop: impl Fn(&TcpStream) -> bool,
) -> io::Result<TcpStream> {
    let mut looped = None;
    let mut rest = addresses.into_iter();
    let mut attempts: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>> = Vec::new();
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    poll_fn(|cx| {
        loop {
            let mut index = 0;
            let mut failed = false;
            while let Some(attempt) = attempts.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => {
                        tune(SockRef::from(&stream));
                        if !is_loop(&stream) {
                            return Poll::Ready(Ok(stream));
                        }
                        drop(attempts.remove(index));
                        looped = Some(stream);
                        failed = true;
                    }
                    Poll::Ready(Err(error)) => {
                        drop(attempts.remove(index));
                        last_error = error;
                        failed = true;
                    }
                    Poll::Pending => index += 1,
                }
            }
            let next_is_due = failed
                || attempts.is_empty()
                || patience
                    .as_mut()
                    .is_some_and(|it| it.as_mut().poll(cx).is_ready());
            match next_is_due.then(|| rest.next()).flatten() {
                Some(address) => {
                    if attempts.len() + usize::from(looped.is_some()) >= ATTEMPTS_MAX
                        && !attempts.is_empty()
                    {
                        drop(attempts.remove(0));
                    }
                    attempts.push(Box::pin(TcpStream::connect(address)));
                    // Without another address there is no timer: one that is due before all others
                    // wakes the thread that sleeps until those are.
                    patience = (rest.len() > 0).then(|| Box::pin(sleep(NEXT_ADDRESS_AFTER)));
                }
                None if attempts.is_empty() => {
                    let none = io::Error::from(io::ErrorKind::NotFound);
                    let failed = std::mem::replace(&mut last_error, none);
                    return Poll::Ready(looped.take().ok_or(failed));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the system says counts, whatever the runtime knows.
    #[tokio::test]
    async fn a_connection_is_ready_for_what_the_system_says() {
        let net = TokioNet::default();
        let mut listener = net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let at = listener.at;
        let to = HostPort::new(&at.ip().to_string(), at.port()).unwrap();
        let near = net.connect(&to).await.unwrap();
        let (far, _) = net.accept(&mut listener).await.unwrap();
        let interest = |read, write| Interest { read, write };
        assert!(!net.is_ready(&near, interest(true, false)));
        assert!(net.is_ready(&near, interest(false, true)));
        // Written by another handle: the runtime has no part in it.
        SockRef::from(far.tcp().unwrap()).send(b"x").unwrap();
        assert!(net.is_ready(&near, interest(true, false)));
        let mut bytes = [std::mem::MaybeUninit::uninit(); 8];
        assert_eq!(
            SockRef::from(near.tcp().unwrap()).recv(&mut bytes).unwrap(),
            1
        );
        assert!(!net.is_ready(&near, interest(true, false)));
        drop(far);
        assert!(net.is_ready(&near, interest(true, false)));
    }

    #[tokio::test]
    async fn both_ends_of_a_connection_have_its_options() {
        let net = TokioNet::default();
        let mut listener = net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let at = listener.at;
        let to = HostPort::new(&at.ip().to_string(), at.port()).unwrap();
        let connected = net.connect(&to).await.unwrap();
        let (accepted, _) = net.accept(&mut listener).await.unwrap();
        for stream in [connected, accepted] {
            let socket = SockRef::from(stream.tcp().unwrap());
            assert!(socket.tcp_nodelay().unwrap());
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        }
    }

    #[tokio::test]
    async fn every_address_is_tried_until_one_opens() {
        let net = TokioNet::default();
        let mut listener = net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let open = listener.at;
        // Bound and dropped: nobody listens there.
        let shut = {
            let gone = net.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            gone.at
        };
        let stream = first_open(vec![shut, open], |_| false).await.unwrap();
        let (accepted, peer) = net.accept(&mut listener).await.unwrap();
        let accepted = accepted.tcp().unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        assert!(stream.nodelay().unwrap() && accepted.nodelay().unwrap());
        assert!(SockRef::from(accepted).keepalive().unwrap());
    }

    /// Whatever the resolver says first.
    #[tokio::test]
    async fn a_name_that_leads_to_us_and_to_another_leads_to_the_other() {
        let net = TokioNet::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listening = net.bind(any).await.unwrap();
        let own = listening.at;
        let other = TcpListener::bind(any).await.unwrap();
        let at = other.local_addr().unwrap();
        let both = vec![own, at, own];
        let stream = net.connect_to_one_of(both.clone()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), at);
        // Where only the connection shows it.
        let is_loop = |stream: &TcpStream| stream.peer_addr().unwrap() == own;
        let stream = first_open(both, is_loop).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), at);
        let stream = first_open(vec![own], is_loop).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), own, "nothing else is left");
        drop(listening);
    }

    /// How many attempts are unanswered (`/proc/net/tcp`: `SYN_SENT`), by the port.
    #[cfg(target_os = "linux")]
    fn attempts_to(ports: &[u16]) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let is_one = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().take(4).collect();
            let port = |at: &str| u16::from_str_radix(at.rsplit(':').next().unwrap(), 16);
            fields[3] == "02" && ports.contains(&port(fields[2]).unwrap())
        };
        table.lines().skip(1).filter(is_one).count()
    }

    /// However many addresses are silent.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connect_has_no_more_attempts_at_a_time_than_are_reckoned_with() {
        let mut ports = Vec::new();
        let mut full_queues = Vec::new();
        for _ in 0..4 {
            // A connection that nobody accepts fills the queue: further ones get no SYN-ACK.
            let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let full = full.unwrap();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            full.bind(&any.into()).unwrap();
            full.listen(0).unwrap();
            let at = full.local_addr().unwrap().as_socket().unwrap();
            full_queues.push((full, TcpStream::connect(at).await.unwrap()));
            ports.push(at.port());
        }
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        ports.push(open.local_addr().unwrap().port());
        let all = ports.iter().map(|port| ([127, 0, 0, 1], *port).into());
        let mut connecting = std::pin::pin!(first_open(all.collect(), |_| false));
        let mut most = 0;
        let stream = poll_fn(|cx| {
            let connected = connecting.as_mut().poll(cx);
            most = most.max(attempts_to(&ports));
            connected
        })
        .await;
        let at = stream.unwrap().peer_addr().unwrap();
        assert_eq!(at, open.local_addr().unwrap(), "the last is tried as well");
        assert_eq!(most, ATTEMPTS_MAX);
    }

    #[tokio::test]
    async fn the_last_failure_is_returned() {
        let gone = TokioNet::default()
            .bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let shut = gone.at;
        drop(gone);
        let both = vec![shut, shut];
        let error = first_open(both, |_| false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = first_open(Vec::new(), |_| false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_not_found() {
        let error = TokioNet::default()
            .connect(&"no-such-host.invalid:9092".parse().unwrap())
            .await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
