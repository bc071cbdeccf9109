//! A process that is stopped for a while.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::broker::{Broker, METADATA_REQUEST};
use crate::process::{File, Serving};
use crate::support::{PATIENCE, until};

/// A stop that is longer than this is not charged to anybody, so that no deadline comes in it.
const CHARGED_MAX: Duration = Duration::from_secs(1);

/// A broker may take so long to respond, and to be connected to.
fn start(name: &str, broker: &Broker, limit: Duration) -> Serving {
    let file = File::new(name, &broker.address());
    let ms = limit.as_millis();
    file.limit_cluster(&format!("request_timeout: {ms}ms, connect_timeout: {ms}ms"));
    Serving::start(&file, Stdio::null())
}

/// Stops the process for so long, and does something meanwhile.
fn stopped(serving: &Serving, time: Duration, meanwhile: impl FnOnce()) {
    serving.signal("STOP");
    until("it is stopped", || serving.is_stopped());
    let begun = Instant::now();
    meanwhile();
    until("the stop is over", || begun.elapsed() > time);
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

/// The deadline comes while the process stands still, and so does the response: that was in time,
/// as far as anybody can tell.
#[test]
fn a_response_that_came_meanwhile_is_passed_on() {
    const LIMIT: Duration = Duration::from_millis(300);
    let broker = Broker::start();
    let serving = start("stopped-with-response", &broker, LIMIT);
    let mut passed = 0;
    while passed < 5 {
        let mut client = serving.connect();
        let begun = Instant::now();
        client.write_all(METADATA_REQUEST).unwrap();
        let mut request = broker.next_request();
        let mut is_in_time = true;
        stopped(&serving, LIMIT + CHARGED_MAX / 2, || {
            // A machine that is busy may have taken too long to stop it.
            is_in_time = begun.elapsed() < LIMIT;
            if is_in_time {
                request.respond();
            }
        });
        if is_in_time {
            has_response(&mut client);
            passed += 1;
        }
    }
}

#[test]
fn the_time_is_not_charged_to_a_broker_that_has_not_responded() {
    const LIMIT: Duration = Duration::from_secs(2);
    let broker = Broker::start();
    let serving = start("stopped-without-response", &broker, LIMIT);
    let mut client = serving.connect();
    for _ in 0..2 {
        client.write_all(METADATA_REQUEST).unwrap();
        let mut request = broker.next_request();
        stopped(&serving, LIMIT + CHARGED_MAX, || {});
        until("it goes on", || serving.is_healthy());
        request.respond();
        has_response(&mut client);
    }
}
