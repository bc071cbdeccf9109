//! Address literals in a text, and how long they are.

use std::net::{IpAddr, Ipv6Addr};

use super::{Scan, is_of_name, without_trailing_dots};
use crate::rewrite::literal::literal;
use crate::work;

/// No address literal is longer, its zone included (`INET6_ADDRSTRLEN` and `IFNAMSIZ`).
pub(super) const LITERAL_BYTES_MAX: usize = 46 + 16;

/// No IPv4 literal is longer.
const V4_BYTES_MAX: usize = 15;

/// How many colons an IPv6 literal has at most, one before a port included.
const V6_COLONS_MAX: usize = 9;

/// How many it has at least, unless two of them stand side by side.
const V6_COLONS_MIN: usize = 7;

impl<'a> Scan<'a> {
    /// An IPv4 literal that no letter or digit follows.
    pub(super) fn v4_literal(&self, start: usize) -> Option<(IpAddr, usize)> {
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

    /// The end of a known IPv6 literal without brackets, and of the port behind it.
    pub(super) fn known_v6(&self, start: usize) -> Option<usize> {
        let hosts = self.hosts;
        self.v6_literal(start, |literal| hosts.has_literal(literal))
    }

    /// The end of the longest IPv6 literal that the text may mean here, of those that are wanted,
    /// and of the port behind it.
    pub(super) fn v6_literal(
        &self,
        start: usize,
        is_wanted: impl Fn(&IpAddr) -> bool,
    ) -> Option<usize> {
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

    pub(super) fn bracketed_literal(&self, start: usize) -> Option<(IpAddr, usize)> {
        if self.byte(start) != Some(b'[') {
            return None;
        }
        let end = self.closing_bracket(start)?;
        work::steps(end - start);
        let inside = std::str::from_utf8(self.text.get(start + 1..end - 1)?).ok()?;
        Some((literal(inside)?, end))
    }

    /// Behind the bracket that closes the one at `start`, if what they enclose could be a literal.
    pub(super) fn closing_bracket(&self, start: usize) -> Option<usize> {
        let window = self.window(start + 1);
        let of_literal = |byte: &&u8| is_of_name(**byte) || matches!(**byte, b':' | b'%');
        let inside = window.iter().take_while(of_literal).count();
        (window.get(inside) == Some(&b']')).then_some(start + 1 + inside + 1)
    }

    /// What a literal could take from here on.
    pub(super) fn window(&self, start: usize) -> &'a [u8] {
        let rest = self.rest(start);
        rest.get(..LITERAL_BYTES_MAX).unwrap_or(rest)
    }
}
