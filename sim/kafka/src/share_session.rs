//! Share sessions (KIP-932): `ShareSessionCache`, `ShareSession` and `ShareSessionContext`.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::connection::ConnectionId;

/// A partition by its topic's id and its number.
pub(crate) type TopicIdPartition = (Uuid, i32);

/// Whose session it is: a member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reader {
    pub(crate) group: String,
    pub(crate) member: String,
}

/// What one member reads from one broker.
#[derive(Debug)]
pub(crate) struct ShareSession {
    /// The epoch that the next request must have.
    next_epoch: i32,
    /// It ends with the connection that it was opened on.
    connection: ConnectionId,
    /// In the order in which partitions are served; who got records goes to the end. Whether the
    /// next response must name it.
    cached: BTreeMap<u64, (TopicIdPartition, bool)>,
    places: BTreeMap<TopicIdPartition, u64>,
    next_place: u64,
}

impl ShareSession {
    fn new(connection: ConnectionId, places: impl IntoIterator<Item = TopicIdPartition>) -> Self {
        let mut session = Self {
            next_epoch: 1,
            connection,
            cached: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        };
        for place in places {
            session.put(place, false);
        }
        session
    }

    pub(crate) const fn next_epoch(&self) -> i32 {
        self.next_epoch
    }

    /// `ShareRequestMetadata.nextEpoch`: after the largest comes 1, since 0 opens a session.
    pub(crate) fn begin_next(&mut self) {
        self.next_epoch = self.next_epoch.checked_add(1).unwrap_or(1);
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = TopicIdPartition> {
        self.cached.values().map(|(place, _)| *place)
    }

    fn put(&mut self, place: TopicIdPartition, is_new: bool) {
        if self.places.contains_key(&place) {
            return;
        }
        self.places.insert(place, self.next_place);
        self.cached.insert(self.next_place, (place, is_new));
        self.next_place += 1;
    }

    /// Takes what a request adds and forgets.
    pub(crate) fn update(
        &mut self,
        added: impl IntoIterator<Item = TopicIdPartition>,
        forgotten: impl IntoIterator<Item = TopicIdPartition>,
    ) {
        for place in added {
            self.put(place, true);
        }
        for place in forgotten {
            if let Some(at) = self.places.remove(&place) {
                self.cached.remove(&at);
            }
        }
    }

    /// Whether a response must name the partition (`CachedSharePartition.maybeUpdateResponseData`).
    pub(crate) fn update_sent(
        &mut self,
        place: TopicIdPartition,
        has_records: bool,
        is_error: bool,
    ) -> bool {
        let known = self.places.get(&place).copied();
        let Some((_, is_owed)) = known.and_then(|at| self.cached.get_mut(&at)) else {
            return true;
        };
        let must = has_records || is_error || *is_owed;
        *is_owed = is_error;
        if has_records && let Some(at) = self.places.remove(&place) {
            self.cached.remove(&at);
            self.put(place, is_error);
        }
        must
    }
}

/// The share sessions of one broker.
#[derive(Debug, Default)]
pub(crate) struct ShareSessions(BTreeMap<Reader, ShareSession>);

impl ShareSessions {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn get_mut(&mut self, reader: &Reader) -> Option<&mut ShareSession> {
        self.0.get_mut(reader)
    }

    pub(crate) fn contains(&self, reader: &Reader) -> bool {
        self.0.contains_key(reader)
    }

    pub(crate) fn remove(&mut self, reader: &Reader) -> Option<ShareSession> {
        self.0.remove(reader)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Opens a session in the place of the one that the reader had. False if there is no room.
    pub(crate) fn open(
        &mut self,
        reader: Reader,
        connection: ConnectionId,
        places: impl IntoIterator<Item = TopicIdPartition>,
        sessions_max: usize,
    ) -> bool {
        self.0.remove(&reader);
        if self.0.len() >= sessions_max {
            return false;
        }
        let session = ShareSession::new(connection, places);
        self.0.insert(reader, session);
        true
    }

    /// Takes out the sessions that end with a connection.
    pub(crate) fn end_with(&mut self, connection: ConnectionId) -> Vec<(Reader, ShareSession)> {
        let ends = |_: &Reader, session: &mut ShareSession| session.connection == connection;
        self.0.extract_if(.., ends).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: TopicIdPartition = (Uuid::from_u128(1), 0);
    const OTHER: TopicIdPartition = (Uuid::from_u128(1), 1);

    #[test]
    fn a_response_has_only_changes_and_served_partitions_go_last() {
        let mut session = ShareSession::new(ConnectionId(1), [PLACE, OTHER]);
        assert!(!session.update_sent(PLACE, false, false));
        assert!(session.update_sent(PLACE, true, false));
        assert!(session.places().eq([OTHER, PLACE]));
        // What has failed is in a response once more when it is well.
        assert!(session.update_sent(OTHER, false, true));
        assert!(session.update_sent(OTHER, false, false));
        assert!(!session.update_sent(OTHER, false, false));
    }

    #[test]
    fn added_partitions_are_reported_and_forgotten_ones_are_not_read() {
        let mut session = ShareSession::new(ConnectionId(1), [PLACE]);
        session.update([OTHER, PLACE], [PLACE]);
        assert!(session.places().eq([OTHER]));
        assert!(session.update_sent(OTHER, false, false));
    }

    #[test]
    fn sessions_end_with_their_connections() {
        let mut sessions = ShareSessions::new();
        let reader = Reader {
            group: "g".to_owned(),
            member: "m".to_owned(),
        };
        assert!(sessions.open(reader.clone(), ConnectionId(1), [PLACE], 1));
        assert!(sessions.end_with(ConnectionId(2)).is_empty());
        assert_eq!(sessions.end_with(ConnectionId(1)).len(), 1);
        assert!(!sessions.contains(&reader));
    }
}
