//! The search for what only doorkeeper may know in what goes to clients.
//!
//! Three forms of an address are looked for in the stream, however it is cut: a secret text, a
//! text `host:port` with a secret port, and what Kafka encodes a node as: a string, two or compact
//! length in front, and a secret port behind it in four bytes. The last two catch an address whose
//! host is none of the canaries, such as `127.0.0.1` or `localhost`.

use memchr::memmem::Finder;

/// What must never go to clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    pub(crate) texts: Vec<String>,
    /// With any host in front.
    pub(crate) ports: Vec<u16>,
}

/// RFC 1035: no name is longer.
const HOST_MAX: usize = 255;
/// How many bytes a pair may take in front of its port: the length and the host.
const BEFORE_PORT: usize = HOST_MAX + 2;

/// Secrets, ready to be searched for.
#[derive(Debug)]
pub(crate) struct Needles {
    all: Vec<Needle>,
    /// How many bytes of the stream must be there to decide on any of them.
    longest: usize,
}

#[derive(Debug)]
struct Needle {
    finder: Finder<'static>,
    kind: Kind,
    /// For the report.
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// `:port`, with a host in front and no further digit behind.
    PortText,
    /// The port in four bytes, with a host in front.
    PortBytes,
}

/// Searches a stream that comes in pieces, across their borders.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The end of what came before.
    tail: Vec<u8>,
    /// How many bytes of the stream lie before the tail.
    gone: u64,
    /// Up to which byte of the stream hits have been reported.
    reported: u64,
}

/// What was found, and where in the stream it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) needle: String,
    pub(crate) offset: u64,
}

impl Needles {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let texts = secrets.texts.iter().map(|text| Needle {
            finder: Finder::new(text.as_bytes()).into_owned(),
            kind: Kind::Text,
            name: text.clone(),
        });
        let ports = secrets.ports.iter().flat_map(|port| {
            [
                Needle {
                    finder: Finder::new(&format!(":{port}")).into_owned(),
                    kind: Kind::PortText,
                    name: format!("a host with :{port}"),
                },
                Needle {
                    finder: Finder::new(&u32::from(*port).to_be_bytes()).into_owned(),
                    kind: Kind::PortBytes,
                    name: format!("a host and port {port}"),
                },
            ]
        });
        let all: Vec<Needle> = texts.chain(ports).collect();
        let longest = all.iter().map(|it| it.finder.needle().len()).max();
        Self {
            all,
            longest: longest.unwrap_or(0) + BEFORE_PORT,
        }
    }
}

impl Needles {
    /// All that is in this.
    pub(crate) fn hits(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut search = Search::default();
        let mut hits = search.feed(self, bytes);
        hits.extend(search.end(self));
        hits
    }
}

impl Search {
    /// The next piece. A hit at the very end of it may depend on the next byte: it is reported with
    /// the piece that follows, or by [`Search::end`].
    pub(crate) fn feed(&mut self, needles: &Needles, bytes: &[u8]) -> Vec<Hit> {
        self.tail.extend_from_slice(bytes);
        // A text port at the very end may get another digit.
        let decided = self.tail.len().saturating_sub(1);
        let hits = self.search(needles, decided);
        let keep = self.tail.len().min(needles.longest);
        let gone = self.tail.len() - keep;
        self.tail.drain(..gone);
        self.gone += gone as u64;
        hits
    }

    /// What lies at the very end of the stream.
    pub(crate) fn end(&mut self, needles: &Needles) -> Vec<Hit> {
        self.search(needles, self.tail.len())
    }

    /// All hits that end at `decided` or before and have not been reported.
    fn search(&mut self, needles: &Needles, decided: usize) -> Vec<Hit> {
        let mut hits = Vec::new();
        for needle in &needles.all {
            let length = needle.finder.needle().len();
            for at in needle.finder.find_iter(&self.tail) {
                let end = at + length;
                let is_new = self.gone + end as u64 > self.reported;
                if end <= decided && is_new && is_address(needle.kind, &self.tail, at, end) {
                    hits.push(Hit {
                        needle: needle.name.clone(),
                        offset: self.gone + at as u64,
                    });
                }
            }
        }
        self.reported = self.reported.max(self.gone + decided as u64);
        hits
    }
}

fn is_address(kind: Kind, stream: &[u8], at: usize, end: usize) -> bool {
    let before = stream.get(..at).unwrap_or_default();
    match kind {
        Kind::Text => true,
        Kind::PortText => {
            let goes_on = stream.get(end).is_some_and(u8::is_ascii_digit);
            let host_ends = before
                .last()
                .is_some_and(|&it| is_host_byte(it) || it == b']');
            host_ends && !goes_on
        }
        Kind::PortBytes => ends_with_host(before),
    }
}

/// Whether the bytes end with a string of Kafka's that could be a host: each length that it could
/// have is compared with what stands in front of it.
fn ends_with_host(bytes: &[u8]) -> bool {
    let run = bytes.iter().rev().take(HOST_MAX);
    let longest = run
        .take_while(|&&it| is_host_byte(it) || it == b':')
        .count();
    (1..=longest).any(|length| {
        let front = bytes.get(..bytes.len() - length).unwrap_or_default();
        // A compact string has its length plus one in front, as a varint.
        let compact = length + 1;
        let is_compact = match front {
            [.., low, high] if compact >= 0x80 => {
                usize::from(*low) == (compact & 0x7f | 0x80) && usize::from(*high) == compact >> 7
            }
            [.., one] => usize::from(*one) == compact && compact < 0x80,
            [] => false,
        };
        let is_plain = matches!(front, [.., high, low]
            if usize::from(u16::from_be_bytes([*high, *low])) == length);
        is_compact || is_plain
    })
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[cfg(test)]
mod planted;

#[cfg(test)]
mod tests {
    use super::*;

    fn needles() -> Needles {
        Needles::new(&Secrets {
            texts: vec!["canary-1".to_owned(), "127.0.0.2".to_owned()],
            ports: vec![21_003, 9_093],
        })
    }

    fn search_cut(stream: &[u8], cuts: [usize; 2]) -> Vec<u64> {
        let needles = needles();
        let [first, second] = cuts;
        let mut search = Search::default();
        let mut hits = search.feed(&needles, &stream[..first]);
        hits.extend(search.feed(&needles, &stream[first..second]));
        hits.extend(search.feed(&needles, &stream[second..]));
        hits.extend(search.end(&needles));
        let mut offsets: Vec<u64> = hits.iter().map(|it| it.offset).collect();
        offsets.sort_unstable();
        offsets
    }

    #[track_caller]
    fn found(stream: &[u8], expected: &[u64]) {
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let offsets = search_cut(stream, [first, second]);
                assert_eq!(offsets, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_text_is_found_once_however_the_stream_is_cut() {
        found(b"..canary-1......127.0.0.2..canary-1", &[2, 16, 27]);
    }

    #[test]
    fn a_host_and_a_secret_port_in_a_text_are_found_at_the_end_too() {
        found(b"..localhost:21003, [::1]:21003", &[11, 24]);
        found(b"127.0.0.1:9093", &[9]);
    }

    #[test]
    fn a_port_behind_a_host_that_was_made_unreadable_is_still_found() {
        found(b"INTERNAL://[upstream]:21003", &[21]);
        found(b"INTERNAL://[upstream],CLIENT://[upstream]", &[]);
    }

    #[test]
    fn another_port_or_no_host_is_no_address() {
        found(b"localhost:210031 or :21003 or =:9093", &[]);
        found(b"localhost:2100", &[]);
    }

    #[test]
    fn an_encoded_pair_is_found_with_either_kind_of_length() {
        found(b"\0\x09localhost\0\0\x52\x0b..", &[11]);
        found(b"\x0alocalhost\0\0\x52\x0b", &[10]);
        found(b"\0\0\0\x01\x04::1\0\0\x23\x85", &[8]);
    }

    #[test]
    fn a_number_behind_anything_else_is_no_address() {
        found(b"\x07localhost\0\0\x52\x0b", &[]);
        found(b"\0\0\0\x02\0\0\x52\x0b", &[]);
        found(b"\x0alocalhost\0\0\x52\x0c", &[]);
    }

    #[test]
    fn the_longest_host_is_found_when_the_stream_comes_byte_by_byte() {
        let mut stream = vec![0x80, 0x02];
        stream.extend([b'a'; HOST_MAX]);
        stream.extend([0, 0, 0x52, 0x0b]);
        let needles = needles();
        let mut search = Search::default();
        let mut hits = Vec::new();
        for byte in &stream {
            hits.extend(search.feed(&needles, &[*byte]));
        }
        hits.extend(search.end(&needles));
        assert_eq!(hits.len(), 1, "{hits:?}");
        assert_eq!(hits[0].offset, 257);
    }
}
