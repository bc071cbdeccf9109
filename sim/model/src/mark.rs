//! States that a test run claims to reach: a bit each for every session, set by the watch.
//!
//! A simulation that never buffers a request says nothing about buffering, however long it runs.
//! It therefore counts which marks fired, and one that never does fails the run. A mark decides
//! nothing: setting one is a single `or`.

macro_rules! marks {
    ($($(#[$doc:meta])+ $mark:ident = $name:literal,)+) => {
        /// A state worth reaching.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark { $($(#[$doc])+ $mark,)+ }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mark),+];

            /// The name that reports use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mark => $name),+ }
            }
        }
    };
}

marks! {
    /// A response of ours waits for one of the broker.
    DenialBehindResponse = "denial buffered behind a response",
    /// Of a Produce to several topics a part was denied, and the rest went up.
    ProduceBufferedThenForwarded = "mixed produce buffered then forwarded",
    /// All of a Produce that was buffered is denied.
    ProduceBufferedThenDenied = "produce buffered then denied",
    /// A frame that had to be buffered grew too large.
    BufferLimitHit = "buffer limit hit",
    /// A denied Produce with acks=0 closed the session.
    DeniedAcksZero = "acks=0 denied",
    /// The client is not read because the broker takes no bytes.
    ClientPausedByUpstream = "client paused by upstream",
    /// The broker is not read because the client takes no bytes.
    UpstreamPausedByClient = "upstream paused by client",
    /// The client is not read because it is owed too many responses.
    ClientPausedByResponsesOwed = "client paused by responses owed",
    /// A newer snapshot came while responses were owed.
    ReloadWithResponsesOwed = "reload between two pipelined requests",
    /// A newer snapshot came in the middle of a request.
    ReloadInsideRequest = "reload inside a request",
    /// The client reset the connection in the middle of a Produce.
    ResetInsideProduce = "reset inside a produce",
    /// A response was edited that had come in several pieces.
    EditedAcrossChunks = "endpoints edited across a chunk border",
    /// The addresses behind the records of a long response were made unreadable.
    TailBlanked = "addresses behind records blanked",
    /// An endpoint without an address of ours was left out.
    EndpointDropped = "endpoint without an address dropped",
    /// A Fetch that goes on in a session was denied.
    FetchSessionDenied = "fetch session denied",
    /// The same, on a connection that had lived through a reload.
    FetchSessionDeniedAfterReload = "fetch session denied after reload",
    /// A topic id whose name nobody knows was denied.
    UnknownTopicIdDenied = "unknown topic id denied",
    /// A drain began while responses were owed.
    DrainWithResponsesOwed = "drain with responses owed",
    /// The broker that the session is connected to has moved.
    BrokerMovedWhileConnected = "broker moved while connected",
    /// The client left while its broker was being dialled, and its requests went up all the same.
    ConnectedAfterClientLeft = "connected after the client left",
    /// A second attempt to connect was made.
    ConnectRetried = "connect retried",
    /// A session waited for the topology to say where its broker is.
    WaitedForTopology = "waited for the topology",
    /// A response had another correlation id than the one that was due.
    CorrelationMismatch = "correlation mismatch closed",
    /// Requests that were read whole went up after their client had left.
    FlushedAfterClientLeft = "last requests flushed after the client left",
    /// The client ended its half while responses were owed.
    HalfClosedWithResponsesOwed = "half-closed with responses owed",
    /// The client broke a rule while responses were owed to requests before.
    FaultWithResponsesOwed = "fault with responses owed",
    /// An ApiVersions request of an unknown version got its response here.
    UnknownApiVersionsVersion = "unknown ApiVersions version",
}

/// The marks that one session has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// Notes that a state was reached.
    pub(crate) const fn set(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u64;
    }

    /// Whether it was reached.
    #[must_use]
    pub const fn has(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u64) != 0
    }

    /// All that were reached, in their order.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL
            .iter()
            .copied()
            .filter(move |mark| self.has(*mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_a_bit_and_a_name_of_its_own() {
        let mut marks = Marks::default();
        let mut names = std::collections::BTreeSet::new();
        for mark in Mark::ALL {
            assert!(!marks.has(*mark));
            marks.set(*mark);
            assert!(marks.has(*mark) && names.insert(mark.name()));
        }
        assert!(marks.iter().eq(Mark::ALL.iter().copied()));
    }
}
