//! The table of waits: what a session waits for, until when, and what becomes of it then.

use crate::api;
use crate::connection::Leg;
use crate::error::{Ending, Wait, WaitRow};
use crate::mutation::mutation;
use crate::session::Session;
use crate::session::timers::FirstResponse;
use crate::time::Instant;

/// A row for each wait: its name as a reason to close, until when a session waits, what is still
/// done once that time has come, and what has happened then.
macro_rules! waits {
    ($(
        $(#[$doc:meta])+
        $wait:ident = $name:literal, $until:expr, $ending:expr, $meaning:literal;
    )+) => {
        impl Wait {
            $(
                $(#[$doc])+
                pub const $wait: Self = Self::new(&WaitRow { name: $name, ending: $ending });
            )+

            /// The names of all waits, each with what has happened: they follow
            /// [`crate::CloseReason::MEANINGS`] in the documentation.
            pub const MEANINGS: &[(&str, &str)] = &[$(($name, $meaning)),+];
        }

        impl Session {
            /// Hands out everything that is waited for, with its deadline.
            #[inline(always)]
            pub(super) fn each_wait(&self, mut waits: impl FnMut(Instant, Wait)) {
                $(
                    if let Some(at) = self.until($until) {
                        waits(at, Wait::$wait);
                    }
                )+
            }
        }
    };
}

// Of several that end at the same time the first counts.
waits! {
    /// The rest of a request that had begun.
    CLIENT_FRAME = "client_frame_stalled", |it| it.frame_deadline(Leg::Client),
        Ending::CLIENT_FAULT, "A request began and did not go on";
    /// The rest of a response that had begun.
    UPSTREAM_FRAME = "upstream_frame_stalled", |it| it.frame_deadline(Leg::Upstream),
        Ending::FLUSH, "A response began and did not go on";
    /// Anything at all.
    IDLE = "idle", Self::idle_deadline,
        Ending::IDLE, "Nothing happened for long";
    /// The client to log in.
    LOGIN = "login_timeout", Self::login_deadline,
        Ending::CLIENT_FAULT, "The client did not log in in time";
    /// The upstream's response.
    RESPONSE = "request_timeout", Self::response_deadline,
        Ending::BROKER_GONE, "The broker sent no response in time";
    /// The first response on a connection to the upstream: nobody may be there at all.
    FIRST_RESPONSE = "first_response_timeout", Self::first_response_deadline,
        Ending::BROKER_GONE,
        "The broker took the first request of a connection and sent nothing in time: what \
        accepts connections there may be no broker, or want TLS";
    /// The client to take its bytes.
    CLIENT_WRITE = "client_write_stalled", |it| it.write_deadline(Leg::Client),
        Ending::CLIENT_STALLED, "The client did not take what was due to it";
    /// The broker to take its bytes.
    UPSTREAM_WRITE = "upstream_write_stalled", |it| it.write_deadline(Leg::Upstream),
        Ending::BROKER_GONE, "The broker did not take what was due to it";
    /// Room for requests that have to be buffered.
    CLIENT_BUFFER = "buffer_timeout_client", |it| it.buffer_deadline(Leg::Client),
        Ending::CLIENT_FAULT,
        "Requests had to be buffered, and for `buffer_timeout` there was no room for them in \
        what all clients, or this client's address, may make doorkeeper buffer";
    /// Room for a response that has to be buffered.
    UPSTREAM_BUFFER = "buffer_timeout_upstream", |it| it.buffer_deadline(Leg::Upstream),
        Ending::FLUSH,
        "A response had to be buffered, and for `buffer_timeout` there was no room for it in \
        what brokers may make doorkeeper buffer for all clients, or for this client's address";
}

impl Session {
    #[inline(always)]
    fn until(&self, deadline: impl FnOnce(&Self) -> Option<Instant>) -> Option<Instant> {
        deadline(self)
    }

    /// A frame that has begun must go on, as long as we are willing to read it.
    #[inline(always)]
    fn frame_deadline(&self, leg: Leg) -> Option<Instant> {
        if !self.room.of(leg) || self.paused_since(leg).is_some() {
            return None;
        }
        let stall = self.snapshot.limits.frame_stall_timeout;
        match leg {
            Leg::Client => self.requests.deadline(stall),
            Leg::Upstream => self.responses.deadline(stall),
        }
    }

    /// A leg that would be read, and for which there is no room to buffer more, does not wait for
    /// ever: those who wait for each other must end.
    #[inline(always)]
    fn buffer_deadline(&self, leg: Leg) -> Option<Instant> {
        let since = self.paused_since(leg)?;
        let is_read = match leg {
            Leg::Client => !self.is_finishing() && !self.takes_no_more(),
            Leg::Upstream => true,
        };
        let waits = is_read && self.room.of(leg);
        waits.then(|| since.after(self.snapshot.limits.buffer_timeout))
    }

    /// A peer must take what is due to it.
    #[inline(always)]
    fn write_deadline(&self, leg: Leg) -> Option<Instant> {
        let pace = self.timers.due(leg)?;
        let stall = self.snapshot.limits.write_stall_timeout;
        Some(match leg {
            Leg::Client => pace.deadline(stall),
            // A broker that throttles takes no bytes meanwhile, and as few as a quota allows: it
            // does not say so of a Produce with acks=0.
            Leg::Upstream => {
                let muted_until = self.in_flight.muted_until();
                pace.deadline_of_any(stall).max(muted_until.after(stall))
            }
        })
    }

    /// However a login goes on, it has one deadline from its beginning.
    #[inline(always)]
    fn login_deadline(&self) -> Option<Instant> {
        let login = self.login.as_ref().filter(|_| !self.is_finishing())?;
        login.deadline()
    }

    /// Where nobody has to log in, a client that has sent nothing yet is idle as any other, as in
    /// Kafka; how many of these there may be is for the driver to limit.
    #[inline(always)]
    fn idle_deadline(&self) -> Option<Instant> {
        let is_quiet = self.in_flight.is_empty()
            && self.client.egress.is_empty()
            && self.upstream.requests.is_empty();
        let waits = is_quiet && !(mutation!(self, NeverFirstFrame) && self.is_opening());
        waits.then(|| {
            self.timers
                .last_active()
                .after(self.snapshot.limits.idle_timeout)
        })
    }

    /// What the broker has shown on the connection, if its response is waited for. One that has
    /// begun is waited for as a frame instead, and one that we do not read, because the client does
    /// not, is not late.
    #[inline(always)]
    fn awaits_response(&self) -> Option<FirstResponse> {
        let is_read = self.room.responses && self.responses.paused_since.is_none();
        let begun = self.responses.pace.is_some();
        let forever = mutation!(self, WaitForever);
        if begun || forever || !is_read {
            return None;
        }
        let first_response = *self.upstream.open()?;
        if mutation!(self, HurryLaterResponses) && first_response == FirstResponse::Begun {
            return Some(FirstResponse::AwaitedSince(Instant::ZERO));
        }
        Some(first_response)
    }

    /// Without a request that the broker has taken, its first response is late as any other is.
    #[inline(always)]
    fn response_deadline(&self) -> Option<Instant> {
        match self.awaits_response()? {
            FirstResponse::NotAwaited | FirstResponse::Begun => {
                let limit = self.snapshot.limits.request_timeout;
                self.in_flight.deadline(Instant::ZERO, limit)
            }
            FirstResponse::AwaitedSince(_) => None,
        }
    }

    /// Whether anybody is there at all must show within the limit of a connection. The first
    /// request of Kafka's clients is one that brokers respond to at once (ApiVersions, Metadata);
    /// what another one asks the broker to wait comes on top.
    #[inline(always)]
    fn first_response_deadline(&self) -> Option<Instant> {
        let FirstResponse::AwaitedSince(since) = self.awaits_response()? else {
            return None;
        };
        let limits = &self.snapshot.limits;
        let may_wait = self
            .in_flight
            .front()
            .is_some_and(|slot| api::request_wait_is_unread(slot.api, slot.version, slot.bytes));
        let limit = if may_wait {
            limits.request_timeout
        } else {
            limits.connect_timeout.min(limits.request_timeout)
        };
        self.in_flight.deadline(since, limit)
    }
}
