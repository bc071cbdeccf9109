//! Hosts in what Kafka prints of its own objects, whether somebody knows them or not:
//!
//! - `broker:9092 (id: 1 rack: null)`, a `Node`;
//! - `host='broker', port=9092`, an `Endpoint` or any generated message, and `host=broker:9092`, a
//!   `BrokerEndPoint`;
//! - `EndPoint(broker,9092,ListenerName(PLAINTEXT),PLAINTEXT)`, of Kafka 3;
//! - `1@broker:9093`, a voter of `controller.quorum.voters`.

use std::ops::Range;

use super::{REDACTED, is_of_name, port_digits};
use crate::id::HOST_BYTES_MAX;
use crate::work;

/// All of them in a text in lower case, in their order.
pub(super) fn find(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    work::steps(text.len());
    for (at, byte) in text.iter().enumerate() {
        let rest = text.get(at..).unwrap_or_default();
        let range = match byte {
            b' ' if rest.starts_with(b" (id: ") => node(text, at),
            b'h' if rest.starts_with(b"host=") => field(text, at + b"host=".len()),
            b'e' if rest.starts_with(b"endpoint(") => end_point(text, at + b"endpoint(".len()),
            b'@' => voter(text, at),
            _ => None,
        };
        // What was replaced once is not looked at again.
        let is_fresh = |it: &Range<usize>| {
            let text = text.get(it.clone()).unwrap_or_default();
            !text.windows(REDACTED.len()).any(|it| it == REDACTED)
        };
        found.extend(range.filter(is_fresh));
    }
    found
}

/// Host and port before ` (id: `.
fn node(text: &[u8], end: usize) -> Option<Range<usize>> {
    let before = text.get(..end)?;
    let digits = count_back(before, u8::is_ascii_digit);
    let host_end = (end - digits).checked_sub(1)?;
    let is_port = (1..=5).contains(&digits) && text.get(host_end) == Some(&b':');
    let before = text.get(..host_end)?;
    let of_literal = |byte: &u8| is_of_name(*byte) || matches!(*byte, b':' | b'%');
    let host = match before.split_last() {
        Some((b']', inside)) => {
            let inside = count_back(inside, of_literal);
            let opening = host_end.checked_sub(inside + 2)?;
            if text.get(opening) != Some(&b'[') {
                return None;
            }
            inside + 2
        }
        Some(_) | None => count_back(before, of_literal),
    };
    (is_port && host > 0).then(|| host_end - host..end)
}

/// What stands behind `host=`.
fn field(text: &[u8], start: usize) -> Option<Range<usize>> {
    const PORT: &[u8] = b", port=";
    let rest = window(text, start);
    let host = match rest.split_first()? {
        (b'\'', quoted) => {
            let name = quoted.iter().take_while(|byte| is_of_host(**byte)).count();
            if name == 0 || quoted.get(name) != Some(&b'\'') {
                return None;
            }
            name + 2
        }
        (_, _) => rest.iter().take_while(|byte| is_of_host(**byte)).count(),
    };
    let end = start + host;
    let behind = text.get(end..)?;
    if behind.starts_with(PORT) {
        let port = end + PORT.len();
        return Some(start..port + port_digits(text.get(port..)?)?);
    }
    // A name with its port, all of which may be of a host.
    let (name, port) = rest.get(..host).map(split_port)?;
    (name > 0 && port > 0).then_some(start..end)
}

/// `broker,9092,` behind `EndPoint(`.
fn end_point(text: &[u8], start: usize) -> Option<Range<usize>> {
    let host = window(text, start)
        .iter()
        .take_while(|byte| is_of_host(**byte))
        .count();
    let port = start + host + 1;
    let end = port + port_digits(text.get(port..)?)?;
    let is_between_commas = text.get(port - 1) == Some(&b',') && text.get(end) == Some(&b',');
    (host > 0 && is_between_commas).then_some(start..end)
}

/// `broker:9093` behind `1@`.
fn voter(text: &[u8], at: usize) -> Option<Range<usize>> {
    let id = count_back(text.get(..at)?, u8::is_ascii_digit);
    let before = (at - id).checked_sub(1).and_then(|it| text.get(it));
    let is_id = id > 0 && before.is_none_or(|byte| !is_of_name(*byte));
    let rest = window(text, at + 1);
    let len = rest.iter().take_while(|byte| is_of_host(**byte)).count();
    let (name, port) = rest.get(..len).map(split_port)?;
    (is_id && name > 0 && port > 0).then(|| at + 1..at + 1 + name + port)
}

/// How long a host is, and the port behind it with its colon, which nothing but more of a voter
/// follows.
fn split_port(host: &[u8]) -> (usize, usize) {
    let bracket = host.iter().position(|byte| *byte == b']');
    let from = bracket.filter(|_| host.starts_with(b"[")).unwrap_or(0);
    let colon = host.iter().skip(from).position(|byte| *byte == b':');
    let name = colon.map_or(host.len(), |colon| from + colon);
    let digits = host.get(name + 1..).and_then(port_digits);
    (name, digits.map_or(0, |digits| 1 + digits))
}

/// How many bytes at the end are such, of as many as a host may have.
fn count_back(text: &[u8], is_such: impl Fn(&u8) -> bool) -> usize {
    let bytes = text.iter().rev().take(HOST_BYTES_MAX + 2);
    let count = bytes.take_while(|byte| is_such(byte)).count();
    work::steps(1 + count);
    count
}

fn window(text: &[u8], start: usize) -> &[u8] {
    let rest = text.get(start..).unwrap_or_default();
    let window = rest.get(..HOST_BYTES_MAX + 8).unwrap_or(rest);
    work::copied(window.len());
    window
}

/// A name, or an IPv6 literal with brackets or without.
const fn is_of_host(byte: u8) -> bool {
    is_of_name(byte) || matches!(byte, b':' | b'%' | b'[' | b']')
}
