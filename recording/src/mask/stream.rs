//! Frames one after the other, as they come.

use std::collections::VecDeque;

use doorkeeper_core::api::keys::SASL_HANDSHAKE;
use doorkeeper_core::id::{ApiKey, ApiVersion, CorrelationId};
use doorkeeper_core::wire::header::{
    PREFIX_BYTES, REQUEST_HEAD_BYTES, RESPONSE_HEAD_BYTES, RequestHead,
};
use doorkeeper_core::wire::schema::Direction;

use super::Key;
use super::frame::Frame;
use super::raw_tokens::RawTokens;
use crate::pieces::Pieces;

/// Behind a handshake of version 0 come tokens that are not inside of requests
/// (`SaslServerAuthenticator`, KIP-43). Where nobody has to log in, or has done so before, they are
/// taken for requests, and the client learns of its mistake too late.
const BARE_TOKENS_FOLLOW: (ApiKey, ApiVersion) = (SASL_HANDSHAKE, ApiVersion(0));

/// Of a token that is taken for a request this much is kept: the number of an API, which is in the
/// log as well when the session closes because of it.
const BARE_TOKEN_KEPT_BYTES: usize = 2;

/// Frames with a length and a fixed head of `HEAD_BYTES` in front.
#[derive(Debug)]
struct Frames<const HEAD_BYTES: usize> {
    stage: Stage,
    len_max: usize,
    /// How much of each head is kept.
    kept_bytes: usize,
}

#[derive(Debug)]
enum Stage {
    /// What has come of length and head.
    Head(Vec<u8>),
    Rest(Box<Frame>),
    /// These are no frames, or not any more.
    Lost,
}

/// What is next in the bytes.
enum Next<const HEAD_BYTES: usize> {
    /// They are used up.
    More,
    /// A frame with this head has begun, and so many bytes of it follow.
    Head([u8; HEAD_BYTES], usize),
    /// The frame that had begun is whole.
    Whole(Box<Frame>),
}

impl<const HEAD_BYTES: usize> Frames<HEAD_BYTES> {
    const fn new() -> Self {
        Self {
            stage: Stage::Head(Vec::new()),
            len_max: i32::MAX as usize,
            kept_bytes: HEAD_BYTES,
        }
    }

    /// The first frame of another connection comes next.
    fn restart(&mut self) {
        self.stage = Stage::Head(Vec::new());
        self.kept_bytes = HEAD_BYTES;
    }

    fn next(&mut self, input: &mut &[u8], out: &mut Pieces) -> Next<HEAD_BYTES> {
        if let Stage::Rest(frame) = &mut self.stage {
            frame.take(input, out);
            if !frame.is_whole() {
                return Next::More;
            }
            let whole = std::mem::replace(&mut self.stage, Stage::Head(Vec::new()));
            if let Stage::Rest(frame) = whole {
                return Next::Whole(frame);
            }
        }
        if let Stage::Head(read) = &mut self.stage {
            while let Some((first, rest)) = input.split_first() {
                read.push(*first);
                if read.len() <= PREFIX_BYTES + self.kept_bytes {
                    out.keep(&[*first]);
                } else {
                    out.mask(1);
                }
                *input = rest;
                let Some(prefix) = read.first_chunk::<PREFIX_BYTES>() else {
                    continue;
                };
                let len = usize::try_from(i32::from_be_bytes(*prefix));
                let legal = len
                    .ok()
                    .filter(|it| (HEAD_BYTES..=self.len_max).contains(it));
                let Some(len) = legal else {
                    self.stage = Stage::Lost;
                    break;
                };
                let head = read.get(PREFIX_BYTES..).unwrap_or_default();
                if let Some(head) = head.first_chunk::<HEAD_BYTES>() {
                    return Next::Head(*head, len - HEAD_BYTES);
                }
            }
        }
        if let Stage::Lost = self.stage {
            out.mask(input.len());
            *input = &[];
        }
        Next::More
    }
}

/// What goes up.
#[derive(Debug)]
pub(super) struct Requests {
    key: Key,
    frames: Frames<REQUEST_HEAD_BYTES>,
    /// The head of the request that has begun.
    head: Option<RequestHead>,
    /// Whether the client has to log in first and has not done so.
    expects_login: bool,
    /// Those that come instead of requests until the client has logged in.
    raw_tokens: Option<RawTokens>,
}

impl Requests {
    pub(super) const fn new(key: Key) -> Self {
        Self {
            key,
            frames: Frames::new(),
            head: None,
            expects_login: false,
            raw_tokens: None,
        }
    }

    pub(super) const fn limit(&mut self, len_max: usize) {
        self.frames.len_max = len_max;
    }

    pub(super) const fn expect_login(&mut self) {
        self.expects_login = true;
    }

    /// A further token is due. Whether tokens are not inside of requests.
    pub(super) const fn challenged(&mut self) -> bool {
        if let Some(tokens) = &mut self.raw_tokens {
            tokens.challenged();
        }
        self.raw_tokens.is_some()
    }

    /// What comes from now on is made of requests, unless some of it has come already: nobody knows
    /// where it begins. Whether tokens were not inside of requests.
    pub(super) fn logged_in(&mut self) -> bool {
        self.expects_login = false;
        let tokens = self.raw_tokens.take();
        if tokens.as_ref().is_some_and(|it| !it.ends_here()) {
            self.frames.stage = Stage::Lost;
        }
        tokens.is_some()
    }

    /// What comes from now on is of another connection.
    pub(super) fn restart(&mut self) {
        self.frames.restart();
        self.head = None;
    }

    pub(super) fn take(&mut self, mut input: &[u8], owed: &mut VecDeque<RequestHead>) -> Pieces {
        let mut out = Pieces::default();
        loop {
            if let Some(tokens) = &mut self.raw_tokens {
                tokens.take(input, self.frames.len_max, &mut out);
                return out;
            }
            match self.frames.next(&mut input, &mut out) {
                Next::More => return out,
                Next::Head(head, left) => {
                    let head = RequestHead::read(head);
                    let (api, version) = (head.api, head.version);
                    let frame = if self.frames.kept_bytes == BARE_TOKEN_KEPT_BYTES {
                        Frame::unknown(self.key, left)
                    } else {
                        self.head = Some(head);
                        Frame::new(self.key, Direction::Request, api, version, left)
                    };
                    self.frames.stage = Stage::Rest(Box::new(frame));
                }
                Next::Whole(frame) => {
                    let Some(head) = self.head.take() else {
                        continue;
                    };
                    if !frame.has_no_response() {
                        owed.push_back(head);
                    }
                    if (head.api, head.version) == BARE_TOKENS_FOLLOW {
                        if self.expects_login {
                            self.raw_tokens = Some(RawTokens::default());
                        } else {
                            self.frames.kept_bytes = BARE_TOKEN_KEPT_BYTES;
                        }
                    }
                }
            }
        }
    }
}

/// What comes down.
#[derive(Debug)]
pub(super) struct Responses {
    key: Key,
    frames: Frames<RESPONSE_HEAD_BYTES>,
    /// What is missing of a token that is not inside of a response: of its length, and of itself.
    raw_token: (usize, usize),
}

impl Responses {
    pub(super) const fn new(key: Key) -> Self {
        Self {
            key,
            frames: Frames::new(),
            raw_token: (0, 0),
        }
    }

    pub(super) const fn limit(&mut self, len_max: usize) {
        self.frames.len_max = len_max;
    }

    /// A token of this length comes next, behind its length.
    pub(super) const fn raw_token(&mut self, len: usize) {
        self.raw_token = (PREFIX_BYTES, len);
    }

    /// What comes from now on is of another connection.
    pub(super) fn restart(&mut self) {
        self.frames.restart();
    }

    pub(super) fn take(&mut self, mut input: &[u8], owed: &mut VecDeque<RequestHead>) -> Pieces {
        let mut out = Pieces::default();
        let (prefix, token) = &mut self.raw_token;
        let (kept, rest) = input.split_at(input.len().min(*prefix));
        let (masked, rest) = rest.split_at(rest.len().min(*token));
        out.keep(kept);
        out.mask(masked.len());
        (*prefix, *token) = (*prefix - kept.len(), *token - masked.len());
        input = rest;
        loop {
            match self.frames.next(&mut input, &mut out) {
                Next::More => return out,
                Next::Head(head, left) => {
                    let id = CorrelationId(i32::from_be_bytes(head));
                    // A response to something else would be read by the wrong schema.
                    let Some(asked) = owed.front().filter(|it| it.correlation_id == id) else {
                        self.frames.stage = Stage::Lost;
                        continue;
                    };
                    let (api, version) = (asked.api, asked.version);
                    let frame = Frame::new(self.key, Direction::Response, api, version, left);
                    self.frames.stage = Stage::Rest(Box::new(frame));
                }
                Next::Whole(_) => drop(owed.pop_front()),
            }
        }
    }
}
