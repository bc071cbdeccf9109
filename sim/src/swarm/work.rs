//! What clients do.

use doorkeeper_kafka_model::Rng;
use doorkeeper_model::script::{
    Acks, Client, FetchSession, ListenAddr, Ordinal, Part, Producer, Request, Step, Topic,
    TopicPartition, Wait, What,
};

use super::{Swarm, number, small, weighted};

/// A kind of thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends one request.
    Send,
    /// Sends several at once.
    Burst,
    /// Waits for its responses.
    Wait,
    /// Sees to groups.
    Group,
    /// Produces large values, and fetches them.
    Large,
    /// Leaves and comes back.
    Reconnect,
    /// Sends a part of a request.
    Part,
    /// Sends bytes that are no request.
    Raw,
    /// Sends an API with any body.
    Other,
    /// Ends its half.
    Fin,
    /// Resets.
    Reset,
    /// Reads nothing for a while.
    Stall,
    /// Reads again.
    Resume,
    /// Sends slowly.
    Drip,
    /// Time passes.
    Pause,
}

impl Action {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Send,
        Self::Burst,
        Self::Wait,
        Self::Group,
        Self::Large,
        Self::Reconnect,
        Self::Part,
        Self::Raw,
        Self::Other,
        Self::Fin,
        Self::Reset,
        Self::Stall,
        Self::Resume,
        Self::Drip,
        Self::Pause,
    ];
}

pub(super) fn connect(client: u8, rng: &mut Rng) -> Step {
    let doorkeeper = if rng.one_in(3) {
        ListenAddr::Bootstrap
    } else {
        ListenAddr::Broker(Ordinal(small(rng, 4)))
    };
    Step::Client(Ordinal(client), Client::Connect(doorkeeper))
}

/// What one client does next.
pub(super) fn action(swarm: &Swarm, rng: &mut Rng) -> Vec<Step> {
    let client = small(rng, swarm.clients);
    let who = Ordinal(client);
    let act = |what| vec![Step::Client(who, what)];
    let Some(action) = weighted(rng, &swarm.work) else {
        return Vec::new();
    };
    match action {
        Action::Send => act(Client::Send(request(swarm, rng))),
        Action::Burst => {
            let count = 2 + rng.below(6);
            let burst = (0..count).map(|_| Step::Client(who, Client::Send(request(swarm, rng))));
            burst.collect()
        }
        Action::Wait => act(Client::Wait),
        Action::Group => group(who, rng),
        Action::Large => large(who, swarm, rng),
        Action::Reconnect => vec![connect(client, rng)],
        Action::Part => {
            let part = small(rng, 254);
            act(Client::SendPart(part, request(swarm, rng)))
        }
        Action::Raw => {
            let count = 1 + number(rng, 30);
            // Some begin like a frame.
            let mut bytes = vec![0; if rng.one_in(2) { 3 } else { 0 }];
            bytes.extend((0..count).map(|_| small(rng, 255)));
            act(Client::Raw(bytes))
        }
        Action::Other => {
            let count = number(rng, 24);
            let body = (0..count).map(|_| small(rng, 6)).collect();
            let request = Request {
                version: small(rng, 14),
                what: What::Other(small(rng, 93), body),
            };
            act(Client::Send(request))
        }
        Action::Fin => act(Client::Fin),
        Action::Reset => act(Client::Reset),
        Action::Stall => act(Client::Stall),
        Action::Resume => act(Client::Resume),
        Action::Drip => act(Client::Drip(small(rng, 40))),
        Action::Pause => {
            let ms = match rng.below(4) {
                0 => 20_000,
                _ => number(rng, 300),
            };
            vec![Step::Wait(Wait::Millis(u16::try_from(ms).unwrap_or(0)))]
        }
    }
}

fn group(who: Ordinal, rng: &mut Rng) -> Vec<Step> {
    let number = small(rng, 2);
    let whats = [
        (What::FindCoordinator(vec![number, number + 1]), 6),
        (What::JoinGroup(number), 9),
        (What::SyncGroup(number), 5),
        (What::Heartbeat(number), 4),
        (What::OffsetCommit(number, place(rng)), 9),
        (What::OffsetFetch(number), 9),
        (What::LeaveGroup(number), 5),
    ];
    let mut steps = Vec::new();
    for (what, last) in whats {
        if rng.one_in(3) {
            continue;
        }
        let version = small(rng, last + 1);
        steps.push(Step::Client(who, Client::Send(Request { version, what })));
        if rng.one_in(2) {
            steps.push(Step::Client(who, Client::Wait));
        }
    }
    steps
}

/// A log grows long, and is fetched together with a partition that another broker leads by now: a
/// long response with a hint behind its records (KIP-951).
fn large(who: Ordinal, swarm: &Swarm, rng: &mut Rng) -> Vec<Step> {
    let place = |partition| TopicPartition {
        topic: Topic::Orders,
        partition,
    };
    // This broker has a replica of both, however many brokers there are.
    let (here, there) = (Ordinal(1), Ordinal(2));
    let bytes = swarm.value_bytes_max;
    let part = Part {
        place: place(0),
        bytes,
    };
    let produce = Request {
        version: 9,
        what: What::Produce(Acks::Leader, vec![part]),
    };
    let fetch = Request {
        version: 16 + small(rng, 3),
        what: What::Fetch(FetchSession::None, 10, vec![place(0), place(1)]),
    };
    vec![
        Step::Leader(place(0), here),
        Step::Leader(place(1), there),
        Step::Client(who, Client::Connect(ListenAddr::Broker(here))),
        Step::Client(who, Client::Send(produce)),
        Step::Client(who, Client::Send(fetch)),
        Step::Client(who, Client::Wait),
    ]
}

fn topic(rng: &mut Rng) -> Topic {
    match rng.below(8) {
        0..3 => Topic::Orders,
        3..5 => Topic::Audit,
        5..7 => Topic::Secret,
        _ => Topic::Missing,
    }
}

pub(super) fn place(rng: &mut Rng) -> TopicPartition {
    TopicPartition {
        topic: topic(rng),
        partition: small(rng, 2),
    }
}

fn several<T>(rng: &mut Rng, most: u64, mut one: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    let count = 1 + rng.below(most);
    (0..count).map(|_| one(rng)).collect()
}

/// One request, in a version that there is, as a rule.
fn request(swarm: &Swarm, rng: &mut Rng) -> Request {
    let (what, first, last) = match rng.below(16) {
        0 => (What::ApiVersions, 0, 4),
        1..3 => {
            let topics = several(rng, 3, topic);
            (What::Metadata((!rng.one_in(3)).then_some(topics)), 0, 13)
        }
        3..7 => {
            let acks = match rng.below(4) {
                0 => Acks::None,
                1 => Acks::All,
                _ => Acks::Leader,
            };
            let most = swarm.value_bytes_max.min(5000);
            let parts = several(rng, 3, |rng| Part {
                place: place(rng),
                bytes: number(rng, most),
            });
            (What::Produce(acks, parts), 3, 13)
        }
        7..11 => {
            let session = match rng.below(6) {
                0..2 => FetchSession::None,
                2..4 => FetchSession::New,
                4 => FetchSession::Known,
                _ => FetchSession::Foreign,
            };
            let wait_ms = if rng.one_in(3) { 500 } else { 0 };
            (What::Fetch(session, wait_ms, several(rng, 3, place)), 4, 18)
        }
        11 => (What::ListOffsets(several(rng, 2, place)), 1, 10),
        12 => (
            What::FindCoordinator(several(rng, 2, |rng| small(rng, 3))),
            0,
            6,
        ),
        13 => (What::CreateTopics(several(rng, 2, topic)), 2, 7),
        14 if rng.one_in(2) => (What::InitProducerId(Producer::Idempotent), 0, 5),
        14 => (What::DescribeConfigs(small(rng, 3)), 1, 4),
        _ => (What::DescribeCluster, 0, 2),
    };
    let version = if rng.one_in(60) {
        small(rng, 30)
    } else {
        first + small(rng, last - first + 1)
    };
    Request { version, what }
}
