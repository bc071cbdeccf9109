//! A broker that responds to discovery at once, and to a client when the test says so.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse};

use crate::frames::{API_VERSIONS, METADATA, response};
use crate::support::PATIENCE;

/// Version 0, of no client id, for no topics: what clients of tests ask, and discovery never does.
pub(crate) const METADATA_REQUEST: &[u8] =
    &[0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 255, 255, 0, 0, 0, 0];

pub(crate) struct Broker {
    port: u16,
    requests: Receiver<Request>,
}

/// A [`METADATA_REQUEST`] that has no response yet.
pub(crate) struct Request {
    stream: TcpStream,
    response: Vec<u8>,
}

impl Request {
    pub(crate) fn respond(&mut self) {
        self.stream.write_all(&self.response).unwrap();
    }
}

impl Broker {
    /// Serves in threads that end with the test process.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, sender) = (stream.unwrap(), sender.clone());
                std::thread::spawn(move || serve(stream, port, &sender));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The next request of a client, which must come.
    pub(crate) fn next_request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

fn serve(mut stream: TcpStream, port: u16, requests: &Sender<Request>) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        if stream.read_exact(&mut frame).is_err() {
            return;
        }
        let int16 = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let (api, version) = (int16(0), int16(2));
        let id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let response = match api {
            API_VERSIONS => response(version, id, &api_versions()),
            METADATA => response(version, id, &metadata(port)),
            // Nobody asks for anything else: what would wait for it fails.
            _ => return,
        };
        if (api, version) == (METADATA, 0) {
            let stream = stream.try_clone().unwrap();
            if requests.send(Request { stream, response }).is_err() {
                return;
            }
        } else if stream.write_all(&response).is_err() {
            return;
        }
    }
}

fn api_versions() -> ApiVersionsResponse {
    let range = |api, max| {
        let range = ApiVersion::default().with_api_key(api);
        range.with_max_version(max)
    };
    let ranges = vec![range(METADATA, 12), range(API_VERSIONS, 4)];
    ApiVersionsResponse::default().with_api_keys(ranges)
}

fn metadata(port: u16) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(0.into())
        .with_host("127.0.0.1".into())
        .with_port(port.into());
    MetadataResponse::default().with_brokers(vec![broker])
}
