//! The variable part of one frame: the rest of its header, its body, and what stands behind it.

use std::hash::{DefaultHasher, Hasher as _};

use doorkeeper_core::api::keys::{API_VERSIONS, PRODUCE};
use doorkeeper_core::id::{ApiKey, ApiVersion};
use doorkeeper_core::wire::header::HeaderEnd;
use doorkeeper_core::wire::schema::{Direction, Field, Kind, Message, Role, Roles};
use doorkeeper_core::wire::walk::{Step, Value, Walker};

use super::Key;
use super::fields::is_kept;
use crate::pieces::Pieces;

/// `Errors.UNSUPPORTED_VERSION`: an ApiVersions response that begins with it is of version 0,
/// whatever was asked for (KIP-511).
const UNSUPPORTED_VERSION: [u8; 2] = [0, 35];

/// One frame behind its fixed head.
#[derive(Debug)]
pub(super) struct Frame {
    key: Key,
    way: Direction,
    api: ApiKey,
    version: ApiVersion,
    /// Bytes that are still to come.
    left: usize,
    stage: Stage,
    /// Whether it is a Produce without a response.
    has_no_response: bool,
}

#[derive(Debug)]
enum Stage {
    Header(HeaderEnd),
    /// The error code of an ApiVersions response, which says what version it is of.
    Error(Vec<u8>),
    Body {
        walker: Box<Walker>,
        /// What the content that comes belongs to; nothing for a tagged field that is unknown.
        field: Option<&'static Field>,
        hash: DefaultHasher,
    },
    /// Nobody knows what it is.
    Unknown(DefaultHasher),
}

impl Frame {
    /// The rest of a frame, `left` bytes behind its fixed head.
    pub(super) fn new(
        key: Key,
        way: Direction,
        api: ApiKey,
        version: ApiVersion,
        left: usize,
    ) -> Self {
        let mut frame = Self {
            way,
            api,
            version,
            ..Self::unknown(key, left)
        };
        if let Some(flexible) = frame.message().and_then(|it| it.is_flexible(version.0)) {
            frame.stage = Stage::Header(match way {
                Direction::Request => HeaderEnd::of_request(flexible, left),
                // A client that does not know the broker yet must be able to read it (KIP-511).
                Direction::Response => {
                    HeaderEnd::of_response(flexible && api != API_VERSIONS, left)
                }
            });
            frame.advance(&mut &[][..]);
        }
        frame
    }

    /// The rest of a frame of which nobody knows what it is.
    pub(super) fn unknown(key: Key, left: usize) -> Self {
        Self {
            key,
            way: Direction::Request,
            api: PRODUCE,
            version: ApiVersion(0),
            left,
            stage: Stage::Unknown(hasher(key)),
            has_no_response: false,
        }
    }

    /// Whether all of it has come.
    pub(super) const fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Whether it is a request without a response.
    pub(super) const fn has_no_response(&self) -> bool {
        self.has_no_response
    }

    fn message(&self) -> Option<&'static Message> {
        doorkeeper_core::wire::schema::message(self.api.0, self.way)
    }

    /// Takes what is of this frame from the front of `input`.
    pub(super) fn take(&mut self, input: &mut &[u8], out: &mut Pieces) {
        while self.left > 0 && !input.is_empty() {
            // Structure is read byte by byte, so that it is known where content begins.
            let (all, treatment) = self.next();
            let count = all.min(self.left).min(input.len());
            let Some((mut part, rest)) = input.split_at_checked(count) else {
                return;
            };
            *input = rest;
            self.left -= count;
            match treatment {
                Treatment::Keep => out.keep(part),
                Treatment::Mask => {
                    out.mask(count);
                    self.fingerprint(part, count == all, out);
                }
            }
            if !matches!(self.stage, Stage::Unknown(_)) {
                self.advance(&mut part);
            }
        }
    }

    /// How many bytes are treated alike, and how.
    fn next(&self) -> (usize, Treatment) {
        match &self.stage {
            Stage::Header(header) if header.tag_content() > 0 => {
                (header.tag_content(), Treatment::Mask)
            }
            Stage::Header(_) | Stage::Error(_) => (1, Treatment::Keep),
            Stage::Body { walker, field, .. } => match walker.passes_over() {
                0 => (1, Treatment::Keep),
                count if field.is_some_and(|field| is_kept(field, self.way)) => {
                    (count, Treatment::Keep)
                }
                count => (count, Treatment::Mask),
            },
            Stage::Unknown(_) => (self.left, Treatment::Mask),
        }
    }

    /// These bytes were masked; perhaps they were the last of their value.
    fn fingerprint(&mut self, part: &[u8], value_ends: bool, out: &mut Pieces) {
        let hash = match &mut self.stage {
            Stage::Body { hash, .. } | Stage::Unknown(hash) => hash,
            Stage::Header(_) | Stage::Error(_) => return,
        };
        hash.write(part);
        if value_ends {
            out.masked_value_ends(hash.finish());
            *hash = hasher(self.key);
        }
    }

    /// Reads on in bytes that have come.
    fn advance(&mut self, input: &mut &[u8]) {
        if let Stage::Header(header) = &mut self.stage {
            match header.step(input) {
                Ok(false) => return,
                Ok(true) => self.body(),
                Err(_) => self.give_up(),
            }
        }
        if let Stage::Error(code) = &mut self.stage {
            code.extend_from_slice(input);
            if code.len() < UNSUPPORTED_VERSION.len() {
                return;
            }
            let code = std::mem::take(code);
            if code == UNSUPPORTED_VERSION {
                self.version = ApiVersion(0);
            }
            self.walk(code.len());
            self.read(&code);
            return;
        }
        self.read(input);
    }

    fn body(&mut self) {
        if (self.api, self.way) == (API_VERSIONS, Direction::Response) {
            self.stage = Stage::Error(Vec::new());
        } else {
            self.walk(0);
        }
    }

    /// Begins to walk a body of which so much has been read already.
    fn walk(&mut self, read: usize) {
        let (version, body_len) = (self.version.0, self.left + read);
        let walker = self
            .message()
            .and_then(|it| Walker::new(it, version, body_len, Roles::ALL));
        match walker {
            Some(walker) => {
                self.stage = Stage::Body {
                    walker: Box::new(walker),
                    field: None,
                    hash: hasher(self.key),
                }
            }
            None => self.give_up(),
        }
    }

    fn give_up(&mut self) {
        self.stage = Stage::Unknown(hasher(self.key));
    }

    fn read(&mut self, mut input: &[u8]) {
        let (api, way) = (self.api, self.way);
        let Stage::Body { walker, field, .. } = &mut self.stage else {
            return;
        };
        loop {
            let Ok(step) = walker.step(&mut input) else {
                return self.give_up();
            };
            match step {
                Step::More => return,
                // No schema describes what stands behind a body.
                Step::Done { .. } => return self.give_up(),
                Step::Begin { field: begun, .. } => *field = Some(begun),
                Step::Value(found) => {
                    let acks = (api, way, found.role) == (PRODUCE, Direction::Request, Role::Acks);
                    self.has_no_response |= acks && found.value == Value::Int(0);
                    // Further elements of an array have no beginning of their own.
                    if !matches!(found.field.kind, Kind::Array(_)) {
                        *field = None;
                    }
                }
                Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => *field = None,
                Step::Array { .. } => {}
            }
        }
    }
}

/// Whether bytes are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Keep,
    Mask,
}

fn hasher(Key(key): Key) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    hasher.write(&key);
    hasher
}
