//! Bugs that are planted on purpose, to show that the simulator would find them.
//!
//! Nothing of it is in a product build: `mutation!(..)` is `false` unless everything was built with
//! `--cfg doorkeeper_mutants`, and then [`crate::Accept`] names the one that is active.

#[cfg(doorkeeper_mutants)]
macro_rules! mutations {
    ($($(#[$doc:meta])+ $mutation:ident,)+) => {
        /// One planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation { $($(#[$doc])+ $mutation,)+ }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mutation),+];

            /// The name that reports use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mutation => stringify!($mutation)),+ }
            }
        }
    };
}

#[cfg(doorkeeper_mutants)]
mutations! {
    /// Framing: a response that passes is taken to be one byte shorter when it came in pieces.
    FrameEndsEarly,
    /// Order: acks=0 takes a slot.
    SlotForAcksZero,
    /// Order: any correlation id will do.
    AnyCorrelationId,
    /// Back-pressure: upstream is read however much the client is due.
    IgnoreClientEgress,
    /// Back-pressure: the client is read however many responses it is owed.
    IgnoreResponsesOwed,
    /// Back-pressure: upstream is read without end for a client that has reset.
    ReadForNobody,
    /// Limits: a buffered frame may grow without end.
    IgnoreBufferLimit,
    /// Editing: the length prefix stays what it was.
    ForgetLength,
    /// Rewriting: DescribeCluster version 1 passes as it came.
    LeakDescribeCluster,
    /// Editing in place: the addresses behind the records of a long response pass.
    LeakTail,
    /// Topology: the session for one broker dials the next.
    DialWrongBroker,
    /// Policy: the first denied topic of a mixed request is let through.
    SkipDenial,
    /// Policy: a request of an API that clients are denied goes up.
    PassDeniedApi,
    /// Policy: a fetch session goes on under a policy.
    KeepFetchSession,
    /// Policy: the response says nothing of what was denied.
    ForgetDenied,
    /// Drain: requests are still taken.
    DrainTakesRequests,
    /// Close: a client's fault drops the responses that are owed to requests before it.
    FaultDropsResponses,
    /// Time: nothing limits the wait for a response.
    WaitForever,
    /// Time: what a broker says of its throttle is forgotten.
    ForgetThrottle,
    /// Time: each response has the limit of the first one.
    HurryLaterResponses,
    /// Time: a session that waits for its connection has no deadline.
    StuckConnecting,
    /// Time: a client that never sends a frame is not idle.
    NeverFirstFrame,
}

/// Whether this planted bug is active in a session that was accepted so.
#[cfg(doorkeeper_mutants)]
macro_rules! mutation {
    ($session:expr, $mutation:ident) => {
        $session.accept.mutation == Some(crate::mutation::Mutation::$mutation)
    };
}

/// Whether a planted bug is active: never.
#[cfg(not(doorkeeper_mutants))]
macro_rules! mutation {
    ($session:expr, $mutation:ident) => {
        false
    };
}

pub(crate) use mutation;
