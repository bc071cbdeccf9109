//! What is still done once there is a reason to close, and for whom.

/// What is still done once there is a reason to close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) requests: Requests,
    /// What is due to the client: responses, and the beginning of one that passed as it came.
    pub(crate) client: Due,
    /// What is due to the broker.
    pub(crate) broker: Due,
    /// Whether the client could lose the last responses by being dropped: it may still send.
    pub(crate) may_send: bool,
}

/// What becomes of requests that were read whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Requests {
    /// Each is sent up and gets its response, which has the deadline that it always has.
    AwaitResponses,
    /// The same, as far as `flush_timeout` reaches.
    AwaitUntilFlushed,
    /// Each is sent up, and its response read, as far as one `request_timeout` reaches for all:
    /// nobody takes them.
    AwaitForNobody,
    /// No response is waited for any more.
    Forget,
}

/// What becomes of bytes that have not been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// They are written, as far as `flush_timeout` reaches.
    Given,
    Dropped,
}

impl Ending {
    /// The client has sent all that it will, and may still read.
    pub(crate) const CLIENT_HALF_CLOSED: Self = Self {
        requests: Requests::AwaitResponses,
        client: Due::Given,
        broker: Due::Given,
        may_send: false,
    };

    /// The client is gone, and its requests were read before.
    pub(crate) const CLIENT_RESET: Self = Self {
        requests: Requests::AwaitForNobody,
        client: Due::Dropped,
        broker: Due::Given,
        may_send: false,
    };

    /// The client broke a rule behind requests that broke none.
    pub(crate) const CLIENT_FAULT: Self = Self {
        requests: Requests::AwaitUntilFlushed,
        client: Due::Given,
        broker: Due::Given,
        may_send: true,
    };

    /// The client does not take what is due to it.
    pub(crate) const CLIENT_STALLED: Self = Self {
        requests: Requests::Forget,
        client: Due::Dropped,
        broker: Due::Given,
        may_send: false,
    };

    /// Nothing is owed.
    pub(crate) const IDLE: Self = Self {
        requests: Requests::Forget,
        client: Due::Given,
        broker: Due::Given,
        may_send: false,
    };

    /// The broker sends no response any more, or the next ones cannot be given in their turn.
    pub(crate) const BROKER_GONE: Self = Self {
        requests: Requests::Forget,
        client: Due::Given,
        broker: Due::Dropped,
        may_send: true,
    };

    /// Nobody gets anything more.
    pub(crate) const REVOKED: Self = Self {
        requests: Requests::Forget,
        client: Due::Dropped,
        broker: Due::Dropped,
        may_send: false,
    };

    /// What is due already is all that is given: to buffer or to wait for more is no choice.
    pub(crate) const FLUSH: Self = Self {
        requests: Requests::Forget,
        client: Due::Given,
        broker: Due::Given,
        may_send: true,
    };
}
