//! Where addresses of the cluster stand in a text.
//!
//! An address is, whatever else stands in the text:
//!
//! - a known host, or any address literal, with a port: `broker:9092`, `[::1]:9092`;
//! - whatever host and port stand behind `://`: `PLAINTEXT://broker:9092`;
//! - what Java prints for an `InetAddress` or an `InetSocketAddress`: `broker/10.0.0.5:9092`,
//!   `/10.0.0.5`, `broker/<unresolved>:9092`;
//! - a known name with a dot in it, or a known literal, also without a port.
//!
//! A known host of one label is a word like any other (`broker`, `kafka`) wherever it stands
//! without a port, and passes.
//!
//! The text is read once. Each name in it is looked up in an index, so that what a text costs grows
//! with its length, and with the number of hosts only as a binary search does.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use crate::rewrite::KnownHosts;

/// What stands in the place of an address.
pub(crate) const REDACTED: &[u8] = b"[upstream]";

/// What stands in each place of an address where a text must keep its length.
pub(crate) const OVERWRITTEN: u8 = b'*';

/// No address literal is longer, its zone included (`INET6_ADDRSTRLEN` and `IFNAMSIZ`).
const LITERAL_BYTES_MAX: usize = 46 + 16;

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
        #[cfg(test)]
        steps: 0,
    };
    scan.run();
    scan.found
}

struct Scan<'a> {
    /// In lower case.
    text: &'a [u8],
    hosts: &'a KnownHosts,
    found: Vec<Range<usize>>,
    /// Where host and port behind the last `://` end.
    authority_end: Option<usize>,
    /// Bytes looked at, and look-ups.
    #[cfg(test)]
    steps: usize,
}

impl<'a> Scan<'a> {
    fn run(&mut self) {
        let mut at = 0;
        while let Some(byte) = self.byte(at) {
            self.count(1);
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
        let mut end = start;
        while let Some(byte) = self.byte(end) {
            end = match byte {
                b'[' if let Some(behind) = self.closing_bracket(end) => behind,
                byte if ends_authority(byte) => break,
                _ => end + 1,
            };
        }
        self.count(end - start);
        let authority = self.text.get(start..end).unwrap_or_default();
        let trailing = authority.iter().rev();
        let trailing = trailing.take_while(|byte| matches!(byte, b'.' | b':' | b'!'));
        let trailing = trailing.count();
        let authority = self.text.get(start..end - trailing).unwrap_or_default();
        let is_hidden = authority == REDACTED || authority.iter().all(|it| *it == OVERWRITTEN);
        // `file:///etc` has none.
        if !is_hidden {
            self.found.push(start..start + authority.len());
        }
        self.authority_end = Some(end);
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
    fn known_v6(&mut self, start: usize) -> Option<usize> {
        let hosts = self.hosts;
        self.v6_literal(start, |literal| hosts.has_literal(literal))
    }

    /// Names and literals in letters, digits, dots, `-` and `_`; where the search goes on.
    fn name(&mut self, start: usize) -> usize {
        let rest = self.rest(start);
        let len = rest.iter().position(|byte| !is_of_name(*byte));
        let end = start + len.unwrap_or(rest.len());
        self.count(end - start);
        let trimmed =
            start + without_trailing_dots(self.text.get(start..end).unwrap_or_default()).len();
        let (mut at, mut is_whole) = (start, true);
        loop {
            let dots = self.text.get(at..end).unwrap_or_default();
            at += dots.iter().take_while(|byte| **byte == b'.').count();
            let Some(part) = self.text.get(at..end).filter(|part| !part.is_empty()) else {
                return end;
            };
            if is_whole && let Some(end) = self.whole_name(at..trimmed, end) {
                return self.hide(at..end);
            }
            self.count(1);
            if let Some(len) = self.hosts.dotted_prefix(part) {
                let is_to_the_end = at + len == trimmed;
                let port = is_to_the_end.then(|| self.port(end)).flatten();
                at = self.hide(at..port.unwrap_or(at + len));
                if port.is_some() {
                    return at;
                }
                is_whole = true;
            } else {
                let label = part.iter().position(|byte| *byte == b'.');
                at += label.unwrap_or(part.len());
                is_whole = false;
            }
        }
    }

    /// The end of an address that has this name as its host, by what follows the name and its dots.
    fn whole_name(&mut self, name: Range<usize>, end: usize) -> Option<usize> {
        match self.byte(end)? {
            b'/' => self.java_suffix(end),
            b':' => {
                let start = name.start;
                let name = self.text.get(name)?;
                self.count(1);
                let is_host = || {
                    let literal = std::str::from_utf8(name).ok().and_then(literal);
                    self.hosts.has_name(name) || literal.is_some()
                };
                let port = self.port(end).filter(|_| is_host());
                port.or_else(|| self.known_v6(start))
            }
            _ => None,
        }
    }

    /// The end of `/10.0.0.5:9092`, `/10.0.0.5` or `/<unresolved>:9092`.
    fn java_suffix(&mut self, slash: usize) -> Option<usize> {
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
        literal(std::str::from_utf8(v4).ok()?)?;
        let end = start + v4.len();
        Some(self.port(end).unwrap_or(end))
    }

    /// The end of the longest IPv6 literal that the text may mean here, of those that are wanted,
    /// and of the port behind it.
    fn v6_literal(&mut self, start: usize, is_wanted: impl Fn(&IpAddr) -> bool) -> Option<usize> {
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
        self.count(len);
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

    fn bracketed_literal(&mut self, start: usize) -> Option<(IpAddr, usize)> {
        if self.byte(start) != Some(b'[') {
            return None;
        }
        let end = self.closing_bracket(start)?;
        self.count(end - start);
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
        let count = digits.iter().take(6).take_while(|it| it.is_ascii_digit());
        let count = count.count();
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_port = (1..=5).contains(&count) && !digits.get(count).is_some_and(goes_on);
        is_port.then_some(at + 1 + count)
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

    fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    #[cfg(test)]
    fn count(&mut self, steps: usize) {
        self.steps += steps;
    }

    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "only tests count"
    )]
    const fn count(&mut self, _steps: usize) {}
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
        let mut scan = Scan {
            text: text.as_bytes(),
            hosts,
            found: Vec::new(),
            authority_end: None,
            steps: 0,
        };
        scan.run();
        scan.steps
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
        ] {
            let text = piece.repeat(4 * 1024 / piece.len());
            for hosts in [&many, &few] {
                let steps = steps(&text, hosts);
                // The longest literal is looked for at each place, at most, and for each form.
                let bound = 5 * LITERAL_BYTES_MAX * text.len();
                assert!(steps <= bound, "{piece}: {steps} steps");
                let half = self::steps(text.get(..text.len() / 2).unwrap(), hosts);
                assert!(
                    steps <= 2 * half + 64 * LITERAL_BYTES_MAX,
                    "{piece}: {half} to {steps}"
                );
            }
            assert!(
                steps(&text, &many) <= 2 * steps(&text, &few) + text.len(),
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
