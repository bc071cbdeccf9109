//! Where addresses of the cluster stand in a text.
//!
//! An address is, whatever else stands in the text:
//!
//! - a known host, or any address literal, with a port: `broker:9092`, `[::1]:9092`;
//! - whatever host and port stand behind `://`: `PLAINTEXT://broker:9092`;
//! - what Java prints for an `InetAddress` or an `InetSocketAddress`: `broker/10.0.0.5:9092`,
//!   `/10.0.0.5`, `broker/<unresolved>:9092`;
//! - a known name with a dot in it, or a known literal, also without a port;
//! - what Kafka prints of its own objects (`printed.rs`).
//!
//! A known host of one label is a word like any other (`broker`, `kafka`) wherever it stands
//! without a port, and passes.
//!
//! The text is read once. Each name in it is looked up in an index, so that what a text costs grows
//! with its length, and with the number of hosts only as a binary search does.

mod printed;

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use crate::id::HOST_BYTES_MAX;
use crate::rewrite::KnownHosts;
use crate::work;

/// What stands in the place of an address.
pub(crate) const REDACTED: &[u8] = b"[upstream]";

/// What stands in each place of an address where a text must keep its length.
pub(crate) const OVERWRITTEN: u8 = b'*';

/// No address literal is longer, its zone included (`INET6_ADDRSTRLEN` and `IFNAMSIZ`).
const LITERAL_BYTES_MAX: usize = 46 + 16;

/// No IPv4 literal is longer.
const V4_BYTES_MAX: usize = 15;

/// How many colons an IPv6 literal has at most, one before a port included.
const V6_COLONS_MAX: usize = 9;

/// How many it has at least, unless two of them stand side by side.
const V6_COLONS_MIN: usize = 7;

/// What Java prints in the place of an address that it could not look up.
const UNRESOLVED: &[u8] = b"<unresolved>";

/// The address that this text is a literal of, without brackets. An IPv4 address inside of an IPv6
/// one counts as itself.
pub(super) fn literal(text: &str) -> Option<IpAddr> {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    Some(address.to_canonical())
}

/// All addresses of the cluster in `text`, in their order; the whole of it if it is no UTF-8.
pub(super) fn find(text: &[u8], hosts: &KnownHosts) -> Vec<Range<usize>> {
    let Ok(text) = std::str::from_utf8(text) else {
        // What cannot be read may hold anything.
        let whole = 0..text.len();
        return vec![whole];
    };
    let text = text.to_ascii_lowercase();
    let mut scan = Scan {
        text: text.as_bytes(),
        hosts,
        found: Vec::new(),
        authority_end: None,
    };
    let printed = printed::find(text.as_bytes());
    scan.run(&printed);
    if printed.is_empty() {
        scan.found
    } else {
        joined([scan.found, printed].concat())
    }
}

/// Ranges in their order, those that overlap or touch as one.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => joined.push(range),
        }
    }
    joined
}

struct Scan<'a> {
    /// In lower case.
    text: &'a [u8],
    hosts: &'a KnownHosts,
    found: Vec<Range<usize>>,
    /// Where host and port behind the last `://` end.
    authority_end: Option<usize>,
}

/// What may begin inside of a text of letters, digits, dots, `-` and `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A host that ends with the text: at its beginning, behind an address, and behind `_`.
    Host,
    /// A known name with a dot in it: behind a dot.
    Label,
    /// An IPv4 literal: behind `-`, which names have inside of them.
    Literal,
}

impl<'a> Scan<'a> {
    /// Reads all but what is known to be hidden.
    fn run(&mut self, printed: &[Range<usize>]) {
        let mut printed = printed.iter().peekable();
        let mut at = 0;
        while let Some(byte) = self.byte(at) {
            work::steps(1);
            if let Some(hidden) = printed.next_if(|range| range.start <= at) {
                at = at.max(hidden.end);
                continue;
            }
            at = match byte {
                b':' if self.rest(at).starts_with(b"://") => self.authority(at + 3),
                b':' if self.byte(at + 1) == Some(b':') => self.bare_v6(at).unwrap_or(at + 1),
                b'[' => self.bracketed(at).unwrap_or(at + 1),
                b'/' => self.behind_slash(at).unwrap_or(at + 1),
                byte if is_of_name(byte) => self.name(at),
                _ => at + 1,
            };
        }
    }

    /// Host and port of a URI or of a listener, whatever they are; where the search goes on.
    fn authority(&mut self, start: usize) -> usize {
        if let Some(hidden) = self.hidden(start) {
            self.authority_end = Some(start + hidden);
            return start + hidden;
        }
        let mut end = start;
        while let Some(byte) = self.byte(end) {
            end = match byte {
                b'[' if let Some(behind) = self.closing_bracket(end) => behind,
                byte if ends_authority(byte) => break,
                _ => end + 1,
            };
        }
        work::steps(end - start);
        let authority = self.text.get(start..end).unwrap_or_default();
        let trailing = authority.iter().rev();
        let trailing = trailing.take_while(|byte| matches!(byte, b'.' | b':' | b'!'));
        let trailing = trailing.count();
        let authority = self.text.get(start..end - trailing).unwrap_or_default();
        // `file:///etc` has none.
        if authority.iter().any(|byte| *byte != OVERWRITTEN) {
            self.found.push(start..start + authority.len());
        }
        self.authority_end = Some(end);
        if trailing > 0 {
            // What was left behind it may begin another one.
            return end - trailing;
        }
        let end = self.further_hosts(end);
        self.authority_end = Some(end);
        end
    }

    /// How much here is what an address has been replaced by. More may follow it, if it was one of
    /// those that Kafka prints.
    fn hidden(&self, start: usize) -> Option<usize> {
        let rest = self.rest(start);
        if rest.starts_with(REDACTED) {
            return Some(REDACTED.len());
        }
        let stars = count_of(rest, |byte| byte == OVERWRITTEN);
        work::steps(stars);
        // `://*:9092` is a listener.
        (stars > 1).then_some(stars)
    }

    /// The end of `,b:2` in `x://a:1,b:2`, and of all that follow it.
    fn further_hosts(&mut self, mut end: usize) -> usize {
        while self.byte(end) == Some(b',') {
            let start = end + 1;
            let bracketed = self.bracketed_literal(start).map(|(_, end)| end);
            let name_end = || start + count_of(self.host_window(start), is_of_name);
            let host_end = bracketed.unwrap_or_else(name_end);
            work::steps(host_end - start);
            let Some(port_end) = self.port(host_end).filter(|_| host_end > start) else {
                break;
            };
            end = self.hide(start..port_end);
        }
        end
    }

    /// `[::1]:9092`, or a known literal in brackets; its end.
    fn bracketed(&mut self, start: usize) -> Option<usize> {
        let (literal, end) = self.bracketed_literal(start)?;
        let port = self.port(end);
        (port.is_some() || self.hosts.has_literal(&literal))
            .then(|| self.hide(start..port.unwrap_or(end)))
    }

    /// A known IPv6 literal without brackets, with a port or without; its end.
    fn bare_v6(&mut self, start: usize) -> Option<usize> {
        let end = self.known_v6(start)?;
        Some(self.hide(start..end))
    }

    /// `/10.0.0.5:9092`, as Java prints an address whose name it does not know; its end.
    fn behind_slash(&mut self, slash: usize) -> Option<usize> {
        let end = self.java_suffix(slash)?;
        // A slash that ends an authority, or the empty one of `:///`, still has to.
        let before = slash.checked_sub(1).and_then(|at| self.byte(at));
        let is_needed = self.authority_end == Some(slash) || before == Some(b'/');
        let start = if is_needed { slash + 1 } else { slash };
        Some(self.hide(start..end))
    }

    /// The end of a known IPv6 literal without brackets, and of the port behind it.
    fn known_v6(&self, start: usize) -> Option<usize> {
        let hosts = self.hosts;
        self.v6_literal(start, |literal| hosts.has_literal(literal))
    }

    /// Names and literals in letters, digits, dots, `-` and `_`; where the search goes on.
    fn name(&mut self, start: usize) -> usize {
        let end = start + count_of(self.rest(start), is_of_name);
        work::steps(end - start);
        let name = self.text.get(start..end).unwrap_or_default();
        let trimmed = start + without_trailing_dots(name).len();
        let (mut at, mut part) = (start, Part::Host);
        while at < end {
            if let Some(hidden) = self.part(at, part, trimmed, end) {
                at = self.hide(at..hidden);
                part = Part::Host;
                continue;
            }
            let rest = self.text.get(at..end).unwrap_or_default();
            let separator = rest
                .iter()
                .position(|byte| matches!(byte, b'.' | b'-' | b'_'));
            let Some(before) = separator else {
                return end;
            };
            part = match (self.byte(at + before), before) {
                (Some(b'_'), _) => Part::Host,
                // One at the beginning is no part of a name.
                (Some(b'-'), 0) => part,
                (Some(b'-'), _) => Part::Literal,
                (_, 0) if part != Part::Literal => part,
                (_, _) => Part::Label,
            };
            at += before + 1;
        }
        at
    }

    /// The end of an address that begins at `at`, in a text that goes on to `end`, and to
    /// `trimmed` without the dots at its end.
    fn part(&self, at: usize, part: Part, trimmed: usize, end: usize) -> Option<usize> {
        work::steps(1);
        if matches!(self.byte(at), Some(b'.') | None) {
            return None;
        }
        if part == Part::Host
            && let Some(end) = self.whole_name(at..trimmed, end)
        {
            return Some(end);
        }
        if part != Part::Literal {
            let window_end = end.min(at.saturating_add(HOST_BYTES_MAX + 1));
            let name = self.text.get(at..window_end)?;
            if let Some(len) = self.hosts.dotted_prefix(name) {
                let is_to_the_end = at + len == trimmed;
                let port = is_to_the_end.then(|| self.port(end)).flatten();
                return Some(port.unwrap_or(at + len));
            }
        }
        if part == Part::Label {
            return None;
        }
        let (literal, literal_end) = self.v4_literal(at)?;
        let port = self.port(literal_end);
        let is_hidden = port.is_some() || self.hosts.has_literal(&literal);
        is_hidden.then(|| port.unwrap_or(literal_end))
    }

    /// An IPv4 literal that no letter or digit follows.
    fn v4_literal(&self, start: usize) -> Option<(IpAddr, usize)> {
        let window = self.rest(start);
        let window = window.get(..=V4_BYTES_MAX).unwrap_or(window);
        let mut dots = 0;
        let of_v4 = |byte: &&u8| {
            dots += usize::from(**byte == b'.');
            dots < 4 && (byte.is_ascii_digit() || **byte == b'.')
        };
        let digits = window.iter().take_while(of_v4).count();
        let v4 = without_trailing_dots(window.get(..digits)?);
        let goes_on = window.get(v4.len()).is_some_and(u8::is_ascii_alphanumeric);
        let address = literal(std::str::from_utf8(v4).ok()?)?;
        (!goes_on).then_some((address, start + v4.len()))
    }

    /// The end of an address that has this name as its host, by what follows the name and its dots.
    fn whole_name(&self, name: Range<usize>, end: usize) -> Option<usize> {
        match self.byte(end)? {
            b'/' => self.java_suffix(end),
            b':' => {
                let start = name.start;
                // No host is longer, and a text of many must not be read again for each of them.
                let name = self.text.get(name).filter(|it| it.len() <= HOST_BYTES_MAX);
                let is_host = |name: &[u8]| {
                    work::copied(name.len());
                    let literal = std::str::from_utf8(name).ok().and_then(literal);
                    self.hosts.has_name(name) || literal.is_some()
                };
                let port = self.port(end).filter(|_| name.is_some_and(is_host));
                port.or_else(|| self.known_v6(start))
            }
            _ => None,
        }
    }

    /// The end of `/10.0.0.5:9092`, `/10.0.0.5` or `/<unresolved>:9092`.
    fn java_suffix(&self, slash: usize) -> Option<usize> {
        let start = slash + 1;
        if self.rest(start).starts_with(UNRESOLVED) {
            return self.port(start + UNRESOLVED.len());
        }
        if let Some((_, end)) = self.bracketed_literal(start) {
            return Some(self.port(end).unwrap_or(end));
        }
        // Before JDK 14 an IPv6 literal had no brackets.
        if let Some(end) = self.v6_literal(start, |_| true) {
            return Some(end);
        }
        let window = self.window(start);
        let mut dots = 0;
        let of_v4 = |byte: &&u8| {
            dots += usize::from(**byte == b'.');
            dots < 4 && is_of_name(**byte)
        };
        let len = window.iter().take_while(of_v4).count();
        let v4 = window.get(..len)?;
        let address = literal(std::str::from_utf8(v4).ok()?)?;
        let end = start + v4.len();
        let port = self.port(end);
        // `kafka/7.5.0.0` is a version: no host has the address of a network.
        let is_network = matches!(address, IpAddr::V4(v4) if v4.octets().ends_with(&[0]));
        let is_address = port.is_some() || !is_network || self.hosts.has_literal(&address);
        is_address.then(|| port.unwrap_or(end))
    }

    /// The end of the longest IPv6 literal that the text may mean here, of those that are wanted,
    /// and of the port behind it.
    fn v6_literal(&self, start: usize, is_wanted: impl Fn(&IpAddr) -> bool) -> Option<usize> {
        let window = self.window(start);
        let mut colons = 0;
        let hex = |byte: &&u8| {
            colons += usize::from(**byte == b':');
            colons <= V6_COLONS_MAX && (byte.is_ascii_hexdigit() || matches!(**byte, b':' | b'.'))
        };
        let digits = window.iter().take_while(hex).count();
        let zone = window.get(digits..).unwrap_or_default();
        let zone = match zone.split_first() {
            Some((b'%', name)) => 1 + name.iter().take_while(|byte| is_of_name(**byte)).count(),
            Some(_) | None => 0,
        };
        let len = digits + zone;
        work::steps(len);
        let text = window
            .get(..len)
            .and_then(|it| std::str::from_utf8(it).ok());
        let text = text.unwrap_or_default();
        // `fd00::5:broker` goes on with a name, whose first letter is a digit here.
        let goes_on = window.get(len).is_some_and(|byte| is_of_name(*byte));
        let text = match text.rsplit_once([':', '.']) {
            Some((before, _)) if goes_on => before,
            Some(_) | None => text,
        };
        let could_be = text.contains("::") || colons >= V6_COLONS_MIN;
        let mut left = could_be.then_some(text);
        loop {
            let address = left?.trim_end_matches(['.', ':']);
            left = left?.rsplit_once([':', '.']).map(|(before, _)| before);
            let (number, _zone) = address.split_once('%').unwrap_or((address, ""));
            let number = number.parse::<Ipv6Addr>().ok();
            let number = number.map(|number| IpAddr::from(number).to_canonical());
            if number.is_some_and(|number| is_wanted(&number)) {
                let end = start + address.len();
                return Some(self.port(end).unwrap_or(end));
            }
        }
    }

    fn bracketed_literal(&self, start: usize) -> Option<(IpAddr, usize)> {
        if self.byte(start) != Some(b'[') {
            return None;
        }
        let end = self.closing_bracket(start)?;
        work::steps(end - start);
        let inside = std::str::from_utf8(self.text.get(start + 1..end - 1)?).ok()?;
        Some((literal(inside)?, end))
    }

    /// Behind the bracket that closes the one at `start`, if what they hold could be a literal.
    fn closing_bracket(&self, start: usize) -> Option<usize> {
        let window = self.window(start + 1);
        let of_literal = |byte: &&u8| is_of_name(**byte) || matches!(**byte, b':' | b'%');
        let inside = window.iter().take_while(of_literal).count();
        (window.get(inside) == Some(&b']')).then_some(start + 1 + inside + 1)
    }

    /// The end of `:9092`.
    fn port(&self, at: usize) -> Option<usize> {
        let digits = self.rest(at).strip_prefix(b":")?;
        Some(at + 1 + port_digits(digits)?)
    }

    fn hide(&mut self, range: Range<usize>) -> usize {
        let end = range.end;
        self.found.push(range);
        end
    }

    /// What a literal could take from here on.
    fn window(&self, start: usize) -> &'a [u8] {
        let rest = self.rest(start);
        rest.get(..LITERAL_BYTES_MAX).unwrap_or(rest)
    }

    /// What a host could take from here on.
    fn host_window(&self, start: usize) -> &'a [u8] {
        let rest = self.rest(start);
        rest.get(..=HOST_BYTES_MAX).unwrap_or(rest)
    }

    fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }
}

/// How many digits of a port stand at the beginning of a text: none in the version of
/// `kafka:3.9.0`.
fn port_digits(text: &[u8]) -> Option<usize> {
    const VERSION_DIGITS_MAX: usize = 3;
    let count = count_of(text.get(..6).unwrap_or(text), |byte| byte.is_ascii_digit());
    let (next, after) = (text.get(count), text.get(count + 1));
    let goes_on = next.is_some_and(u8::is_ascii_alphanumeric);
    let is_version =
        count <= VERSION_DIGITS_MAX && next == Some(&b'.') && after.is_some_and(u8::is_ascii_digit);
    ((1..=5).contains(&count) && !goes_on && !is_version).then_some(count)
}

/// How many bytes at the beginning are such.
fn count_of(text: &[u8], is_such: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_such(**byte)).count()
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// What ends host and port behind `://` (RFC 3986), or the text around them.
const fn ends_authority(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(
            byte,
            b'/' | b'?' | b'#' | b',' | b';' | b'"' | b'\'' | b'`' | b'|' | b'\\' | b'^'
        )
        || matches!(byte, b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b'[' | b']')
}

fn without_trailing_dots(name: &[u8]) -> &[u8] {
    let dots = name.iter().rev().take_while(|byte| **byte == b'.').count();
    name.get(..name.len() - dots).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::HostPort;
    use crate::topology::{DialMap, Topology};

    const HOSTS: [&str; 6] = [
        "kafka-1.internal",
        "broker",
        "10.0.0.1",
        "fd00::5",
        "b.kafka-1.internal",
        "upstream",
    ];

    fn known<'a>(hosts: impl IntoIterator<Item = &'a str>) -> KnownHosts {
        let hosts = hosts.into_iter().map(|it| HostPort::new(it, 9092).unwrap());
        let hosts: Vec<HostPort> = hosts.collect();
        KnownHosts::new(&hosts, &DialMap::default(), &Topology::default())
    }

    fn redacted(text: &str) -> String {
        let known = known(HOSTS);
        let out = known.redacted(text.as_bytes());
        out.map_or_else(|| text.to_owned(), |out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_address_is_replaced_with_its_port() {
        for (text, expected) in [
            (
                "Broker KAFKA-1.internal:9092 is gone",
                "Broker [upstream] is gone",
            ),
            ("1@broker:9093,2@broker:9094", "1@[upstream],2@[upstream]"),
            ("at broker:9092.", "at [upstream]."),
            ("at kafka-1.internal.:9092", "at [upstream]"),
            ("b.kafka-1.internal:1", "[upstream]"),
            ("10.0.0.1:9092 10.0.0.9:9092", "[upstream] [upstream]"),
            (
                "[::1]:9092, [fd00::5], [FD00:0:0:0:0:0:0:5]:1",
                "[upstream], [upstream], [upstream]",
            ),
            ("fd00::5 or fd00::5:9092", "[upstream] or [upstream]"),
            (
                "kafka-1.internal:9092 (id: 1 rack: null)",
                "[upstream] (id: 1 rack: null)",
            ),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn whatever_host_stands_in_a_uri_or_a_listener_is_replaced() {
        for (text, expected) in [
            (
                "PLAINTEXT://broker:9092,SSL://other:1",
                "PLAINTEXT://[upstream],SSL://[upstream]",
            ),
            ("PLAINTEXT://:9092", "PLAINTEXT://[upstream]"),
            ("CONTROLLER://[::]:9093]", "CONTROLLER://[upstream]]"),
            (
                "see https://me:pw@idp.example/token?x=1",
                "see https://[upstream]/token?x=1",
            ),
            ("(http://a). ", "(http://[upstream]). "),
            ("at http://a.b:80.", "at http://[upstream]."),
            ("file:///etc/kafka", "file:///etc/kafka"),
            ("x://... ", "x://... "),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn what_java_prints_of_an_address_is_replaced() {
        for (text, expected) in [
            ("broker/10.0.0.5:9092", "[upstream]"),
            (
                "to other.example/10.0.0.5:9092 failed",
                "to [upstream] failed",
            ),
            ("/10.0.0.5:9092 and /10.0.0.5", "[upstream] and [upstream]"),
            ("/0:0:0:0:0:0:0:1:9092", "[upstream]"),
            ("localhost/[0:0:0:0:0:0:0:1]:9092", "[upstream]"),
            ("other/<unresolved>:9092", "[upstream]"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn a_known_name_with_a_dot_is_replaced_wherever_it_stands() {
        for (text, expected) in [
            ("ask kafka-1.internal.", "ask [upstream]."),
            ("kafka-1.internal: gone", "[upstream]: gone"),
            ("kafka-1.internal/path", "[upstream]/path"),
            ("kafka-1.internal.example", "[upstream].example"),
            ("a.kafka-1.internal.broker:9092", "a.[upstream].[upstream]"),
            ("...broker:9092", "...[upstream]"),
            ("10.0.0.1", "[upstream]"),
            ("\u{201c}10.0.0.1\u{201d}", "\u{201c}[upstream]\u{201d}"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_behind_another_is_replaced() {
        for (text, expected) in [
            ("10.0.0.1:9092-10.0.0.2:9092", "[upstream]-[upstream]"),
            ("10.0.0.1:9092_10.0.0.2:9092", "[upstream]_[upstream]"),
            (
                "10.0.0.1-10.0.0.1_10.0.0.1",
                "[upstream]-[upstream]_[upstream]",
            ),
            ("x-10.0.0.9:9092", "x-[upstream]"),
            ("broker:9092-broker:9093", "[upstream]-[upstream]"),
            (
                "kafka-1.internal_kafka-1.internal:1",
                "kafka-1.internal_[upstream]",
            ),
            ("-kafka-1.internal", "-[upstream]"),
            (
                "x://a:1,b:2,[::9]:3,c",
                "x://[upstream],[upstream],[upstream],c",
            ),
            (
                "x://a:1,SSL://b:2,c:3",
                "x://[upstream],SSL://[upstream],[upstream]",
            ),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn whatever_host_kafka_prints_of_an_object_is_replaced() {
        for (text, expected) in [
            (
                "other:9092 (id: 1 rack: null)",
                "[upstream] (id: 1 rack: null)",
            ),
            (
                "at OTHER.example:9092 (id: 1 rack: a isFenced: false)",
                "at [upstream] (id: 1 rack: a isFenced: false)",
            ),
            (
                "fd00::9:9092 (id: 1 rack: null)",
                "[upstream] (id: 1 rack: null)",
            ),
            (
                "[fd00::9]:9092 (id: 1 rack: null)",
                "[upstream] (id: 1 rack: null)",
            ),
            (":-1 (id: -1 rack: null)", ":-1 (id: -1 rack: null)"),
            (
                "Endpoint(listenerName='A', securityProtocol=SSL, host='other', port=9092)",
                "Endpoint(listenerName='A', securityProtocol=SSL, host=[upstream])",
            ),
            (
                "(nodeId=1, host='other', port=9092)",
                "(nodeId=1, host=[upstream])",
            ),
            (
                "BrokerEndPoint(id=1, host=other:9092)",
                "BrokerEndPoint(id=1, host=[upstream])",
            ),
            (
                "EndPoint(other,9092,ListenerName(PLAINTEXT),PLAINTEXT)",
                "EndPoint([upstream],ListenerName(PLAINTEXT),PLAINTEXT)",
            ),
            ("EndPoint(fd00::9,9092,X)", "EndPoint([upstream],X)"),
            ("1@other:9093,20@[::9]:9094", "1@[upstream],20@[upstream]"),
            ("0@other:9093:dir", "0@[upstream]:dir"),
            (
                "(principal=User:a, host=*, operation=ALL)",
                "(principal=User:a, host=*, operation=ALL)",
            ),
            (
                "host=, port=, me@other: user1@other:1",
                "host=, port=, me@other: user1@other:1",
            ),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn prose_passes() {
        for text in [
            "only 1 broker(s) are registered",
            "broker,controller",
            "broker: 3",
            "broker:123456",
            "num.broker:1",
            "my-broker:9092",
            "org.apache.kafka.broker.Foo",
            "/opt/broker/data",
            "Broker.scala:123",
            "110.0.0.1 10.0.0.12 10.0.0.9",
            "my-kafka-1.internal kafka-1.internals",
            "::1 fd00::6 12:34:56",
            "offset:100",
            "kafka:3.9.0 broker:3.9.0",
            "confluent-kafka/7.5.0.0",
            "",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn a_text_that_is_no_utf_8_is_replaced_as_a_whole() {
        let known = known(HOSTS);
        assert_eq!(known.redacted(b"any\xff").unwrap(), REDACTED);
        assert_eq!(known.addresses_in(b"\xff").len(), 1);
    }

    fn steps(text: &str, hosts: &KnownHosts) -> usize {
        let before = work::taken();
        find(text.as_bytes(), hosts);
        usize::try_from(work::taken() - before).unwrap()
    }

    #[test]
    fn what_a_text_costs_grows_with_its_length_and_not_with_the_hosts() {
        let many: Vec<String> = (0..3000).map(|id| format!("a.b{id}.internal")).collect();
        let many = known(many.iter().map(String::as_str));
        let few = known(HOSTS);
        for piece in [
            "a",
            "a.",
            "a.b",
            "a.b1.internal.",
            "a:",
            ":",
            "::",
            "/",
            "://",
            "[",
            "[a",
            "a/",
            "a://",
            "://[",
            "/1.1.1.1",
            "[::1]:1",
            "broker:1",
            ".",
            "://a.",
            "1:1.",
            "<",
            "fd00::5",
            "10.0.0.1.",
            "10.0.0.1-",
            "a-",
            "a_",
            "a.b_",
            "://a:1,b:2",
            ",b:1",
            "1@",
            "1@a:1,",
            "a:1 (id: ",
            "1:1:1:1 (id: ",
            "host=",
            "host='",
            "host='a', port=1",
            "endpoint(",
        ] {
            // What follows a name says what it is.
            let text = |bytes: usize| piece.repeat(bytes / piece.len()) + "x:1";
            let (whole, half) = (text(4 * 1024), text(2 * 1024));
            for hosts in [&many, &few] {
                let (steps, half) = (steps(&whole, hosts), steps(&half, hosts));
                // The longest literal is looked for at each place, at most, and for each form.
                let bound = 5 * LITERAL_BYTES_MAX * whole.len();
                assert!(steps <= bound, "{piece}: {steps} steps");
                assert!(
                    steps <= 2 * half + 64 * LITERAL_BYTES_MAX,
                    "{piece}: {half} to {steps}"
                );
            }
            assert!(
                steps(&whole, &many) <= 2 * steps(&whole, &few) + whole.len(),
                "{piece}"
            );
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "broker",
            "kafka-1.internal",
            "b.",
            ".",
            ":",
            ":9092",
            "/",
            "//",
            "://",
            "[",
            "]",
            "10.0.0.1",
            "10.0.0.9",
            "fd00::5",
            "::1",
            "<unresolved>",
            "upstream",
            "[upstream]",
            "*",
            " ",
            "@",
            "x",
            "%eth0",
            ",",
            "-",
            "_",
            "1@",
            " (id: ",
            "host=",
            "host='",
            "', port=1",
            "EndPoint(",
            ",1,",
            "\u{e9}",
        ]);
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_was_hidden_holds_no_address(text in texts()) {
            let known = known(HOSTS);
            if let Some(out) = known.redacted(text.as_bytes()) {
                prop_assert!(!known.occurs_in(&out), "{}", String::from_utf8_lossy(&out));
            }
            let mut in_place = text.clone().into_bytes();
            for range in known.addresses_in(text.as_bytes()) {
                in_place[range].fill(OVERWRITTEN);
            }
            prop_assert!(!known.occurs_in(&in_place), "{}", String::from_utf8_lossy(&in_place));
        }

        #[test]
        fn ranges_are_in_their_order_and_apart(text in texts()) {
            let mut end = 0;
            for range in known(HOSTS).addresses_in(text.as_bytes()) {
                prop_assert!(end <= range.start && range.start < range.end);
                prop_assert!(text.is_char_boundary(range.start));
                prop_assert!(text.is_char_boundary(range.end));
                end = range.end;
            }
        }
    }
}
