//! Headers of the PROXY protocol, byte by byte. The other parser is the crate `ppp`.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]
#![expect(clippy::indexing_slicing, reason = "tests may index")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the other parser some cases matter"
)]

use std::net::{IpAddr, SocketAddr};
use std::str;

use doorkeeper_core::proxy_protocol::{Header, Invalid, Progress, read};
use proptest::prelude::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xc8, 0x15, 0x23, 0x84];

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn v6(client: &str, destination: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let ports = [0xc8, 0x15, 0x23, 0x84];
    [&octets(client)[..], &octets(destination), &ports].concat()
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// The header with the checksum that belongs into its last four bytes.
fn summed(mut header: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&header).to_be_bytes();
    let at = header.len() - sum.len();
    header[at..].copy_from_slice(&sum);
    header
}

fn client(client: &str, destination: &str) -> Header {
    Header::Client {
        client: client.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// Reads as a driver does: what is lacking, and no byte more.
fn taken(bytes: &[u8]) -> Result<(Header, usize), Invalid> {
    let mut come = 0;
    loop {
        match read(&bytes[..come])? {
            Progress::Lacks(more) => {
                assert!(more > 0);
                come += more;
                assert!(come <= bytes.len(), "a byte of the client is taken");
            }
            Progress::Whole { header, bytes } => return Ok((header, bytes)),
        }
    }
}

fn valid_v1() -> Vec<(Vec<u8>, Header)> {
    let text = |line: &str| line.as_bytes().to_vec();
    let v4 = client("192.0.2.7:51221", "10.0.0.1:9092");
    let six = client("[2001:db8::7]:51221", "[2001:db8::1]:9092");
    vec![
        (text("PROXY TCP4 192.0.2.7 10.0.0.1 51221 9092\r\n"), v4),
        (
            text("PROXY TCP6 2001:DB8::7 2001:db8:0:0::1 51221 9092\r\n"),
            six,
        ),
        (
            text("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:10.0.0.1 51221 9092\r\n"),
            v4,
        ),
        (
            text("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"),
            client("0.0.0.0:0", "0.0.0.0:0"),
        ),
        (text("PROXY TCP6 :: :: 0 0\r\n"), client("[::]:0", "[::]:0")),
        (text("PROXY UNKNOWN\r\n"), Header::NoClient),
        (
            text("PROXY UNKNOWN 1.2.3.4 whatever \u{1}\r\n"),
            Header::NoClient,
        ),
        (
            text(&format!("PROXY UNKNOWN {}\r\n", "f".repeat(91))),
            Header::NoClient,
        ),
    ]
}

fn valid_v2() -> Vec<(Vec<u8>, Header)> {
    let v4 = client("192.0.2.7:51221", "10.0.0.1:9092");
    let six = client("[2001:db8::7]:51221", "[2001:db8::1]:9092");
    vec![
        (v2(0x21, 0x11, &V4), v4),
        (v2(0x21, 0x21, &v6("2001:db8::7", "2001:db8::1")), six),
        (
            v2(0x21, 0x21, &v6("::ffff:192.0.2.7", "::ffff:10.0.0.1")),
            v4,
        ),
        (v2(0x20, 0, &[]), Header::NoClient),
        // What a LOCAL says of addresses is never taken for a client's.
        (v2(0x20, 0x11, &V4), Header::NoClient),
        (v2(0x20, 0xff, &[1, 2]), Header::NoClient),
        (v2(0x21, 0x00, &[9; 40]), Header::NoClient),
        (v2(0x21, 0x01, &V4), Header::NoClient),
        // UDP, a transport that nobody knows, and AF_UNIX are no client of a TCP listener.
        (v2(0x21, 0x12, &V4), Header::NoClient),
        (v2(0x21, 0x10, &V4), Header::NoClient),
        (v2(0x21, 0x22, &v6("2001:db8::7", "::1")), Header::NoClient),
        (v2(0x21, 0x31, &[b'/'; 216]), Header::NoClient),
        (v2(0x21, 0x32, &[b'/'; 216]), Header::NoClient),
        (v2(0x21, 0x11, &[&V4[..], &field(4, &[])].concat()), v4),
        (
            v2(
                0x21,
                0x11,
                &[&V4[..], &field(2, b"kafka"), &field(0xea, &[7; 300])].concat(),
            ),
            v4,
        ),
        (
            summed(v2(
                0x21,
                0x11,
                &[&V4[..], &field(1, b"x"), &field(3, &[0; 4])].concat(),
            )),
            v4,
        ),
        (
            v2(
                0x21,
                0x11,
                &[&V4[..], &field(4, &[0; 4096 - 16 - 12 - 3])].concat(),
            ),
            v4,
        ),
    ]
}

fn valid() -> Vec<(Vec<u8>, Header)> {
    [valid_v1(), valid_v2()].concat()
}

#[test]
fn a_header_says_what_it_says_in_pieces_and_with_anything_behind_it() {
    for (bytes, expected) in valid() {
        let glued = [&bytes[..], b"\x16\x03\x01 and more"].concat();
        let said = Ok((expected, bytes.len()));
        assert_eq!(taken(&glued), said, "{:?}", String::from_utf8_lossy(&bytes));
        let whole = Progress::Whole {
            header: expected,
            bytes: bytes.len(),
        };
        assert_eq!(read(&glued), Ok(whole));
        for cut in 0..bytes.len() {
            let begun = read(&bytes[..cut]);
            let Ok(Progress::Lacks(more)) = begun else {
                panic!("{cut} bytes: {begun:?}")
            };
            assert!((1..=bytes.len() - cut).contains(&more), "{cut} bytes");
        }
    }
}

fn invalid_v1() -> Vec<(Vec<u8>, Invalid)> {
    let text = |line: &str| line.as_bytes().to_vec();
    vec![
        (text("\0\0\0\x0c"), Invalid::NoHeader),
        (text("PROXX TCP4"), Invalid::NoHeader),
        (text("GET / HTTP/1.1\r\n"), Invalid::NoHeader),
        (text("\x16\x03\x01\x02\0\x01"), Invalid::NoHeader),
        (
            text("proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n"),
            Invalid::NoHeader,
        ),
        (text("\r\n\r\n\0\r\nQUIX"), Invalid::NoHeader),
        (text("PROXY UDP4 "), Invalid::Line),
        (text("PROXY TCP5 "), Invalid::Line),
        (text("PROXY unknown\r\n"), Invalid::Line),
        (text("PROXY UNKNOWNX\r\n"), Invalid::Line),
        (text("PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n"), Invalid::Line),
        (
            text("PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n"),
            Invalid::Line,
        ),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1 +80\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 -1 80\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 01 80\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 ::1 ::1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP6 1::2::3 ::1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 host 1.1.1.1 1 1\r\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rx\n"), Invalid::Line),
        (text("PROXY TCP4 1.1.1.1\r1.1.1.1 1 1"), Invalid::Line),
        (text("PROXY UNKNOWN \r \r\n"), Invalid::Line),
        (b"PROXY UNKNOWN\xff\r\n".to_vec(), Invalid::Line),
        (
            text(&format!("PROXY UNKNOWN {}", "f".repeat(93))),
            Invalid::LineTooLong,
        ),
        (
            text(&format!("PROXY UNKNOWN {}\r\n", "f".repeat(92))),
            Invalid::LineTooLong,
        ),
    ]
}

fn invalid_v2() -> Vec<(Vec<u8>, Invalid)> {
    let with = |fields: &[u8]| v2(0x21, 0x11, &[&V4[..], fields].concat());
    let summed_field = field(3, &[0; 4]);
    let mut wrong = summed(with(&summed_field));
    wrong[16] ^= 1;
    let mut short = v2(0x21, 0x21, &V4);
    short.extend([0; 24]);
    let mut other_version = v2(0x21, 0x11, &V4);
    other_version[12] = 0x11;
    vec![
        (other_version, Invalid::Version),
        (v2(0x22, 0x11, &V4), Invalid::Command),
        (v2(0x2f, 0x11, &V4), Invalid::Command),
        (v2(0x21, 0x41, &V4), Invalid::Family),
        (v2(0x21, 0xf1, &V4), Invalid::Family),
        (v2(0x21, 0x13, &V4), Invalid::Family),
        (v2(0x21, 0x11, &V4[..11]), Invalid::Addresses),
        (short, Invalid::Addresses),
        (v2(0x21, 0x31, &[0; 215]), Invalid::Addresses),
        (v2(0x21, 0x11, &[0; 4081]), Invalid::TooLong),
        (v2(0x20, 0, &[0; 4081]), Invalid::TooLong),
        (with(&[4]), Invalid::Field),
        (with(&[4, 0]), Invalid::Field),
        (with(&[4, 0, 1]), Invalid::Field),
        (with(&[4, 0xff, 0xff, 1]), Invalid::Field),
        (with(&field(3, &[0; 3])), Invalid::Field),
        (with(&field(3, &[0; 5])), Invalid::Field),
        (
            with(&[&summed_field[..], &summed_field].concat()),
            Invalid::Field,
        ),
        (with(&summed_field), Invalid::Checksum),
        (wrong, Invalid::Checksum),
    ]
}

#[test]
fn what_breaks_a_rule_has_its_reason() {
    for (bytes, why) in [invalid_v1(), invalid_v2()].concat() {
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(read(&bytes), Err(why), "{shown:?}");
        // It never was a header, however little of it had come, and it is found at its end at last.
        for cut in 0..bytes.len() {
            let begun = read(&bytes[..cut]);
            let is_whole = matches!(begun, Ok(Progress::Whole { .. }));
            assert!(!is_whole, "{shown:?}, {cut} bytes");
        }
    }
}

/// What a v2 header of more than 4096 bytes claims costs nobody anything.
#[test]
fn a_header_that_is_too_long_is_found_by_its_first_bytes() {
    let bytes = v2(0x21, 0x11, &[0; 60_000]);
    assert_eq!(read(&bytes[..16]), Err(Invalid::TooLong));
}

#[test]
fn what_is_written_can_be_read() {
    for header in [
        client("192.0.2.7:51221", "10.0.0.1:9092"),
        client("[2001:db8::7]:51221", "[2001:db8::1]:9092"),
        client("192.0.2.7:51221", "[2001:db8::1]:9092"),
        Header::NoClient,
    ] {
        let encoded = header.encode();
        assert_eq!(taken(&encoded), Ok((header, encoded.len())));
        // Whoever looks at the block of LOCAL as well finds a checksum that holds.
        let sum = &encoded[encoded.len() - 4..];
        let mut zeroed = encoded.clone();
        let at = zeroed.len() - 4;
        zeroed[at..].fill(0);
        assert_eq!(sum, crc32c::crc32c(&zeroed).to_be_bytes());
    }
}

/// What haproxy sends is read, and is what we send for the same connection.
#[test]
fn headers_of_haproxy_are_read_and_written() {
    let text = include_str!("../../testdata/proxy_protocol/haproxy.txt");
    let (mut read, mut written) = (0, 0);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [options, hex, says] = columns[..] else {
            panic!("{line}")
        };
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = hex.as_bytes().chunks(2).map(byte).collect();
        let expected = match says.split_once(' ') {
            Some((from, to)) => client(from, to),
            None => Header::NoClient,
        };
        let glued = [&bytes[..], b"KAFKA"].concat();
        assert_eq!(taken(&glued), Ok((expected, bytes.len())), "{line}");
        read += 1;
        if options.ends_with("crc32c") && !options.contains("unique-id") || says == "LOCAL" {
            assert_eq!(expected.encode(), bytes, "{line}");
            written += 1;
        }
    }
    assert_eq!((read, written), (9, 3));
}

/// The answer of the other parser in our words, where it knows as much.
fn by_ppp(bytes: &[u8]) -> Option<(Option<(SocketAddr, SocketAddr)>, usize)> {
    let ends = |client: IpAddr, from, destination: IpAddr, to| {
        let canonical = |at: IpAddr, port| SocketAddr::new(at.to_canonical(), port);
        (canonical(client, from), canonical(destination, to))
    };
    match ppp::HeaderResult::parse(bytes) {
        ppp::HeaderResult::V1(Ok(header)) => {
            let ends = match header.addresses {
                ppp::v1::Addresses::Tcp4(it) => Some(ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                )),
                ppp::v1::Addresses::Tcp6(it) => Some(ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                )),
                ppp::v1::Addresses::Unknown => None,
            };
            Some((ends, header.header.len()))
        }
        ppp::HeaderResult::V2(Ok(header)) => {
            let is_tcp = header.command == ppp::v2::Command::Proxy
                && header.protocol == ppp::v2::Protocol::Stream;
            let ends = match header.addresses {
                ppp::v2::Addresses::IPv4(it) if is_tcp => Some(ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                )),
                ppp::v2::Addresses::IPv6(it) if is_tcp => Some(ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                )),
                _ => None,
            };
            Some((ends, header.len()))
        }
        _ => None,
    }
}

/// Bytes like those of a header, with a few changes.
fn almost_a_header() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = valid().into_iter().map(|(bytes, _)| bytes).collect();
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 0..3);
    (prop::sample::select(all), changes).prop_map(|(mut bytes, changes)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    /// Whatever names a client to us names the same one to another parser. That takes more for
    /// headers than we do, and less behind `UNKNOWN`, so that nothing follows from the rest.
    #[test]
    fn another_parser_reads_the_same(bytes in almost_a_header()) {
        let theirs = by_ppp(&bytes);
        if let Ok(Progress::Whole { header, bytes }) = read(&bytes) {
            match header {
                Header::NoClient => prop_assert!(theirs.is_none_or(|it| it == (None, bytes))),
                Header::Client { client, destination } => {
                    prop_assert_eq!(theirs, Some((Some((client, destination)), bytes)));
                }
            }
        }
    }

    /// More bytes change nothing of what was said, and never fewer than were lacking make it whole.
    #[test]
    fn bytes_are_lacking_until_they_are_there(bytes in almost_a_header()) {
        let mut lacking = 0;
        let mut said = None;
        for come in 0..=bytes.len() {
            let now = read(&bytes[..come]);
            match now {
                Ok(Progress::Lacks(more)) => {
                    prop_assert!(said.is_none());
                    lacking = lacking.max(come + more);
                }
                Ok(Progress::Whole { bytes: length, .. }) => {
                    prop_assert!(come >= lacking);
                    prop_assert!(length <= come);
                    prop_assert!(said.is_none_or(|said| said == now));
                    said = Some(now);
                }
                Err(_) => {
                    prop_assert!(said.is_none_or(|said| said == now));
                    said = Some(now);
                }
            }
        }
    }
}
