//! The requests and responses of a script's client, on any network.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use doorkeeper_core::id::ApiKey;

use super::encode::{Context, TopicIds, encode};
use super::memory::{About, Memory};
use super::sequences::Sequences;
use crate::expected::Head;
use crate::frames::Cutter;
use crate::invariants;
use crate::script::{Acks, Ordinal, Producer, Request, Share, What};
use crate::watch::{Expectation, Violation};

/// A client, over all of its connections.
#[derive(Debug)]
pub struct Client {
    number: Ordinal,
    memory: Memory,
    sequences: Sequences,
    /// Counts its requests over all connections.
    next_id: i32,
    payloads: u32,
}

/// What is said and heard on one of them.
#[derive(Debug, Default)]
pub struct Dialogue {
    outbox: VecDeque<Bytes>,
    cutter: Cutter,
    owed: VecDeque<PendingResponse>,
    /// It has sent what is no request, so that it cannot know what it is owed.
    untidy: bool,
}

/// A response that it waits for.
#[derive(Debug)]
struct PendingResponse {
    id: i32,
    api: ApiKey,
    version: i16,
    about: About,
}

/// A response, with its length, and what it had to be.
#[derive(Debug)]
pub struct ReceivedResponse {
    /// What the client could expect.
    pub expects: Expectation,
    /// What came.
    pub frame: Bytes,
}

impl ReceivedResponse {
    /// Holds the response against what the client asked for and had produced.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), Violation> {
        invariants::responses::is_owed(self.expects, &self.frame)?;
        invariants::bytes::intact(&self.frame)
    }
}

impl Client {
    /// Has said nothing yet.
    #[must_use]
    pub fn new(number: Ordinal) -> Self {
        Self {
            number,
            memory: Memory::default(),
            sequences: Sequences::default(),
            next_id: 0,
            payloads: 0,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> Ordinal {
        self.number
    }

    /// The fetch session that it has, and the epoch that comes next.
    #[must_use]
    pub const fn fetch_session(&self) -> Option<(i32, i32)> {
        self.memory.fetch_session
    }

    /// A new connection: sessions end with the one that they were given on.
    pub fn connects(&mut self) -> Dialogue {
        self.memory.sessions_end();
        Dialogue::default()
    }

    /// Says so many 255ths of a request. `foreign_session` is the fetch session of another client.
    pub fn says(
        &mut self,
        dialogue: &mut Dialogue,
        request: &Request,
        part: u8,
        topic_id: &dyn TopicIds,
        foreign_session: Option<(i32, i32)>,
    ) {
        self.next_id += 1;
        let frame = encode(
            request,
            &mut Context {
                client: self.number.0,
                id: self.next_id,
                topic_id,
                memory: &self.memory,
                foreign_session,
                payloads: &mut self.payloads,
                sequences: &mut self.sequences,
            },
        );
        let count = frame.len() * usize::from(part) / 255;
        if count < frame.len() {
            // Whatever is sent behind it belongs to it.
            dialogue.untidy = true;
            dialogue.outbox.push_back(frame.slice(..count.max(1)));
            return;
        }
        dialogue.untidy |= matches!(request.what, What::Other(..));
        let no_response = matches!(request.what, What::Produce(Acks::None, _));
        if !no_response && let Some(Head { api, version, id }) = Head::of_request(&frame) {
            dialogue.owed.push_back(PendingResponse {
                id,
                api,
                version,
                about: about(&request.what),
            });
        }
        dialogue.outbox.push_back(frame);
    }

    /// The next whole response of what was heard.
    pub fn hears(&mut self, dialogue: &mut Dialogue) -> Option<ReceivedResponse> {
        let frame = dialogue.cutter.next_frame()?;
        let owed = dialogue.owed.pop_front();
        let expects = if dialogue.untidy {
            Expectation::Anything
        } else {
            Expectation::Response(owed.as_ref().map(|owed| owed.id))
        };
        if let Some(owed) = owed {
            let PendingResponse {
                api,
                version,
                about,
                ..
            } = owed;
            self.memory.learn(api, version, about, &frame);
        }
        Some(ReceivedResponse { expects, frame })
    }
}

impl Dialogue {
    /// Says bytes that are no request.
    pub fn says_raw(&mut self, bytes: &[u8]) {
        self.untidy = true;
        if !bytes.is_empty() {
            self.outbox.push_back(Bytes::copy_from_slice(bytes));
        }
    }

    /// Whether something is left to be sent, or a response is waited for.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.outbox.is_empty() || (!self.owed.is_empty() && !self.untidy)
    }

    /// Whether it has sent what is no request, which may have been taken for one of any kind.
    #[must_use]
    pub const fn is_untidy(&self) -> bool {
        self.untidy
    }

    /// What is to be sent next; empty if nothing is.
    #[must_use]
    pub fn due(&self) -> &[u8] {
        self.outbox.front().map_or(&[], |bytes| bytes)
    }

    /// So many bytes of it were sent.
    pub fn sent(&mut self, count: usize) {
        if let Some(front) = self.outbox.front_mut() {
            front.advance(count.min(front.len()));
            if front.is_empty() {
                self.outbox.pop_front();
            }
        }
    }

    /// Nothing can be sent any more.
    pub fn gives_up(&mut self) {
        self.outbox.clear();
    }

    /// Bytes have come.
    pub fn received(&mut self, bytes: &[u8]) {
        self.cutter.push(bytes);
    }
}

/// What a request is about.
const fn about(what: &What) -> About {
    match what {
        What::JoinGroup(group)
        | What::SyncGroup(group)
        | What::Heartbeat(group)
        | What::LeaveGroup(group)
        | What::OffsetCommit(group, _)
        | What::OffsetFetch(group)
        | What::ConsumerHeartbeat(group, _) => About::Group(*group),
        What::Share(share) => about_share(share),
        What::InitProducerId(producer) => About::Producer(*producer),
        What::EndTxn(id, _) => About::Producer(Producer::Transactional(*id)),
        What::ApiVersions
        | What::Metadata(_)
        | What::Produce(..)
        | What::Fetch(..)
        | What::ListOffsets(_)
        | What::FindCoordinator(_)
        | What::FindTransactions(_)
        | What::Write(..)
        | What::AddPartitions(..)
        | What::AddOffsets(..)
        | What::TxnOffsetCommit(..)
        | What::CreateTopics(_)
        | What::DescribeCluster
        | What::DescribeConfigs(_)
        | What::Other(..) => About::Nothing,
    }
}

/// The same of a member of a share group.
const fn about_share(share: &Share) -> About {
    match share {
        Share::Heartbeat(group, _) => About::Group(*group),
        Share::Fetch(group, session, says, ..) | Share::Acknowledge(group, session, says, _) => {
            About::Share(*group, *session, *says)
        }
    }
}
