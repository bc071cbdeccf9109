//! Headers of the PROXY protocol: read in pieces as whole, no byte too many, and as a reader that
//! follows the text of the specification and has all the time in the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use doorkeeper_core::proxy_protocol::{Header, Invalid, Progress, read};

/// Input: the first bytes of a connection.
pub fn proxy_protocol(data: &[u8]) {
    let (taken, in_pieces) = take_header(data);
    let whole = read(data);
    match in_pieces {
        Some(Ok(header)) => {
            let bytes = taken;
            assert_eq!(whole, Ok(Progress::Whole { header, bytes }));
            let encoded = header.encode();
            let (bytes, again) = take_header(&encoded);
            assert_eq!((bytes, again), (encoded.len(), Some(Ok(header))));
        }
        // It may have been found earlier than by whoever looks at all bytes at once, never later.
        Some(Err(_)) => assert!(whole.is_err(), "in pieces it is invalid"),
        None => assert!(!matches!(whole, Ok(Progress::Whole { .. })), "it is whole"),
    }
    let ours = match whole {
        Ok(Progress::Whole { header, bytes }) => Some((header, bytes)),
        Ok(Progress::Lacks(_)) | Err(_) => None,
    };
    assert_eq!(ours, slow(data), "the other reader disagrees");
}

/// Reads a header as a driver does: never more than what is lacking. How many bytes that took, and
/// nothing if the header does not end.
pub(super) fn take_header(data: &[u8]) -> (usize, Option<Result<Header, Invalid>>) {
    let mut come = 0;
    loop {
        let Some(so_far) = data.get(..come) else {
            return (data.len(), None);
        };
        match read(so_far) {
            Err(invalid) => return (come, Some(Err(invalid))),
            Ok(Progress::Whole { header, bytes }) => {
                assert_eq!(bytes, come, "a byte of the client was taken");
                return (come, Some(Ok(header)));
            }
            Ok(Progress::Lacks(more)) => {
                assert!(more > 0, "lacks nothing and is not whole");
                come += more;
            }
        }
    }
}

/// A whole header and its length, by the letter of `proxy-protocol.txt`.
fn slow(data: &[u8]) -> Option<(Header, usize)> {
    if data.starts_with(b"PROXY ") {
        return slow_v1(data);
    }
    slow_v2(data)
}

fn slow_v1(data: &[u8]) -> Option<(Header, usize)> {
    let ends = (0..data.len().min(107)).find(|at| data.get(*at..at + 2) == Some(b"\r\n"))?;
    if ends + 2 > 107 {
        return None;
    }
    let line = data.get(..ends)?;
    if line.iter().any(|byte| *byte == b'\r' || *byte == b'\n') {
        return None;
    }
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    if words.get(1) == Some(&&b"UNKNOWN"[..]) {
        return Some((Header::NoClient, ends + 2));
    }
    let [_, protocol, client, destination, from, to] = words[..] else {
        return None;
    };
    let text = |word| std::str::from_utf8(word).ok();
    let address = |word| -> Option<IpAddr> {
        match protocol {
            b"TCP4" => Some(text(word)?.parse::<Ipv4Addr>().ok()?.into()),
            b"TCP6" => Some(text(word)?.parse::<Ipv6Addr>().ok()?.into()),
            _ => None,
        }
    };
    let port = |word| -> Option<u16> {
        let port: u16 = text(word)?.parse().ok()?;
        (port.to_string().as_bytes() == word).then_some(port)
    };
    let end = |at, number| Some(SocketAddr::new(address(at)?.to_canonical(), port(number)?));
    let (client, destination) = (end(client, from)?, end(destination, to)?);
    let header = Header::Client {
        client,
        destination,
    };
    Some((header, ends + 2))
}

fn slow_v2(data: &[u8]) -> Option<(Header, usize)> {
    let byte = |at: usize| data.get(at).copied();
    if data.get(..12)? != b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A" {
        return None;
    }
    let length = 16 + usize::from(byte(14)?) * 256 + usize::from(byte(15)?);
    let header = data.get(..length).filter(|_| length <= 4096)?;
    match byte(12)? {
        0x20 => return Some((Header::NoClient, length)),
        0x21 => {}
        _ => return None,
    }
    let (family, transport) = (byte(13)? / 16, byte(13)? % 16);
    let address_bytes = match (family, transport) {
        (0, 0..=2) => return Some((Header::NoClient, length)),
        (1, 0..=2) => 4,
        (2, 0..=2) => 16,
        (3, 0..=2) => 108,
        _ => return None,
    };
    let port_bytes = if family == 3 { 0 } else { 2 };
    let mut at = 16 + 2 * (address_bytes + port_bytes);
    header.get(..at)?;
    let mut sums = Vec::new();
    while at < length {
        let value_bytes = usize::from(*header.get(at + 1)?) * 256;
        let value_bytes = value_bytes + usize::from(*header.get(at + 2)?);
        let next = at + 3 + value_bytes;
        header.get(..next)?;
        if byte(at)? == 3 {
            sums.push((at + 3, value_bytes));
        }
        at = next;
    }
    match sums[..] {
        [] => {}
        [(at, 4)] => {
            let claimed = header.get(at..at + 4)?;
            let zeroed = (0..length).map(|place| match place.checked_sub(at) {
                Some(0..4) => 0,
                Some(_) | None => header.get(place).copied().unwrap_or_default(),
            });
            if claimed != slow_crc32c(zeroed).to_be_bytes() {
                return None;
            }
        }
        _ => return None,
    }
    let end = |place: usize, port_at: usize| -> Option<SocketAddr> {
        let octets = header.get(16 + place * address_bytes..16 + (place + 1) * address_bytes)?;
        let address = match family {
            1 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
            _ => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
        };
        let port = u16::from(byte(port_at)?) * 256 + u16::from(byte(port_at + 1)?);
        Some(SocketAddr::new(address.to_canonical(), port))
    };
    if family == 3 || transport != 1 {
        return Some((Header::NoClient, length));
    }
    let ports_at = 16 + 2 * address_bytes;
    let (client, destination) = (end(0, ports_at)?, end(1, ports_at + 2)?);
    let header = Header::Client {
        client,
        destination,
    };
    Some((header, length))
}

/// RFC 4960, appendix B, a bit at a time.
fn slow_crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let sum = bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 0 {
                sum >> 1
            } else {
                (sum >> 1) ^ 0x82f6_3b78
            }
        })
    });
    !sum
}
