//! Names that only doorkeeper may know, and the search for them in what goes to clients.

use memchr::memmem;

use crate::ports;

/// The names of one cluster: all hold the same token, so one search finds them all.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    token: String,
}

impl Canary {
    pub(crate) fn new() -> Self {
        Self {
            token: format!("canary-{:016x}", ports::random()),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// What a broker advertises to clients.
    pub(crate) fn client_host(&self, id: u16) -> String {
        self.host("kafka", id)
    }

    /// What a broker advertises to other brokers.
    pub(crate) fn broker_host(&self, id: u16) -> String {
        self.host("broker", id)
    }

    /// What a controller is called.
    pub(crate) fn controller_host(&self, id: u16) -> String {
        self.host("controller", id)
    }

    // RFC 6761: `.invalid` is never resolved.
    fn host(&self, role: &str, id: u16) -> String {
        format!("{role}-{id}.{}.invalid", self.token)
    }
}

/// Bytes that must not be seen, and what to call them in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needle {
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
}

impl Needle {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let label = text.into();
        let bytes = label.clone().into_bytes();
        Self { label, bytes }
    }

    /// An address in every form that Kafka's messages give it: as one text, and as a host with
    /// its port behind it in four or in two bytes.
    pub(crate) fn address(host: &str, port: u16) -> [Self; 3] {
        let binary = |form: &str, encoded: &[u8]| Self {
            label: format!("{host}:{port} ({form})"),
            bytes: [host.as_bytes(), encoded].concat(),
        };
        [
            Self::text(format!("{host}:{port}")),
            binary("int32", &u32::from(port).to_be_bytes()),
            binary("uint16", &port.to_be_bytes()),
        ]
    }
}

/// Searches a stream that comes in pieces, across their borders.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The end of what came before, shorter than the longest needle.
    tail: Vec<u8>,
    /// How many bytes came before.
    seen: u64,
}

/// A needle and where in the stream it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) needle: String,
    pub(crate) offset: u64,
}

impl Search {
    pub(crate) fn feed(&mut self, needles: &[Needle], bytes: &[u8]) -> Vec<Hit> {
        let before = self.tail.len();
        let mut joined = std::mem::take(&mut self.tail);
        joined.extend_from_slice(bytes);
        let start = self.seen - before as u64;
        let mut hits = Vec::new();
        for needle in needles {
            for at in memmem::find_iter(&joined, &needle.bytes) {
                // One that lies in the tail alone was found the time before.
                if at + needle.bytes.len() > before {
                    hits.push(Hit {
                        needle: needle.label.clone(),
                        offset: start + at as u64,
                    });
                }
            }
        }
        self.seen += bytes.len() as u64;
        let longest = needles.iter().map(|it| it.bytes.len()).max().unwrap_or(0);
        let keep = joined.len().min(longest.saturating_sub(1));
        self.tail = joined.split_off(joined.len() - keep);
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_once_however_the_stream_is_cut() {
        let needles = ["needle", "127.0.0.1:1"].map(Needle::text);
        let stream = b"..needle......127.0.0.1:1..needle";
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut search = Search::default();
                let mut hits = search.feed(&needles, &stream[..first]);
                hits.extend(search.feed(&needles, &stream[first..second]));
                hits.extend(search.feed(&needles, &stream[second..]));
                let mut offsets: Vec<u64> = hits.iter().map(|it| it.offset).collect();
                offsets.sort_unstable();
                assert_eq!(offsets, [2, 14, 27], "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_address_is_found_in_every_form() {
        let needles = Needle::address("127.0.0.1", 0x4e21);
        for form in [
            b"(127.0.0.1:20001)".as_slice(),
            b"\x00\x09127.0.0.1\x00\x00\x4e\x21",
            b"\x0a127.0.0.1\x4e\x21",
        ] {
            assert_eq!(Search::default().feed(&needles, form).len(), 1, "{form:?}");
        }
        let another = b"127.0.0.1\x00\x00\x4e\x22 127.0.0.1:20002";
        assert_eq!(Search::default().feed(&needles, another), []);
    }

    #[test]
    fn every_name_of_a_cluster_holds_its_token() {
        let canary = Canary::new();
        for host in [
            canary.client_host(1),
            canary.broker_host(2),
            canary.controller_host(3),
        ] {
            assert!(host.contains(canary.token()));
        }
    }
}
