//! The leaves of the configuration: texts with a format, each a type that cannot hold a bad one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use doorkeeper_core::id::{BrokerId, HostPort};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest list of broker ids that one listener may have a port for.
const BROKER_IDS_MAX: usize = 10_000;

/// A text of the configuration with a format of its own.
pub(super) trait Leaf: Sized + fmt::Display {
    /// The `x-format` of its schema, by which the shape check finds [`Leaf::read`]. No `format`:
    /// JSON Schema gives that word meanings of its own, ISO 8601 for a duration.
    const FORMAT: &'static str;
    /// What editors can check a text against, where a pattern can express it.
    const PATTERN: Option<&'static str> = None;
    /// What is expected, with an example, for errors and for the reference.
    const EXPECTED: &'static str;

    /// Reads the text, or says what is wrong with it.
    fn read(text: &str) -> Result<Self, String>;
}

/// How the shape check checks a text against one format.
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    pub(super) check: fn(&str) -> Result<(), String>,
    /// A number that orders the values of the format, where it has limits.
    pub(super) measure: fn(&str) -> Option<u128>,
}

/// Every format that a leaf has.
pub(super) const FORMATS: &[Format] = &[
    format_of::<Time>(|text| Time::read(text).ok().map(|it| it.0.as_nanos())),
    format_of::<Size>(|text| Size::read(text).ok().map(|it| it.0.into())),
    format_of::<Address>(|_| None),
    format_of::<BindHost>(|_| None),
    format_of::<Network>(|_| None),
    format_of::<BindAddress>(|_| None),
    format_of::<BrokerIds>(|_| None),
    format_of::<RouteTarget>(|_| None),
];

const fn format_of<L: Leaf>(measure: fn(&str) -> Option<u128>) -> Format {
    Format {
        name: L::FORMAT,
        expected: L::EXPECTED,
        check: |text| L::read(text).map(|_| ()),
        measure,
    }
}

/// A time with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Leaf for Time {
    const FORMAT: &'static str = "duration";
    const PATTERN: Option<&'static str> = Some(r"^([0-9]+ ?[A-Za-z]+ ?)+$|\$\{");
    const EXPECTED: &'static str = "a time with a unit, like 10s, 500ms or 5m";

    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| not(text, Self::EXPECTED))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Leaf for Size {
    const FORMAT: &'static str = "size";
    const PATTERN: Option<&'static str> = Some(r"^[0-9.]+ ?([KMGTP]i?)?B$|\$\{");
    const EXPECTED: &'static str = "a size with a unit, like 64KiB, 100MiB or 512B";

    fn read(text: &str) -> Result<Self, String> {
        let invalid = || not(text, Self::EXPECTED);
        // `bytesize` takes `64k` and a bare `64`: what they mean is anybody's guess.
        if !text.ends_with('B') || text.starts_with(['-', '+']) {
            return Err(invalid());
        }
        let size: bytesize::ByteSize = text.parse().map_err(|_| invalid())?;
        Ok(Self(size.as_u64()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = UNITS
            .iter()
            .find(|(bits, _)| self.0 != 0 && self.0.trailing_zeros() >= *bits);
        match whole {
            Some((bits, unit)) => write!(f, "{}{unit}", self.0 >> bits),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A host and a port, as Kafka writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub HostPort);

impl Leaf for Address {
    const FORMAT: &'static str = "host-port";
    const EXPECTED: &'static str = "host:port, like kafka-1.internal:9092 or [::1]:9092";

    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|why| format!("{why}, found {text:?}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address of this machine to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindHost(pub IpAddr);

impl Leaf for BindHost {
    const FORMAT: &'static str = "ip";
    const EXPECTED: &'static str = "an IP address of this machine, like 127.0.0.1, 0.0.0.0 or ::";

    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| not(text, Self::EXPECTED))
    }
}

impl fmt::Display for BindHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network of peers, or one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(pub IpNet);

impl Leaf for Network {
    const FORMAT: &'static str = "network";
    const EXPECTED: &'static str = "an IP address or a network, like 10.0.0.7, 10.0.0.0/24 or \
                                    fd00::/8";

    fn read(text: &str) -> Result<Self, String> {
        let address = text
            .parse()
            .map(|address: IpAddr| address.to_canonical().into());
        let network: IpNet = address
            .or_else(|_| text.parse())
            .map_err(|_| not(text, Self::EXPECTED))?;
        let whole = network.trunc();
        if network != whole {
            return Err(format!(
                "{text} is an address in the network {whole}: which is meant?"
            ));
        }
        // A peer of a dual-stack socket is looked up by its IPv4 address.
        match network.network() {
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
                Err(format!("{text} is IPv4 that is written as IPv6"))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(Self(network)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address and a port of this machine to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindAddress(pub SocketAddr);

impl Leaf for BindAddress {
    const FORMAT: &'static str = "ip-port";
    const EXPECTED: &'static str = "ip:port of this machine, like 127.0.0.1:9600 or [::]:9600";

    fn read(text: &str) -> Result<Self, String> {
        match text.parse::<SocketAddr>() {
            Ok(at) if at.port() != 0 => Ok(Self(at)),
            Ok(_) => Err(format!("port 0 is no fixed port, found {text:?}")),
            Err(_) => Err(not(text, Self::EXPECTED)),
        }
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which broker ids there are: ranges that do not overlap, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerIds(Vec<RangeInclusive<i32>>);

impl BrokerIds {
    /// The ranges, in order.
    #[must_use]
    pub fn ranges(&self) -> &[RangeInclusive<i32>] {
        &self.0
    }

    /// Each id, in order.
    pub fn ids(&self) -> impl Iterator<Item = BrokerId> {
        self.0.iter().cloned().flatten().map(BrokerId)
    }

    fn read_range(text: &str) -> Result<RangeInclusive<i32>, String> {
        let id = |text: &str| -> Result<i32, String> {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let read = text.parse().ok().filter(|_| digits);
            read.ok_or_else(|| not(text, Self::EXPECTED))
        };
        let text = text.trim();
        match text.split_once('-') {
            None => id(text).map(|only| only..=only),
            Some((first, last)) => {
                let (first, last) = (id(first.trim())?, id(last.trim())?);
                if first > last {
                    return Err(format!("the range {first}-{last} runs backwards"));
                }
                Ok(first..=last)
            }
        }
    }
}

impl Leaf for BrokerIds {
    const FORMAT: &'static str = "broker-ids";
    const EXPECTED: &'static str = "broker ids, like 0-9, 0-2,5 or [1, 2, 3]";

    fn read(text: &str) -> Result<Self, String> {
        let mut ranges = text
            .split(',')
            .map(Self::read_range)
            .collect::<Result<Vec<_>, _>>()?;
        ranges.sort_by_key(|range| *range.start());
        for (before, after) in ranges.iter().zip(ranges.iter().skip(1)) {
            if after.start() <= before.end() {
                return Err(format!("broker id {} is listed twice", after.start()));
            }
        }
        let lengths = ranges
            .iter()
            .map(|range| usize::try_from(range.end() - range.start()).unwrap_or(usize::MAX));
        let count = lengths.fold(ranges.len(), usize::saturating_add);
        if count > BROKER_IDS_MAX {
            return Err(format!("more than {BROKER_IDS_MAX} broker ids"));
        }
        Ok(Self(ranges))
    }
}

impl fmt::Display for BrokerIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

/// Whom an explicit address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteTarget {
    /// Any broker.
    Bootstrap,
    /// That broker.
    Broker(BrokerId),
}

impl Leaf for RouteTarget {
    const FORMAT: &'static str = "broker-id-or-bootstrap";
    const EXPECTED: &'static str = "a broker id, or the word bootstrap";

    fn read(text: &str) -> Result<Self, String> {
        if text == "bootstrap" {
            return Ok(Self::Bootstrap);
        }
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(id) if digits => Ok(Self::Broker(BrokerId(id))),
            Ok(_) | Err(_) => Err(not(text, Self::EXPECTED)),
        }
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap => f.write_str("bootstrap"),
            Self::Broker(id) => id.fmt(f),
        }
    }
}

fn not(text: &str, expected: &str) -> String {
    format!("expected {expected}, found {text:?}")
}

/// A leaf in YAML: a text, or what YAML makes of one (a number, a list of them).
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Integer(i64),
    List(Vec<Self>),
}

impl Written {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::List(items) => {
                let texts: Vec<_> = items.into_iter().map(Self::into_text).collect();
                texts.join(",")
            }
        }
    }
}

macro_rules! leaves {
    ($($name:ident: $($json_type:literal)|+),* $(,)?) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Written::deserialize(deserializer)?.into_text();
                Self::read(&text).map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({
                    "type": [$($json_type),+],
                    "x-format": Self::FORMAT,
                });
                if let Some(pattern) = Self::PATTERN {
                    schema.insert("pattern".to_owned(), pattern.into());
                }
                schema
            }
        }
    )*};
}

leaves! {
    Time: "string",
    Size: "string",
    Address: "string",
    BindHost: "string",
    Network: "string",
    BindAddress: "string",
    BrokerIds: "string" | "integer" | "array",
    RouteTarget: "string" | "integer",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_and_print_with_their_units() {
        for text in ["64KiB", "100MiB", "1GiB", "513B", "0B"] {
            assert_eq!(Size::read(text).unwrap().to_string(), text);
        }
        assert_eq!(Size::read("1.5 MiB").unwrap(), Size(3 << 19));
        assert_eq!(Size::read("1MB").unwrap(), Size(1_000_000));
        for text in ["10s", "500ms", "5m", "1h 30m"] {
            assert_eq!(Time::read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_number_without_its_unit_is_invalid() {
        for text in ["64", "64k", "64K", "-1B", "B", ""] {
            assert!(Size::read(text).is_err(), "{text}");
        }
        for text in ["10", "-1s", "s", ""] {
            assert!(Time::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn broker_ids_are_ranges_in_order() {
        for (text, printed) in [
            ("0-9", "0-9"),
            ("5,0-2", "0-2,5"),
            (" 7 ", "7"),
            ("1 - 3", "1-3"),
        ] {
            assert_eq!(BrokerIds::read(text).unwrap().to_string(), printed);
        }
        for text in [
            "",
            "a",
            "1-",
            "-1",
            "3-1",
            "1,1",
            "0-5,5",
            "+1",
            "0-10000",
            "0-2147483647",
            "1,,2",
        ] {
            assert!(BrokerIds::read(text).is_err(), "{text}");
        }
    }
}
