//! Makes a failing script smaller while the same invariant fails.

use doorkeeper_model::direct::Options;
use doorkeeper_model::script::{Chunk, Client, Policy, Script, Setting, SmallLimits, Step, What};

use crate::seeds::try_script;

/// How often a script may be tried.
const TRIES_MAX: usize = 20_000;

/// The smallest script that was found, and how often scripts were tried. The same if it holds.
#[must_use]
pub fn shrink(script: &Script, options: Options) -> (Script, usize) {
    let (result, _) = try_script(script, options);
    let Some(invariant) = result.invariant() else {
        return (script.clone(), 1);
    };
    let mut search = Search {
        best: script.clone(),
        invariant,
        options,
        tries: 1,
    };
    while search.pass() && search.tries < TRIES_MAX {}
    (search.best, search.tries)
}

struct Search {
    best: Script,
    invariant: u8,
    options: Options,
    tries: usize,
}

impl Search {
    /// Takes a candidate if it still fails, and says whether it did.
    fn take(&mut self, candidate: Script) -> bool {
        if candidate == self.best || self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let fails = try_script(&candidate, self.options).0.invariant() == Some(self.invariant);
        if fails {
            self.best = candidate;
        }
        fails
    }

    /// Steps first, then the environment, then what is inside steps.
    fn pass(&mut self) -> bool {
        let mut smaller = self.drop_steps();
        for setting in plainer(&self.best.setting) {
            let steps = self.best.steps.clone();
            smaller |= self.take(Script { setting, steps });
        }
        for at in 0..self.best.steps.len() {
            let Some(step) = self.best.steps.get(at).cloned() else {
                break;
            };
            for smaller_step in lesser(&step) {
                let mut candidate = self.best.clone();
                if let Some(place) = candidate.steps.get_mut(at) {
                    *place = smaller_step;
                }
                smaller |= self.take(candidate);
            }
        }
        smaller
    }

    /// Drops runs of steps, long ones first.
    fn drop_steps(&mut self) -> bool {
        let mut smaller = false;
        let mut length = self.best.steps.len().div_ceil(2);
        while length > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let mut candidate = self.best.clone();
                let end = (at + length).min(candidate.steps.len());
                candidate.steps.drain(at..end);
                if self.take(candidate) {
                    smaller = true;
                } else {
                    at += length;
                }
            }
            length /= 2;
        }
        smaller
    }
}

/// Settings with one thing less that is special.
fn plainer(setting: &Setting) -> Vec<Setting> {
    let plain = Setting::default();
    let with = |change: &dyn Fn(&mut Setting)| {
        let mut next = setting.clone();
        change(&mut next);
        next
    };
    vec![
        with(&|s| s.chunk = Chunk::Whole),
        with(&|s| (s.latency_ms, s.jitter_ms) = (plain.latency_ms, 0)),
        with(&|s| s.window = plain.window),
        with(&|s| s.small = SmallLimits::default()),
        with(&|s| s.small.buffer = None),
        with(&|s| s.small.egress = None),
        with(&|s| s.small.in_flight = None),
        with(&|s| s.small.frame = None),
        with(&|s| s.small.wait = None),
        with(&|s| s.policy = Policy::default()),
        with(&|s| s.policy.apis.clear()),
        with(&|s| s.policy.topics.truncate(1)),
        with(&|s| s.advertised = s.brokers),
        with(&|s| (s.brokers, s.advertised) = (1, 1)),
        with(&|s| s.seed = plain.seed),
    ]
}

/// Steps with less in them.
fn lesser(step: &Step) -> Vec<Step> {
    let Step::Client(who, what) = step else {
        return Vec::new();
    };
    let who = *who;
    let mut all = Vec::new();
    match what {
        Client::Raw(bytes) => {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            all.push(Step::Client(who, Client::Raw(half.to_vec())));
        }
        Client::Send(request) => {
            for what in lesser_request(&request.what) {
                let request = doorkeeper_model::script::Request {
                    version: request.version,
                    what,
                };
                all.push(Step::Client(who, Client::Send(request)));
            }
        }
        Client::Connect(_)
        | Client::SendPart(..)
        | Client::Fin
        | Client::Reset
        | Client::Stall
        | Client::Resume
        | Client::Drip(_)
        | Client::Wait
        | Client::WaitEnd => {}
    }
    all
}

/// The same without one of them, if there are several.
fn shorter<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    let one = |drop: usize| {
        let kept = all.iter().enumerate().filter(|(at, _)| *at != drop);
        kept.map(|(_, one)| one.clone()).collect()
    };
    if all.len() < 2 {
        Vec::new()
    } else {
        (0..all.len()).map(one).collect()
    }
}

fn lesser_request(what: &What) -> Vec<What> {
    match what {
        What::Produce(acks, parts) => {
            let mut all: Vec<What> = shorter(parts)
                .into_iter()
                .map(|parts| What::Produce(*acks, parts))
                .collect();
            let mut small = parts.clone();
            for part in &mut small {
                part.bytes = 0;
            }
            all.push(What::Produce(*acks, small));
            all
        }
        What::Fetch(session, wait, places) => shorter(places)
            .into_iter()
            .map(|places| What::Fetch(*session, *wait, places))
            .collect(),
        What::Metadata(Some(topics)) => shorter(topics)
            .into_iter()
            .map(|t| What::Metadata(Some(t)))
            .collect(),
        What::CreateTopics(topics) => shorter(topics)
            .into_iter()
            .map(What::CreateTopics)
            .collect(),
        What::AddPartitions(id, places) => shorter(places)
            .into_iter()
            .map(|places| What::AddPartitions(*id, places))
            .collect(),
        What::Share(share) => shorter(share.places())
            .into_iter()
            .map(|places| What::Share(share.with_places(places)))
            .collect(),
        What::Write(producer, turn, part) => {
            let mut small = *part;
            small.bytes = 0;
            vec![What::Write(*producer, *turn, small)]
        }
        What::Other(key, body) => {
            let half = body.get(..body.len() / 2).unwrap_or_default();
            vec![What::Other(*key, half.to_vec())]
        }
        What::ApiVersions
        | What::Metadata(None)
        | What::ListOffsets(_)
        | What::FindCoordinator(_)
        | What::JoinGroup(_)
        | What::SyncGroup(_)
        | What::Heartbeat(_)
        | What::LeaveGroup(_)
        | What::OffsetCommit(..)
        | What::OffsetFetch(_)
        | What::InitProducerId(_)
        | What::FindTransactions(_)
        | What::AddOffsets(..)
        | What::TxnOffsetCommit(..)
        | What::EndTxn(..)
        | What::ConsumerHeartbeat(..)
        | What::DescribeCluster
        | What::DescribeConfigs(_) => Vec::new(),
    }
}
