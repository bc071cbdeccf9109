//! The cluster, the network and the limits of a seed.

use doorkeeper_kafka_model::Rng;
use doorkeeper_model::script::{Chunk, Policy, Setting, SmallLimits, Topic};

use super::{Swarm, number, small};

pub(super) fn draw(swarm: &Swarm, rng: &mut Rng) -> Setting {
    let brokers = 1 + small(rng, 4);
    let advertised = if rng.one_in(4) {
        brokers.max(2) - 1
    } else {
        brokers
    };
    let chunk = match rng.below(16) {
        // Byte by byte is slow, and says nothing more of long values.
        0 if swarm.value_bytes_max < 1000 && swarm.actions < 16 => Chunk::One,
        0..=6 => Chunk::Any,
        _ => Chunk::Whole,
    };
    let window = match rng.below(4) {
        0 => 64 + number(rng, 1000),
        1 => 2_000,
        _ => 65_536,
    };
    let mut setting = Setting {
        seed: swarm.seed,
        brokers,
        advertised,
        chunk,
        latency_ms: small(rng, 20),
        jitter_ms: if rng.one_in(2) { small(rng, 30) } else { 0 },
        window,
        small: limits(rng),
        buffered: None,
        policy: policy(rng),
        timed: true,
        direct: true,
    };
    // Long enough for what goes well over the slowest network.
    setting.small.wait = rng.one_in(4).then(|| 1_000 + number(rng, 4_000));
    // Room for less than one long request, or for a few.
    setting.buffered = rng.one_in(6).then(|| 200 + number(rng, 4_000));
    setting
}

/// Limits so small that little reaches them, half of the time.
pub(super) fn limits(rng: &mut Rng) -> SmallLimits {
    let mut some = |of: u64, least: u32, range: u32| {
        let value = least + number(rng, range);
        rng.one_in(of).then_some(value)
    };
    SmallLimits {
        buffer: some(4, 64, 800),
        egress: some(3, 1, 600),
        in_flight: some(4, 1, 3).and_then(|count| u16::try_from(count).ok()),
        frame: some(12, 200, 3000),
        wait: None,
    }
}

/// A policy that denies something, half of the time.
pub(super) fn policy(rng: &mut Rng) -> Policy {
    let mut topics = Vec::new();
    if rng.one_in(2) {
        topics.push(Topic::Secret);
        if rng.one_in(4) {
            topics.push(Topic::Orders);
        }
        if rng.one_in(8) {
            topics.push(Topic::Missing);
        }
    }
    let api = 1 + small(rng, 36);
    Policy {
        topics,
        apis: rng.one_in(10).then_some(api).into_iter().collect(),
    }
}
