//! A body of any message in any version, written by its table: what stands in it is drawn from the
//! bytes of an input, and once these are used up everything is empty.
//!
//! What may name a host of the cluster names one often; nothing else ever does.

use doorkeeper_core::api::keys::DESCRIBE_CONFIGS;
use doorkeeper_core::wire::schema::{APIS, Direction, Field, Kind, Message, Role, Struct};

use super::driver::HOSTS;

/// Longer than what a response may have to be edited as a whole.
const LONG_BYTES: usize = 70_000;

/// The message and the version that the first bytes of an input name; the lowest flag says which
/// way it goes.
pub(super) fn named(api: u8, version: u8, flags: u8) -> Option<(&'static Message, i16)> {
    let direction = if flags & 1 == 0 {
        Direction::Request
    } else {
        Direction::Response
    };
    let api = APIS.get(usize::from(api))?;
    Some((api.message(direction), i16::from(version)))
}

/// The bytes of an input that choices are drawn from.
pub(super) struct Draw<'a> {
    rest: &'a [u8],
    /// Records may be longer than [`LONG_BYTES`], once.
    pub(super) long: bool,
}

impl<'a> Draw<'a> {
    pub(super) const fn from(rest: &'a [u8]) -> Self {
        Self { rest, long: false }
    }

    /// The next byte; 0 behind the last one.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, tail)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = tail;
        first
    }

    fn one<T: Copy + Default>(&mut self, of: &[T]) -> T {
        let at = usize::from(self.byte()).checked_rem(of.len());
        at.and_then(|at| of.get(at)).copied().unwrap_or_default()
    }

    fn number(&mut self) -> i64 {
        self.one(&[0, 1, -1, 2, 3, 7, 100, i64::MAX, i64::MIN, 1 << 31, 255])
    }
}

/// The body; `None` when there is no such version.
pub(super) fn body(message: &Message, version: i16, draw: &mut Draw<'_>) -> Option<Vec<u8>> {
    let edition = message.edition(version)?;
    let mut writer = Writer {
        out: Vec::new(),
        version,
        flexible: edition.flexible.contains(version),
        api_key: message.api_key,
        is_request: message.direction == Direction::Request,
        draw,
    };
    writer.structure(edition.body);
    Some(writer.out)
}

struct Writer<'a, 'b> {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    api_key: i16,
    is_request: bool,
    draw: &'a mut Draw<'b>,
}

impl Writer<'_, '_> {
    fn structure(&mut self, of: &Struct) {
        let there = |field: &&Field| field.versions.contains(self.version);
        let all: Vec<&Field> = of.fields.iter().filter(there).collect();
        for field in &all {
            if field.tag_in(self.version).is_none() {
                self.field(field, &field.kind);
            }
        }
        if self.flexible {
            self.tags(&all);
        }
    }

    fn tags(&mut self, all: &[&Field]) {
        let mut tagged: Vec<(u32, &Field)> = all
            .iter()
            .filter_map(|field| Some((field.tag_in(self.version)?, *field)))
            .collect();
        tagged.sort_by_key(|(number, _)| *number);
        tagged.retain(|_| self.draw.byte() & 1 == 1);
        let unknown = self.draw.byte() == 1;
        self.varint(tagged.len() + usize::from(unknown));
        for (number, field) in tagged {
            let before = std::mem::take(&mut self.out);
            self.field(field, &field.kind);
            let content = std::mem::replace(&mut self.out, before);
            self.varint(number as usize);
            self.varint(content.len());
            self.out.extend_from_slice(&content);
        }
        if unknown {
            self.varint(9000);
            self.varint(3);
            self.out.extend_from_slice(b"new");
        }
    }

    fn field(&mut self, field: &Field, kind: &Kind) {
        let may_be_null = field.nullable.contains(self.version);
        match kind {
            Kind::Bool => {
                let value = self.draw.byte() & 1;
                self.out.push(value);
            }
            Kind::Int8 => self.int::<1>(field),
            Kind::Int16 | Kind::Uint16 => self.int::<2>(field),
            Kind::Int32 | Kind::Uint32 => self.int::<4>(field),
            Kind::Int64 | Kind::Float64 => self.int::<8>(field),
            Kind::Uuid => {
                let byte = self.draw.byte();
                self.out.extend_from_slice(&[byte; 16]);
            }
            Kind::String => {
                let text = self.text(field.role, may_be_null);
                self.length(text.map(str::len), 2);
                self.out
                    .extend_from_slice(text.unwrap_or_default().as_bytes());
            }
            Kind::Bytes | Kind::Records => self.opaque(may_be_null),
            Kind::Struct(inner) => {
                if may_be_null && self.draw.byte() & 1 == 0 {
                    self.out.push(0xff);
                    return;
                }
                if may_be_null {
                    self.out.push(1);
                }
                self.structure(inner);
            }
            Kind::Array(of) => self.array(field, of, may_be_null),
        }
    }

    fn array(&mut self, field: &Field, of: &Kind, may_be_null: bool) {
        let drawn = self.draw.byte();
        if may_be_null && drawn == 0 {
            return self.length(None, 4);
        }
        let count = usize::from(drawn % 4);
        self.length(Some(count), 4);
        for _ in 0..count {
            if let Kind::Struct(inner) = of {
                self.structure(inner);
            } else {
                // An element is never null, whatever the array may be.
                let plain = Field {
                    nullable: doorkeeper_core::wire::schema::Versions::NONE,
                    ..*field
                };
                self.field(&plain, of);
            }
        }
    }

    fn opaque(&mut self, may_be_null: bool) {
        let drawn = self.draw.byte();
        if may_be_null && drawn == 0 {
            return self.length(None, 4);
        }
        let count = if drawn == 0xff && std::mem::take(&mut self.draw.long) {
            LONG_BYTES
        } else {
            usize::from(drawn % 32)
        };
        self.length(Some(count), 4);
        let all = self.out.len() + count;
        self.out.resize(all, drawn);
    }

    fn int<const N: usize>(&mut self, field: &Field) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "other numbers mean nothing here"
        )]
        let value = match field.role {
            // `ConfigResource.Type.BROKER`: only values of brokers are hidden.
            Role::ResourceType => 4,
            Role::EndpointId => self.draw.one(&[-1, 0, 1, 2, 7]),
            Role::Port => self.draw.one(&[-1, 9092, 9093, 0, 70_000]),
            // A response is owed, and it is a client that asks.
            Role::Acks if self.is_request => 1,
            Role::ReplicaId if self.is_request => -1,
            _ => self.draw.number(),
        };
        let bytes = value.to_be_bytes();
        self.out
            .extend_from_slice(bytes.get(8 - N..).unwrap_or_default());
    }

    fn text(&mut self, role: Role, may_be_null: bool) -> Option<&'static str> {
        let [bootstrap, b0, b1] = HOSTS;
        let drawn = self.draw.byte();
        if drawn == 0 {
            return (!may_be_null).then_some("");
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "other texts name no host")]
        let some: &[&str] = match role {
            Role::Host => &[b0, b1, bootstrap, "stranger.canary", ""],
            Role::ErrorMessage => &[
                "Broker b1.canary:9093 is gone, ask B0.CANARY.",
                "no",
                "bootstrap.canary",
                "only 1 broker(s): broker:9092, A://x.canary:1",
                "broker/10.0.0.5:9092 or /10.0.0.6:1",
            ],
            Role::ConfigName => &["log.dirs", "advertised.listeners", "x", "host.name"],
            // Topics have configs of the same role, in which nothing is hidden.
            // Of all configs only those of brokers, in this response, are about addresses.
            Role::ConfigValue if self.api_key == DESCRIBE_CONFIGS.0 => &[
                "PLAINTEXT://b1.canary:9093",
                "60",
                "",
                "b0.canary",
                "broker,controller",
                "1@broker:9092",
            ],
            Role::TopicName => &["t", "orders", "", "t2"],
            _ => &["x", "", "some-longer-name-of-something"],
        };
        some.get(usize::from(drawn) % some.len()).copied()
    }

    /// A length or count, compact where the version is, or else in so many bytes.
    fn length(&mut self, length: Option<usize>, bytes: usize) {
        if self.flexible {
            return self.varint(length.map_or(0, |length| length + 1));
        }
        let value = length.map_or(-1, |length| i64::try_from(length).unwrap_or(0));
        self.out
            .extend_from_slice(value.to_be_bytes().get(8 - bytes..).unwrap_or_default());
    }

    fn varint(&mut self, mut value: usize) {
        while let high @ 1.. = value >> 7 {
            self.out.push(0x80 | value.to_le_bytes()[0]);
            value = high;
        }
        self.out.push(value.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::wire::schema::{APIS, Direction, Roles};
    use doorkeeper_core::wire::walk::{Step, Walker};

    use super::*;

    /// Every message in every version, as its table has it and to its last byte.
    #[test]
    fn written_bytes_are_read_whole() {
        let drawn: Vec<u8> = (0..=255).cycle().step_by(7).take(4000).collect();
        for api in APIS {
            for direction in [Direction::Request, Direction::Response] {
                let message = api.message(direction);
                for (version, input) in api
                    .versions
                    .iter()
                    .flat_map(|v| [(v, &[][..]), (v, &[1; 4000][..]), (v, &drawn[..])])
                {
                    let Some(body) = body(message, version, &mut Draw::from(input)) else {
                        continue;
                    };
                    let mut walker = Walker::new(message, version, body.len(), Roles::ALL).unwrap();
                    let mut rest = &body[..];
                    let end = loop {
                        match walker.step(&mut rest) {
                            Ok(Step::Done { at }) => break at,
                            Ok(Step::More) => panic!("{} v{version} ends early", message.name),
                            Ok(_) => {}
                            Err(why) => panic!("{} v{version}: {why:?}", message.name),
                        }
                    };
                    assert_eq!(end, body.len(), "{} v{version}", message.name);
                }
            }
        }
    }
}
