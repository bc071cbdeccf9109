//! A scripted broker: ApiVersions, Metadata, and one Fetch response of a given size.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    ApiVersionsResponse, FetchRequest, FetchResponse, MetadataResponse, RequestHeader,
    ResponseHeader,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

/// How long nothing must move before everything is taken to stand still.
const STILL: Duration = Duration::from_millis(300);

pub struct Broker {
    port: u16,
    written: Arc<Written>,
}

/// How many bytes of responses the sockets have taken.
#[derive(Default)]
struct Written {
    bytes: Mutex<u64>,
    grew: Condvar,
}

impl Written {
    fn bytes(&self) -> MutexGuard<'_, u64> {
        self.bytes.lock().unwrap()
    }
}

impl Broker {
    /// Serves in threads that end with the test process.
    pub fn start(response_bytes: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let written = Arc::new(Written::default());
        let counted = Arc::clone(&written);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, written) = (stream.unwrap(), Arc::clone(&counted));
                std::thread::spawn(move || serve(stream, port, response_bytes, &written));
            }
        });
        Self { port, written }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the responses are stuck, because nobody reads on.
    pub fn until_nothing_moves(&self) {
        let mut bytes = self.written.bytes();
        loop {
            let before = *bytes;
            let unmoved = |bytes: &mut u64| *bytes == before;
            let waited = self.written.grew.wait_timeout_while(bytes, STILL, unmoved);
            let (now, timeout) = waited.unwrap();
            if timeout.timed_out() {
                return;
            }
            bytes = now;
        }
    }
}

fn serve(mut stream: TcpStream, port: u16, response_bytes: usize, written: &Written) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        if stream.read_exact(&mut frame).is_err() {
            return;
        }
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let response = match key {
            18 => api_versions(version, id),
            3 => metadata(version, id, port),
            1 => fetched(version, response_bytes),
            other => panic!("API {other}"),
        };
        for piece in response.chunks(64 * 1024) {
            if stream.write_all(piece).is_err() {
                return;
            }
            *written.bytes() += piece.len() as u64;
            written.grew.notify_all();
        }
    }
}

fn api_versions(version: i16, id: i32) -> Bytes {
    let range = |key, max| {
        ApiVersion::default()
            .with_api_key(key)
            .with_max_version(max)
    };
    let keys = vec![range(1, 17), range(3, 12), range(18, 4)];
    response(
        version,
        id,
        &ApiVersionsResponse::default().with_api_keys(keys),
    )
}

fn metadata(version: i16, id: i32, port: u16) -> Bytes {
    let broker = MetadataResponseBroker::default()
        .with_node_id(0.into())
        .with_host("127.0.0.1".into())
        .with_port(port.into());
    response(
        version,
        id,
        &MetadataResponse::default().with_brokers(vec![broker]),
    )
}

/// The whole response frame to [`fetch`].
pub fn fetched(version: i16, bytes: usize) -> Bytes {
    let partition = PartitionData::default().with_records(Some(Bytes::from(vec![7; bytes])));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    response(
        version,
        1,
        &FetchResponse::default().with_responses(vec![topic]),
    )
}

/// A Fetch request frame.
pub fn fetch(version: i16) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(1)
        .with_request_api_version(version)
        .with_correlation_id(1);
    let mut frame = BytesMut::new();
    header
        .encode(&mut frame, FetchRequest::header_version(version))
        .unwrap();
    FetchRequest::default()
        .with_max_wait_ms(500)
        .encode(&mut frame, version)
        .unwrap();
    framed(&frame)
}

fn response<M: Encodable + HeaderVersion>(version: i16, id: i32, body: &M) -> Bytes {
    let mut frame = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(id);
    header
        .encode(&mut frame, M::header_version(version))
        .unwrap();
    body.encode(&mut frame, version).unwrap();
    framed(&frame)
}

fn framed(frame: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(frame.len() + 4);
    out.put_u32(frame.len().try_into().unwrap());
    out.extend_from_slice(frame);
    out.freeze()
}
