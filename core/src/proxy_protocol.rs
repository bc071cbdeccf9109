//! The PROXY protocol of load balancers, versions 1 and 2: what stands before the first byte of a
//! client says who the client is (haproxy's `doc/proxy-protocol.txt`; "section" means one of it).
//!
//! A reader takes from the connection what [`read`] says is missing, and so never a byte of the
//! client. Whether a peer may say this at all is no question of this module.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

/// How long the line of version 1 may be, its CRLF included (section 2.1).
const V1_BYTES_MAX: usize = 107;
/// How long a header of version 2 may be. Section 2.2 lets it be 65,551 bytes; no load balancer
/// has that much to say, and whoever sends it is waited for.
const V2_BYTES_MAX: usize = 4096;

const V1_BEGINS: &[u8] = b"PROXY ";
/// The shortest line of each protocol.
const V1_SHORTEST: [(&[u8], usize); 3] = [
    (b"UNKNOWN", b"PROXY UNKNOWN\r\n".len()),
    (b"TCP4 ", b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".len()),
    (b"TCP6 ", b"PROXY TCP6 :: :: 0 0\r\n".len()),
];

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of the rest.
const V2_FIXED_BYTES: usize = 16;
const V2_LOCAL: u8 = 0x20;
const V2_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// Two addresses and two ports.
const IPV4_BYTES: usize = 2 * 4 + 2 * 2;
const IPV6_BYTES: usize = 2 * 16 + 2 * 2;
/// Two paths.
const UNIX_BYTES: usize = 2 * 108;

/// Type and length of a field behind the addresses (TLV).
const TLV_FIXED_BYTES: usize = 3;
/// The field with the checksum of the whole header, in which it counts as zero (section 2.2.3).
const TLV_CRC32C: u8 = 0x03;
const CRC32C_BYTES: usize = 4;

/// What a header says of the connection behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It is forwarded for this client. IPv4 that is mapped into IPv6 is IPv4.
    Client {
        /// Where the client comes from.
        client: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// It names no client: the proxy speaks for itself (LOCAL, a health check), or the client does
    /// not come by TCP over IP as far as the proxy knows (UNKNOWN, UNSPEC, UDP, AF_UNIX).
    NoClient,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least so many bytes more belong to it.
    Lacks(usize),
    /// It is whole.
    Whole {
        /// What it says.
        header: Header,
        /// How long it is.
        bytes: usize,
    },
}

macro_rules! invalid {
    ($($(#[doc = $doc:literal])+ $invalid:ident = $name:literal,)+) => {
        /// Why what came is no header that is understood.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Invalid {
            $($(#[doc = $doc])+ $invalid,)+
        }

        impl Invalid {
            /// All of them, for tables.
            pub const ALL: &'static [Self] = &[$(Self::$invalid,)+];

            /// The name that logs and metric labels use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$invalid => $name,)+ }
            }
        }
    };
}

invalid! {
    /// What came is no header of either version.
    NoHeader = "proxy_header_missing",
    /// The line of version 1 does not end within 107 bytes.
    LineTooLong = "proxy_v1_too_long",
    /// The line of version 1 does not follow its grammar.
    Line = "proxy_v1_malformed",
    /// A header of version 2 with another version inside.
    Version = "proxy_v2_unknown_version",
    /// A command that is neither LOCAL nor PROXY.
    Command = "proxy_v2_unknown_command",
    /// An address family or a transport that version 2 does not have.
    Family = "proxy_v2_unknown_family",
    /// A header of version 2 of more than 4096 bytes.
    TooLong = "proxy_v2_too_long",
    /// A header of version 2 that is too short for its addresses.
    Addresses = "proxy_v2_short_addresses",
    /// A field behind the addresses (TLV) goes beyond the header, or has not the length of its
    /// type.
    Field = "proxy_v2_malformed_field",
    /// The checksum is another one.
    Checksum = "proxy_v2_wrong_checksum",
}

/// Reads the header that these bytes begin with. Whatever follows it is not looked at.
///
/// # Errors
/// [`Invalid`], as soon as no further bytes could make it a header.
pub fn read(bytes: &[u8]) -> Result<Progress, Invalid> {
    if bytes.is_empty() {
        let [(_, shortest), ..] = V1_SHORTEST;
        return Ok(Progress::Lacks(shortest));
    }
    if is_beginning(bytes, V2_SIGNATURE) {
        return read_v2(bytes);
    }
    if is_beginning(bytes, V1_BEGINS) {
        return read_v1(bytes);
    }
    Err(Invalid::NoHeader)
}

/// Whether these are the whole of it, or all that has come of it.
fn is_beginning(bytes: &[u8], of: &[u8]) -> bool {
    bytes
        .iter()
        .zip(of)
        .all(|(byte, expected)| byte == expected)
}

fn read_v1(bytes: &[u8]) -> Result<Progress, Invalid> {
    let lacks = |shortest: usize| {
        // A line that is as long as the shortest and has no end has two bytes more, or one.
        let rest = if bytes.ends_with(b"\r") { 1 } else { 2 };
        Ok(Progress::Lacks(
            shortest.saturating_sub(bytes.len()).max(rest),
        ))
    };
    let [(_, shortest_unknown), ..] = V1_SHORTEST;
    let Some(behind) = bytes.get(V1_BEGINS.len()..) else {
        return lacks(shortest_unknown);
    };
    let mut all = V1_SHORTEST.iter();
    let Some((protocol, shortest)) = all.find(|(protocol, _)| is_beginning(behind, protocol))
    else {
        return Err(Invalid::Line);
    };
    if behind.len() < protocol.len() {
        return lacks(shortest_unknown);
    }
    let within = bytes.get(..V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return match within.iter().position(|byte| *byte == b'\r') {
            Some(at) if at + 1 < within.len() => Err(Invalid::Line),
            Some(_) | None if within.len() < V1_BYTES_MAX => lacks(*shortest),
            Some(_) | None => Err(Invalid::LineTooLong),
        };
    };
    let line = within.get(V1_BEGINS.len()..end).unwrap_or_default();
    let line = line
        .strip_suffix(b"\r")
        .filter(|line| !line.contains(&b'\r'));
    let header = line.and_then(v1_header).ok_or(Invalid::Line)?;
    let bytes = end + 1;
    Ok(Progress::Whole { header, bytes })
}

/// What stands between `PROXY ` and the CRLF.
fn v1_header(line: &[u8]) -> Option<Header> {
    if let Some(rest) = line.strip_prefix(b"UNKNOWN") {
        // Section 2.1: whatever stands behind it is ignored.
        return (rest.is_empty() || rest.starts_with(b" ")).then_some(Header::NoClient);
    }
    let mut fields = str::from_utf8(line).ok()?.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match fields.next()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (client, destination) = (address(fields.next()?)?, address(fields.next()?)?);
    let (from, to) = (port(fields.next()?)?, port(fields.next()?)?);
    if fields.next().is_some() {
        return None;
    }
    Some(client_header((client, from), (destination, to)))
}

/// Digits alone, and no zero before others: `u16` would take a sign.
fn port(text: &str) -> Option<u16> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_canonical)
}

fn read_v2(bytes: &[u8]) -> Result<Progress, Invalid> {
    let version_and_command = bytes.get(V2_SIGNATURE.len()).copied();
    if let Some(byte) = version_and_command
        && byte >> 4 != V2_LOCAL >> 4
    {
        return Err(Invalid::Version);
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(Progress::Lacks(V2_FIXED_BYTES - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let names_client = match command {
        V2_LOCAL => false,
        V2_PROXY => true,
        _ => return Err(Invalid::Command),
    };
    if V2_FIXED_BYTES + length > V2_BYTES_MAX {
        return Err(Invalid::TooLong);
    }
    // The receiver discards the block of LOCAL with its family (section 2.2).
    let addresses = if names_client {
        address_bytes(family)?
    } else {
        None
    };
    if addresses.is_some_and(|addresses| length < addresses) {
        return Err(Invalid::Addresses);
    }
    let Some(block) = rest.get(..length) else {
        return Ok(Progress::Lacks(length - rest.len()));
    };
    let bytes = V2_FIXED_BYTES + length;
    let Some((addresses, fields)) = addresses.and_then(|at| block.split_at_checked(at)) else {
        let header = Header::NoClient;
        return Ok(Progress::Whole { header, bytes });
    };
    check_fields(fixed, addresses, fields)?;
    let header = v2_header(family, addresses).unwrap_or(Header::NoClient);
    Ok(Progress::Whole { header, bytes })
}

/// How long the addresses of a family and transport are; nothing where nobody knows.
const fn address_bytes(family: u8) -> Result<Option<usize>, Invalid> {
    let (family, transport) = (family >> 4, family & 0x0f);
    if transport > 2 {
        return Err(Invalid::Family);
    }
    match family {
        0 => Ok(None),
        1 => Ok(Some(IPV4_BYTES)),
        2 => Ok(Some(IPV6_BYTES)),
        3 => Ok(Some(UNIX_BYTES)),
        _ => Err(Invalid::Family),
    }
}

/// The client of TCP over IP, and of nothing else.
fn v2_header(family: u8, addresses: &[u8]) -> Option<Header> {
    let ports = |behind: &[u8]| -> Option<(u16, u16)> {
        let (from, rest) = behind.split_first_chunk()?;
        let to = rest.first_chunk()?;
        Some((u16::from_be_bytes(*from), u16::from_be_bytes(*to)))
    };
    let (client, destination, behind): (IpAddr, IpAddr, &[u8]) = match family {
        TCP_OVER_IPV4 => {
            let (client, rest) = addresses.split_first_chunk::<4>()?;
            let (destination, rest) = rest.split_first_chunk::<4>()?;
            ((*client).into(), (*destination).into(), rest)
        }
        TCP_OVER_IPV6 => {
            let (client, rest) = addresses.split_first_chunk::<16>()?;
            let (destination, rest) = rest.split_first_chunk::<16>()?;
            ((*client).into(), (*destination).into(), rest)
        }
        _ => return None,
    };
    let (from, to) = ports(behind)?;
    Some(client_header((client, from), (destination, to)))
}

/// An address of a dual-stack socket is the same client as the IPv4 address in it.
fn client_header(client: (IpAddr, u16), destination: (IpAddr, u16)) -> Header {
    let canonical = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
    Header::Client {
        client: canonical(client),
        destination: canonical(destination),
    }
}

/// Every field ends within the header, and the checksum holds if there is one.
fn check_fields(fixed: &[u8], addresses: &[u8], fields: &[u8]) -> Result<(), Invalid> {
    let mut rest = fields;
    let mut checksum = None;
    while !rest.is_empty() {
        let ([kind, high, low], behind) = rest
            .split_first_chunk::<TLV_FIXED_BYTES>()
            .ok_or(Invalid::Field)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = behind.split_at_checked(length).ok_or(Invalid::Field)?;
        if *kind == TLV_CRC32C {
            let value: [u8; CRC32C_BYTES] = value.try_into().map_err(|_| Invalid::Field)?;
            let before = fields.len() - behind.len();
            // Of two, neither could hold.
            if checksum
                .replace((before, u32::from_be_bytes(value)))
                .is_some()
            {
                return Err(Invalid::Field);
            }
        }
        rest = next;
    }
    let Some((before, claimed)) = checksum else {
        return Ok(());
    };
    let (before, behind) = fields.split_at_checked(before).ok_or(Invalid::Field)?;
    let behind = behind.get(CRC32C_BYTES..).unwrap_or_default();
    let parts = [fixed, addresses, before, &[0; CRC32C_BYTES], behind];
    let actual = parts
        .iter()
        .fold(0, |sum, part| crc32c::crc32c_append(sum, part));
    if actual == claimed {
        Ok(())
    } else {
        Err(Invalid::Checksum)
    }
}

impl Header {
    /// This header in version 2, with its checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (command, family, addresses) = match self {
            Self::NoClient => (V2_LOCAL, 0, Vec::new()),
            Self::Client {
                client,
                destination,
            } => {
                let (family, addresses) = encoded_addresses(*client, *destination);
                (V2_PROXY, family, addresses)
            }
        };
        let field = [TLV_CRC32C, 0, 4];
        let length = addresses.len() + field.len() + CRC32C_BYTES;
        // At most the addresses of IPv6 and one field.
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(length);
        header.extend(addresses);
        header.extend(field);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&header), &[0; CRC32C_BYTES]);
        header.extend(checksum.to_be_bytes());
        header
    }
}

/// Both in one family: of two different ones the IPv4 address is mapped into IPv6.
fn encoded_addresses(client: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let ports = [
        client.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    ];
    let mut encoded = Vec::with_capacity(IPV6_BYTES);
    let family = match (client.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(destination)) => {
            encoded.extend(client.octets());
            encoded.extend(destination.octets());
            TCP_OVER_IPV4
        }
        (client, destination) => {
            for address in [client, destination] {
                encoded.extend(match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                });
            }
            TCP_OVER_IPV6
        }
    };
    encoded.extend(ports.concat());
    (family, encoded)
}
