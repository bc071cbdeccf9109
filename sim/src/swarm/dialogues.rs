//! What takes a client several requests, each of which needs the response to the one before.

use doorkeeper_kafka_model::Rng;
use doorkeeper_model::script::{
    BatchChoice, Beat, Client, FetchSession, ListenAddr, Ordinal, Part, Producer, Request, Step,
    Topic, TopicPartition, TransactionResult, What,
};

use super::work::place;
use super::{Swarm, number, small, weighted};

/// A kind of dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialogue {
    /// An idempotent producer writes, and repeats batches.
    Idempotent,
    /// A transaction from its first request to its last.
    Transaction,
    /// A member of a consumer group comes, stays and leaves.
    ConsumerGroup,
    /// A fetch session goes on, or goes wrong.
    FetchSession,
}

impl Dialogue {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Idempotent,
        Self::Transaction,
        Self::ConsumerGroup,
        Self::FetchSession,
    ];
}

/// A client begins a dialogue, and mostly waits for its responses.
pub(super) fn dialogue(swarm: &Swarm, rng: &mut Rng) -> Vec<Step> {
    let who = Ordinal(small(rng, swarm.clients));
    let Some(kind) = weighted(rng, &swarm.dialogues) else {
        return Vec::new();
    };
    let mut talk = Conversation {
        who,
        steps: Vec::new(),
    };
    match kind {
        Dialogue::Idempotent => idempotent(&mut talk, swarm, rng),
        Dialogue::Transaction => transaction(&mut talk, swarm, rng),
        Dialogue::ConsumerGroup => consumer_group(&mut talk, rng),
        Dialogue::FetchSession => fetch_session(&mut talk, rng),
    }
    talk.steps
}

/// What one client says.
struct Conversation {
    who: Ordinal,
    steps: Vec<Step>,
}

impl Conversation {
    fn act(&mut self, what: Client) {
        self.steps.push(Step::Client(self.who, what));
    }

    /// In one of the versions from the first to the last.
    fn send(&mut self, rng: &mut Rng, first: u8, last: u8, what: What) {
        let version = first + small(rng, last - first + 1);
        self.act(Client::Send(Request { version, what }));
    }

    fn wait(&mut self) {
        self.act(Client::Wait);
    }

    /// To a broker, which leads a partition of orders from now on.
    fn connect_to_leader(&mut self, rng: &mut Rng) {
        let broker = Ordinal(1 + small(rng, 3));
        for partition in 0..2 {
            let place = TopicPartition {
                topic: Topic::Orders,
                partition,
            };
            self.steps.push(Step::Leader(place, broker));
        }
        self.act(Client::Connect(ListenAddr::Broker(broker)));
    }
}

fn part(swarm: &Swarm, rng: &mut Rng) -> Part {
    Part {
        place: TopicPartition {
            topic: match rng.below(4) {
                0 => Topic::Secret,
                _ => Topic::Orders,
            },
            partition: small(rng, 2),
        },
        bytes: number(rng, swarm.value_bytes_max.min(2000)),
    }
}

fn idempotent(talk: &mut Conversation, swarm: &Swarm, rng: &mut Rng) {
    talk.connect_to_leader(rng);
    if rng.one_in(2) {
        talk.send(rng, 0, 5, What::InitProducerId(Producer::Idempotent));
        talk.wait();
    }
    for _ in 0..=rng.below(5) {
        let turn = match rng.below(4) {
            0 => BatchChoice::Again,
            _ => BatchChoice::Next,
        };
        let what = What::Write(Producer::Idempotent, turn, part(swarm, rng));
        talk.send(rng, 3, 13, what);
        if rng.one_in(3) {
            talk.wait();
        }
        if rng.one_in(8) {
            // The response is lost: what was sent last comes again over another connection.
            talk.act(Client::Reset);
            talk.connect_to_leader(rng);
        }
    }
}

fn transaction(talk: &mut Conversation, swarm: &Swarm, rng: &mut Rng) {
    let id = small(rng, 2);
    let producer = Producer::Transactional(id);
    talk.connect_to_leader(rng);
    talk.send(rng, 1, 6, What::FindTransactions(id));
    talk.send(rng, 0, 5, What::InitProducerId(producer));
    talk.wait();
    for _ in 0..=rng.below(2) {
        // From version 12 on a batch adds its partition itself.
        let adds = rng.one_in(2);
        if !adds {
            let places = vec![place(rng), place(rng)];
            talk.send(rng, 0, 3, What::AddPartitions(id, places));
        }
        for _ in 0..=rng.below(3) {
            let what = What::Write(producer, BatchChoice::Next, part(swarm, rng));
            let (first, last) = if adds { (12, 13) } else { (3, 11) };
            talk.send(rng, first, last, what);
        }
        if rng.one_in(2) {
            let group = small(rng, 2);
            talk.send(rng, 0, 3, What::AddOffsets(id, group));
            let what = What::TxnOffsetCommit(id, group, place(rng));
            talk.send(rng, 0, 5, what);
        }
        let result = if rng.one_in(3) {
            TransactionResult::Abort
        } else {
            TransactionResult::Commit
        };
        talk.send(rng, 0, 5, What::EndTxn(id, result));
        talk.wait();
    }
    let places = vec![place(rng)];
    let what = What::Fetch(FetchSession::None, 0, places);
    talk.send(rng, 4, 18, what);
}

fn consumer_group(talk: &mut Conversation, rng: &mut Rng) {
    let group = small(rng, 2);
    talk.send(rng, 0, 6, What::FindCoordinator(vec![group]));
    talk.send(rng, 0, 1, What::ConsumerHeartbeat(group, Beat::Join));
    talk.wait();
    for _ in 0..rng.below(4) {
        talk.send(rng, 0, 1, What::ConsumerHeartbeat(group, Beat::Stay));
        if rng.one_in(2) {
            let what = What::OffsetCommit(group, place(rng));
            talk.send(rng, 9, 9, what);
        }
        if rng.one_in(2) {
            talk.wait();
        }
    }
    if rng.one_in(3) {
        talk.send(rng, 0, 1, What::ConsumerHeartbeat(group, Beat::Leave));
    }
}

fn fetch_session(talk: &mut Conversation, rng: &mut Rng) {
    let first = vec![place(rng), place(rng)];
    talk.send(rng, 7, 18, What::Fetch(FetchSession::New, 0, first));
    talk.wait();
    for _ in 0..=rng.below(3) {
        let session = match rng.below(6) {
            0 => FetchSession::Stale,
            _ => FetchSession::Known,
        };
        // Nothing new is asked for, or something.
        let more = (0..rng.below(2)).map(|_| place(rng)).collect();
        talk.send(rng, 7, 18, What::Fetch(session, 100, more));
        talk.wait();
    }
}
