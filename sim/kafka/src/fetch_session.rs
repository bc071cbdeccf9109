//! Fetch sessions (KIP-227): `FetchManager`, `FetchSessionCache` and the fetch contexts.

use std::collections::BTreeMap;

use doorkeeper_core::time::Instant;
use uuid::Uuid;

/// `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`.
const EVICTABLE_AFTER: std::time::Duration = std::time::Duration::from_secs(120);

/// A topic as a fetch names it: up to version 12 by name, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(String),
    Id(Uuid),
}

/// A partition as a fetch names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
}

/// What a fetch wants of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestedPartition {
    pub(crate) offset: i64,
    pub(crate) bytes_max: i32,
    pub(crate) known_epoch: Option<i32>,
}

/// What the last response said to the client about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentOffsets {
    pub(crate) high_watermark: i64,
    pub(crate) log_start_offset: i64,
}

impl SentOffsets {
    const NOTHING: Self = Self {
        high_watermark: -1,
        log_start_offset: -1,
    };
}

/// What a response says about a partition, as far as a session cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) sent: SentOffsets,
    pub(crate) has_records: bool,
    pub(crate) is_error: bool,
}

#[derive(Debug)]
struct CachedPartition {
    key: PartitionKey,
    requested: RequestedPartition,
    sent: SentOffsets,
}

/// One incremental fetch session.
#[derive(Debug)]
pub(crate) struct FetchSession {
    /// The epoch that the next request must have.
    next_epoch: i32,
    uses_topic_ids: bool,
    last_used: Instant,
    /// In the order in which the partitions are served; who got records goes to the end.
    cached: BTreeMap<u64, CachedPartition>,
    places: BTreeMap<PartitionKey, u64>,
    next_place: u64,
}

impl FetchSession {
    const fn new(uses_topic_ids: bool, now: Instant) -> Self {
        Self {
            next_epoch: 1,
            uses_topic_ids,
            last_used: now,
            cached: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        }
    }

    pub(crate) const fn next_epoch(&self) -> i32 {
        self.next_epoch
    }

    pub(crate) const fn uses_topic_ids(&self) -> bool {
        self.uses_topic_ids
    }

    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&PartitionKey, &RequestedPartition)> {
        self.cached
            .values()
            .map(|cached| (&cached.key, &cached.requested))
    }

    fn put(&mut self, key: PartitionKey, requested: RequestedPartition, sent: Option<SentOffsets>) {
        let known = self
            .places
            .get(&key)
            .and_then(|place| self.cached.get_mut(place));
        if let Some(known) = known {
            known.requested = requested;
            known.sent = sent.unwrap_or(known.sent);
            return;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(key.clone(), place);
        self.cached.insert(
            place,
            CachedPartition {
                key,
                requested,
                sent: sent.unwrap_or(SentOffsets::NOTHING),
            },
        );
    }

    /// Takes what an incremental request adds, changes and forgets.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        requested: impl IntoIterator<Item = (PartitionKey, RequestedPartition)>,
        forgotten: impl IntoIterator<Item = PartitionKey>,
    ) {
        self.last_used = now;
        for (key, requested) in requested {
            self.put(key, requested, None);
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(&key) {
                self.cached.remove(&place);
            }
        }
        // `FetchMetadata.nextEpoch`: after the largest comes 1, since 0 opens a session.
        self.next_epoch = self.next_epoch.checked_add(1).unwrap_or(1);
    }

    /// Whether an incremental response must name the partition, and what the client knows then
    /// (`CachedPartition.maybeUpdateResponseData`).
    pub(crate) fn update_sent(&mut self, key: &PartitionKey, outcome: Outcome) -> bool {
        let Some(place) = self.places.get(key).copied() else {
            return true;
        };
        let Some(cached) = self.cached.get_mut(&place) else {
            return true;
        };
        let news = outcome.has_records || outcome.is_error || cached.sent != outcome.sent;
        cached.sent = outcome.sent;
        if outcome.is_error {
            cached.sent.high_watermark = -1;
        }
        if outcome.has_records {
            self.move_to_end(place);
        }
        news
    }

    fn move_to_end(&mut self, place: u64) {
        if let Some(cached) = self.cached.remove(&place) {
            let (key, requested, sent) = (cached.key, cached.requested, cached.sent);
            self.places.remove(&key);
            self.put(key, requested, Some(sent));
        }
    }
}

/// The fetch sessions of one broker.
#[derive(Debug, Default)]
pub(crate) struct FetchSessions(BTreeMap<i32, FetchSession>);

impl FetchSessions {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn get_mut(&mut self, id: i32) -> Option<&mut FetchSession> {
        self.0.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: i32) {
        self.0.remove(&id);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn contains(&self, id: i32) -> bool {
        self.0.contains_key(&id)
    }

    /// Opens a session under `id`, if there is room or a session that may be evicted for it.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        id: i32,
        uses_topic_ids: bool,
        partitions: impl IntoIterator<Item = (PartitionKey, RequestedPartition, SentOffsets)>,
        sessions_max: usize,
    ) -> bool {
        if self.0.len() >= sessions_max && !self.evict(now) {
            return false;
        }
        let mut session = FetchSession::new(uses_topic_ids, now);
        for (key, requested, sent) in partitions {
            session.put(key, requested, Some(sent));
        }
        self.0.insert(id, session);
        true
    }

    fn evict(&mut self, now: Instant) -> bool {
        let oldest = self.0.iter().min_by_key(|(_, session)| session.last_used);
        let stale = oldest.filter(|(_, session)| now.since(session.last_used) > EVICTABLE_AFTER);
        let Some(id) = stale.map(|(id, _)| *id) else {
            return false;
        };
        self.0.remove(&id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey {
            topic: TopicKey::Name("t".to_owned()),
            partition,
        }
    }

    const WANTED: RequestedPartition = RequestedPartition {
        offset: 0,
        bytes_max: 100,
        known_epoch: None,
    };
    const SENT: SentOffsets = SentOffsets {
        high_watermark: 5,
        log_start_offset: 0,
    };

    fn opened() -> FetchSessions {
        let mut sessions = FetchSessions::new();
        let partitions = [(key(0), WANTED, SENT), (key(1), WANTED, SENT)];
        assert!(sessions.open(Instant::ZERO, 7, false, partitions, 1));
        sessions
    }

    fn outcome(has_records: bool, high_watermark: i64) -> Outcome {
        let sent = SentOffsets {
            high_watermark,
            log_start_offset: 0,
        };
        Outcome {
            sent,
            has_records,
            is_error: false,
        }
    }

    #[test]
    fn a_response_has_only_changes_and_served_partitions_go_last() {
        let mut sessions = opened();
        let session = sessions.get_mut(7).unwrap();
        assert!(!session.update_sent(&key(0), outcome(false, 5)));
        assert!(session.update_sent(&key(0), outcome(true, 6)));
        assert!(!session.update_sent(&key(0), outcome(false, 6)));
        let order: Vec<_> = session.partitions().map(|(key, _)| key.partition).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn an_error_is_in_every_response() {
        let mut sessions = opened();
        let session = sessions.get_mut(7).unwrap();
        let error = Outcome {
            is_error: true,
            ..outcome(false, -1)
        };
        assert!(session.update_sent(&key(0), error));
        assert!(session.update_sent(&key(0), error));
        assert!(session.update_sent(&key(0), outcome(false, 5)));
    }

    #[test]
    fn requests_add_change_and_forget() {
        let mut sessions = opened();
        let session = sessions.get_mut(7).unwrap();
        let later = RequestedPartition {
            offset: 9,
            ..WANTED
        };
        session.update(Instant::ZERO, [(key(1), later), (key(2), WANTED)], [key(0)]);
        let now: Vec<_> = session
            .partitions()
            .map(|(k, w)| (k.partition, w.offset))
            .collect();
        assert_eq!(now, [(1, 9), (2, 0)]);
        assert_eq!(session.next_epoch(), 2);
    }

    #[test]
    fn a_full_cache_evicts_only_what_is_stale() {
        let mut sessions = opened();
        assert!(!sessions.open(Instant::ZERO, 8, false, [], 1));
        let later = Instant::ZERO.after(EVICTABLE_AFTER * 2);
        assert!(sessions.open(later, 8, false, [], 1));
        assert!(sessions.get_mut(7).is_none());
    }
}
