//! A process that is stopped for a while.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::broker::{Broker, METADATA_REQUEST};
use crate::process::{File, Serving};
use crate::support::{PATIENCE, until};

/// How long a broker may take to respond, and to be connected to.
const LIMIT: Duration = Duration::from_secs(2);

fn start(name: &str, broker: &Broker) -> Serving {
    let file = File::new(name, &broker.address());
    let seconds = LIMIT.as_secs();
    file.limit_cluster(&format!(
        "answer_within: {seconds}s, connect_within: {seconds}s"
    ));
    Serving::start(&file, Stdio::null())
}

/// Stops the process until the limit of a response is over, and does something meanwhile.
fn stopped_past_the_limit(serving: &Serving, meanwhile: impl FnOnce()) {
    let begun = Instant::now();
    serving.signal("STOP");
    until("it is stopped", || serving.is_stopped());
    meanwhile();
    until("the limit is over", || begun.elapsed() > LIMIT * 2);
    serving.signal("CONT");
}

fn has_response(client: &mut TcpStream) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut response = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut response).unwrap();
    assert_eq!(response.get(..4), METADATA_REQUEST.get(8..12));
}

#[test]
fn a_response_that_came_meanwhile_is_passed_on() {
    let broker = Broker::start();
    let serving = start("stopped-with-response", &broker);
    let mut client = serving.connect();
    for _ in 0..3 {
        client.write_all(METADATA_REQUEST).unwrap();
        let mut request = broker.next_request();
        stopped_past_the_limit(&serving, || request.respond());
        has_response(&mut client);
    }
}

#[test]
fn the_time_is_not_charged_to_a_broker_that_has_not_responded() {
    let broker = Broker::start();
    let serving = start("stopped-without-response", &broker);
    let mut client = serving.connect();
    for _ in 0..2 {
        client.write_all(METADATA_REQUEST).unwrap();
        let mut request = broker.next_request();
        stopped_past_the_limit(&serving, || {});
        until("it goes on", || serving.is_healthy());
        request.respond();
        has_response(&mut client);
    }
}
