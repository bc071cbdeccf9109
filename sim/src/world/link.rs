//! One connection of a simulated client: requests go out, responses come in and are checked.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use doorkeeper_core::id::BrokerId;

use super::CANARY;
use super::requests::{Requests, TopicOutcome};
use super::trace::{self, Trace};

/// The longest response that a client takes.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// A connection to a doorkeeper.
#[derive(Debug)]
pub struct Link<S> {
    stream: S,
    name: String,
    trace: Trace,
    requests: Option<Requests>,
    correlation_id: i32,
    /// Correlation ids in the order in which they were sent.
    owed: VecDeque<i32>,
    unread: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Over a stream that was just opened.
    pub fn new(stream: S, name: &str, trace: &Trace) -> Self {
        Self {
            stream,
            name: name.to_owned(),
            trace: trace.clone(),
            requests: None,
            correlation_id: 0,
            owed: VecDeque::new(),
            unread: BytesMut::new(),
        }
    }

    /// What is sent is written down, and held against what brokers get. The name must be one that
    /// nobody else has had.
    #[must_use]
    pub fn counted(
        mut self,
        requests: &Requests,
        doorkeeper: &str,
        broker: Option<BrokerId>,
    ) -> Self {
        requests.connected(&self.name, doorkeeper, broker);
        self.requests = Some(requests.clone());
        self
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// The connection ended, or nothing came in time.
    pub async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        within: Duration,
    ) -> io::Result<R::Response> {
        let response = async {
            self.send(version, request).await?;
            self.receive::<R>(version).await
        };
        match tokio::time::timeout(within, response).await {
            Ok(response) => response,
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Sends a request.
    ///
    /// Gives its correlation id.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<i32> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_string(self.name.clone())));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        let header_version = R::header_version(version);
        header.encode(&mut frame, header_version).map_err(other)?;
        request.encode(&mut frame, version).map_err(other)?;
        let length = u32::try_from(frame.len() - 4).map_err(other)?;
        frame.get_mut(..4).unwrap_or_default().put_u32(length);
        let (name, id) = (&self.name, self.correlation_id);
        self.trace.event(format_args!(
            "{name} asks {}v{version} {id} {length} {:016x}",
            R::KEY,
            trace::hash(&frame)
        ));
        self.owed.push_back(id);
        if let Some(requests) = &self.requests {
            requests.sent(name, id, &frame);
        }
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        Ok(id)
    }

    /// The last request has no response.
    pub fn forget_last(&mut self) {
        self.owed.pop_back();
    }

    /// What a response said of the topic that may be denied.
    pub fn topic_outcome(&self, correlation_id: i32, outcome: TopicOutcome) {
        if let Some(requests) = &self.requests {
            requests.response(&self.name, correlation_id, outcome);
        }
    }

    /// Waits for the next response, which must be that of the oldest request.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut frame = self.frame().await?;
        let correlation_id = frame.try_get_i32().map_err(other)?;
        let owed = self.owed.pop_front();
        if owed != Some(correlation_id) {
            let name = &self.name;
            self.trace.violation(
                3,
                format_args!("{name}: the response to {correlation_id} came in place of {owed:?}"),
            );
        }
        if R::Response::header_version(version) >= 1 {
            // The tagged fields of the header: brokers send none.
            frame.try_get_u8().map_err(other)?;
        }
        R::Response::decode(&mut frame, version).map_err(other)
    }

    /// The next response as it came, without its length.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn frame(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = self.cut()? {
                self.look_at(&frame);
                return Ok(frame);
            }
            self.unread.reserve(64 << 10);
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn cut(&mut self) -> io::Result<Option<Bytes>> {
        let Ok(length) = self.unread.as_ref().try_get_u32() else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(other)?;
        if length > FRAME_BYTES_MAX {
            return Err(other(format!("a response of {length} bytes")));
        }
        if self.unread.len() < 4 + length {
            return Ok(None);
        }
        self.unread.advance(4);
        Ok(Some(self.unread.split_to(length).freeze()))
    }

    fn look_at(&self, frame: &[u8]) {
        let (name, length) = (&self.name, frame.len());
        self.trace.event(format_args!(
            "{name} gets {length} {:016x}",
            trace::hash(frame)
        ));
        let canary = CANARY.as_bytes();
        if frame.windows(canary.len()).any(|part| part == canary) {
            self.trace.violation(
                6,
                format_args!("{name} was shown the name of a broker's host"),
            );
        }
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
