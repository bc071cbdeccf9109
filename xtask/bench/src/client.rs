//! A blocking client: sends frames, reads responses in order, counts both.

use std::collections::VecDeque;
use std::io;
use std::io::{IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use doorkeeper_bench::frames::{self, REQUEST_HEAD, Request};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use crate::tls;

const READ_BYTES: usize = 256 * 1024;
/// Longer than anything in the bench may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where many clients come from.
const ADDRESSES: u8 = 8;

/// The addresses of many clients, one after the other and again.
pub(crate) fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    let all = (1..=ADDRESSES).map(|last| Ipv4Addr::new(127, 0, 0, last));
    all.cycle()
}

/// Connects from one of the addresses of the loopback interface.
pub(crate) fn connect_from(address: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((address, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// What clients have sent and received, of Produce and Fetch alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) request_bytes: u64,
    pub(crate) ids: u64,
    pub(crate) response_bytes: u64,
}

impl Counts {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            request_bytes: self.request_bytes + other.request_bytes,
            ids: self.ids + other.ids,
            response_bytes: self.response_bytes + other.response_bytes,
        }
    }
}

/// Where clients go, and whether they speak TLS there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// A connection with TLS or without.
enum Stream {
    Plaintext(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plaintext(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plaintext(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plaintext(stream) => stream.write_vectored(slices),
            Self::Tls(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plaintext(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

pub(crate) struct Client {
    stream: Stream,
    next_id: u32,
    /// The ids of the responses that are owed, and whether they are counted.
    owed: VecDeque<(u32, bool)>,
    pub(crate) counted: Counts,
}

impl Client {
    pub(crate) fn connect(target: &Target) -> Result<Self> {
        Self::over(
            TcpStream::connect((Ipv4Addr::LOCALHOST, target.port))?,
            target,
        )
    }

    fn over(stream: TcpStream, target: &Target) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream = match &target.tls {
            None => Stream::Plaintext(stream),
            Some(config) => {
                let tls = ClientConnection::new(Arc::clone(config), tls::server_name())?;
                Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
            }
        };
        Ok(Self {
            stream,
            next_id: 1,
            owed: VecDeque::new(),
            counted: Counts::default(),
        })
    }

    /// Connects and asks for versions, so that both legs of a proxy are open.
    pub(crate) fn ready(target: &Target, buffer: &mut [u8]) -> Result<Self> {
        let mut client = Self::connect(target)?;
        client.exchange(&frames::api_versions()?, buffer)?;
        Ok(client)
    }

    /// So many of them, from several addresses: one alone may not take all the room there is.
    pub(crate) fn many(count: usize, target: &Target) -> impl Iterator<Item = Result<Self>> {
        let connect = move |address| Self::over(connect_from(address, target.port)?, target);
        addresses().take(count).map(connect)
    }

    /// The same, with both legs open.
    pub(crate) fn many_ready(
        count: usize,
        target: &Target,
        buffer: &mut [u8],
    ) -> Result<Vec<Self>> {
        let versions = frames::api_versions()?;
        let ready = |client: Result<Self>| {
            let mut client = client?;
            client.exchange(&versions, buffer)?;
            Ok(client)
        };
        Self::many(count, target).map(ready).collect()
    }

    pub(crate) fn send(&mut self, request: &Request) -> Result<()> {
        let (head, rest) = request
            .frame
            .split_first_chunk::<REQUEST_HEAD>()
            .context("a short request")?;
        let mut head = *head;
        let id = self.next_id;
        self.next_id += 1;
        head.last_chunk_mut::<4>()
            .context("no id")?
            .copy_from_slice(&id.to_be_bytes());
        let mut slices = [IoSlice::new(&head), IoSlice::new(rest)];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let count = self.stream.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, count);
        }
        let counts = request.key <= 1;
        self.owed.push_back((id, counts));
        if counts {
            self.counted.requests += 1;
            self.counted.request_bytes += request.frame.len() as u64;
            self.counted.ids += u64::from(id);
        }
        Ok(())
    }

    /// How many responses are owed.
    pub(crate) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Reads the next response to its end.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut left = self.receive_head()?;
        while left > 0 {
            left -= self.receive_some(left, buffer)?;
        }
        Ok(())
    }

    /// Reads length and correlation id; how many bytes of the response follow.
    pub(crate) fn receive_head(&mut self) -> Result<usize> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let [l0, l1, l2, l3, i0, i1, i2, i3] = head;
        let (expected, counts) = self.owed.pop_front().context("no response is owed")?;
        let id = u32::from_be_bytes([i0, i1, i2, i3]);
        ensure!(id == expected, "response {id} came instead of {expected}");
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if counts {
            self.counted.response_bytes += len as u64 + 4;
        }
        Ok(len.saturating_sub(4))
    }

    /// Reads at most `count` bytes of a response.
    pub(crate) fn receive_some(&mut self, count: usize, buffer: &mut [u8]) -> Result<usize> {
        let most = count.min(buffer.len());
        let room = buffer.get_mut(..most).context("no buffer")?;
        let read = self.stream.read(room)?;
        ensure!(read > 0, "the connection ended inside a response");
        Ok(read)
    }

    pub(crate) fn exchange(&mut self, request: &Request, buffer: &mut [u8]) -> Result<()> {
        self.send(request)?;
        self.receive(buffer)
    }

    /// Sends bytes that are no frame.
    pub(crate) fn knock(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }
}

pub(crate) fn buffer() -> Vec<u8> {
    vec![0; READ_BYTES]
}
