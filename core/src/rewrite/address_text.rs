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

mod literals;
mod printed;

use std::net::IpAddr;
use std::ops::Range;

use crate::id::HOST_BYTES_MAX;
use crate::rewrite::known_hosts::KnownHosts;
use crate::rewrite::literal::literal;
use crate::work;

/// What stands in the place of an address.
pub(crate) const REDACTED: &[u8] = b"[upstream]";

/// What stands in each place of an address where a text must keep its length.
pub(crate) const OVERWRITTEN: u8 = b'*';

/// What Java prints in the place of an address that it could not look up.
const UNRESOLVED: &[u8] = b"<unresolved>";

/// Kafka writes and reads no longer string, compact or not.
const TEXT_BYTES_MAX: usize = i16::MAX as usize;

impl KnownHosts {
    /// Where addresses of the cluster stand in a text; all of it, if it is no UTF-8.
    #[must_use]
    pub fn addresses_in(&self, text: &[u8]) -> Vec<Range<usize>> {
        find(text, self)
    }

    /// Whether the text contains an address of the cluster.
    #[must_use]
    pub fn occurs_in(&self, text: &[u8]) -> bool {
        !self.addresses_in(text).is_empty()
    }

    /// The text with every address replaced, or nothing if it contains none.
    #[must_use]
    pub fn redacted(&self, text: &[u8]) -> Option<Vec<u8>> {
        let found = self.addresses_in(text);
        if found.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut done = 0;
        for range in found {
            out.extend_from_slice(text.get(done..range.start).unwrap_or_default());
            out.extend_from_slice(REDACTED);
            done = range.end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        if out.len() > TEXT_BYTES_MAX {
            return Some(REDACTED.to_vec());
        }
        Some(out)
    }
}

/// All addresses of the cluster in `text`, in their order; the whole of it if it is no UTF-8.
fn find(text: &[u8], hosts: &KnownHosts) -> Vec<Range<usize>> {
    let Ok(text) = std::str::from_utf8(text) else {
        // What cannot be read may contain anything.
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
mod tests;
