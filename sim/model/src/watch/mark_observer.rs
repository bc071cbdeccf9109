//! Which of the states that runs claim to reach a session has reached: seen from outside, in what
//! goes in and what comes out.

use doorkeeper_core::api::keys::{API_VERSIONS, FETCH, PRODUCE, SHARE_FETCH};
use doorkeeper_core::error::{ClientFault, UpstreamFault};
use doorkeeper_core::event::{Event, Rewrites};
use doorkeeper_core::{CloseReason, Effect, End, Input, Leg, Route, Session, Snapshot};

use super::ledger::Ledger;
use crate::expected::{Denial, Fate, Head};
use crate::mark::{Mark, Marks};

/// A longer response to a Fetch passes while it is read.
const STREAMED_BYTES_MIN: usize = 64 * 1024;

/// The states that one session has reached, and what has to be remembered to tell.
#[derive(Debug, Default)]
pub(crate) struct MarkObserver {
    reached: Marks,
    /// How often it has dialled.
    attempts: u32,
    connected: bool,
    /// The input that is being dealt with is a snapshot.
    in_snapshot: bool,
    /// The response that is coming in began before the last input.
    began_earlier: bool,
    /// What was rewritten in it.
    rewrites: Rewrites,
    /// How many responses were owed when the client was not read any more.
    owed_when_unread: usize,
    is_read: bool,
}

impl MarkObserver {
    /// All of them.
    pub(crate) const fn reached(&self) -> Marks {
        self.reached
    }

    fn set(&mut self, mark: Mark, is_reached: bool) {
        if is_reached {
            self.reached.set(mark);
        }
    }

    /// A request has gone up, or its response has been given, as this fate has it.
    pub(crate) fn note_fate(&mut self, head: Head, fate: &Fate, is_renewed: bool) {
        let is_produce = head.api == PRODUCE;
        let denied = match fate {
            Fate::Local(Denial::NoFetchSession) => {
                self.set(Mark::FetchSessionDenied, true);
                self.set(Mark::FetchSessionDeniedAfterReload, is_renewed);
                return;
            }
            Fate::Local(Denial::All(denied)) => {
                self.set(Mark::ProduceBufferedThenDenied, is_produce);
                denied
            }
            Fate::Cut { denied, .. } => {
                self.set(Mark::ProduceBufferedThenForwarded, is_produce);
                denied
            }
            Fate::Local(Denial::UnknownVersion | Denial::Error { .. })
            | Fate::Closes
            | Fate::Passes { .. }
            | Fate::Unclear { .. } => return,
        };
        self.set(Mark::UnknownTopicIdDenied, denied.names_ids());
    }
}

impl Ledger {
    /// Notes what an input shows, before the session deals with it.
    pub(super) fn note_input(&mut self, input: &Input) {
        let owes = self.owed_to_taken() > 0;
        let is_amid_request = !self.rest_of(Leg::Client).is_empty();
        let is_amid_response = !self.rest_of(Leg::Upstream).is_empty();
        let serves = !self.is_closing();
        let marks = &mut self.marks;
        marks.in_snapshot = matches!(input, Input::Snapshot(_));
        match input {
            Input::Bytes { leg, .. } => {
                marks.began_earlier = *leg == Leg::Upstream && is_amid_response;
            }
            Input::Ended {
                leg: Leg::Client,
                how,
            } if serves => self.note_end_of_client(*how),
            Input::Connected => {
                marks.connected = true;
                let has_left = self.facts.client_ended.is_some() && serves;
                marks.set(Mark::ConnectedAfterClientLeft, has_left);
            }
            Input::Snapshot(snapshot) => {
                marks.set(Mark::ReloadWithResponsesOwed, owes);
                marks.set(Mark::ReloadInsideRequest, is_amid_request);
                let has_moved = self.marks.connected && self.moves_broker(snapshot);
                self.marks.set(Mark::BrokerMovedWhileConnected, has_moved);
            }
            Input::Drain { .. } => marks.set(Mark::DrainWithResponsesOwed, owes && serves),
            Input::Ended { .. }
            | Input::ConnectFailed(_)
            | Input::Evaluated(_)
            | Input::Token(_)
            | Input::Wrote { .. }
            | Input::BufferPaused(_)
            | Input::BufferResumed(_)
            | Input::BufferRejected
            | Input::ListenerRemoved { .. }
            | Input::Revoked(_)
            | Input::Tick => {}
        }
    }

    fn note_end_of_client(&mut self, how: End) {
        let owes = self.owed_to_taken() > 0;
        let key = self.rest_of(Leg::Client).get(4..6);
        let in_produce = key == Some(&PRODUCE.0.to_be_bytes());
        let goes_up = |fate: &Fate| matches!(fate, Fate::Passes { .. } | Fate::Cut { .. });
        let mut unsent = self.asked.iter().filter(|asked| !asked.sent);
        let is_unsent = unsent.any(|asked| asked.fates.iter().all(goes_up));
        let marks = &mut self.marks;
        match how {
            End::Fin => marks.set(Mark::HalfClosedWithResponsesOwed, owes),
            End::Reset | End::Truncated => marks.set(Mark::ResetInsideProduce, in_produce),
        }
        marks.set(Mark::FlushedAfterClientLeft, is_unsent);
    }

    /// Whether a snapshot has another address for the broker that the session is for.
    fn moves_broker(&self, next: &Snapshot) -> bool {
        let Route::Broker(broker) = self.route else {
            return false;
        };
        self.newest()
            .is_some_and(|now| now.topology.upstream(broker) != next.topology.upstream(broker))
    }

    /// Notes what an effect shows.
    pub(super) fn note_effect(&mut self, effect: &Effect) {
        let marks = &mut self.marks;
        match effect {
            Effect::Connect(_) => {
                marks.set(Mark::ConnectRetried, marks.attempts > 0);
                marks.set(Mark::WaitedForTopology, marks.in_snapshot);
                marks.attempts += 1;
            }
            Effect::Report(event) => marks.note_event(event),
            Effect::Close(reason) => marks.note_close(*reason),
            Effect::Evaluate(_)
            | Effect::RequestToken(_)
            | Effect::Learn(_)
            | Effect::Finish(_) => {}
        }
    }

    /// Whether a response of doorkeeper's own waits for one of the broker.
    fn is_denial_behind_response(&self) -> bool {
        let is_local = |fate: &Fate| matches!(fate, Fate::Local(_));
        let mut owed = self
            .taken_requests()
            .filter(|asked| asked.response.is_none() && asked.fates.iter().any(Fate::is_owed));
        let front = owed.next();
        front.is_some_and(|front| !front.fates.iter().any(is_local))
            && owed.any(|asked| asked.fates.iter().all(is_local))
    }

    /// Notes what the session looks like when it has dealt with an input.
    pub(super) fn note_state(&mut self, session: &Session) {
        let owed = self.owed_to_taken();
        let Some(limits) = self.newest().map(|snapshot| snapshot.limits.clone()) else {
            return;
        };
        let is_full = |leg| session.egress(leg).pinned() >= limits.egress_high_bytes;
        let is_read = session.demand().read_client;
        let is_behind = self.is_denial_behind_response();
        // Nothing is due to a broker before it is connected.
        let unsent = self.taken_requests().map(|asked| asked.frame.len());
        let is_unsent = unsent.sum::<usize>() >= limits.egress_high_bytes;
        let marks = &mut self.marks;
        if marks.is_read && !is_read {
            marks.owed_when_unread = owed;
        }
        marks.is_read = is_read;
        if session.is_closing() {
            return;
        }
        marks.set(Mark::DenialBehindResponse, is_behind);
        let is_full_upwards = is_full(Leg::Upstream) || is_unsent;
        marks.set(Mark::ClientPausedByUpstream, is_full_upwards);
        marks.set(Mark::UpstreamPausedByClient, is_full(Leg::Client));
        marks.set(
            Mark::ClientPausedByResponsesOwed,
            owed >= limits.in_flight_max,
        );
    }
}

impl MarkObserver {
    fn note_event(&mut self, event: &Event) {
        match event {
            Event::Response {
                local: true, api, ..
            } => self.set(Mark::UnknownApiVersionsVersion, *api == API_VERSIONS),
            Event::Response {
                local: false,
                api,
                bytes,
                ..
            } => {
                let is_fetched = matches!(*api, FETCH | SHARE_FETCH);
                let is_streamed = is_fetched && *bytes > STREAMED_BYTES_MIN;
                let has_dropped = self.rewrites.dropped > 0;
                self.set(Mark::TailBlanked, has_dropped && is_streamed);
                self.set(Mark::EndpointDropped, has_dropped && !is_streamed);
                self.rewrites = Rewrites::default();
                self.began_earlier = false;
            }
            Event::Rewrote(rewrites) => {
                let in_pieces = self.began_earlier && rewrites.rewritten > 0;
                self.set(Mark::EditedAcrossChunks, in_pieces);
                self.rewrites = *rewrites;
            }
            Event::UpstreamConnected { .. }
            | Event::UpstreamAttemptFailed { .. }
            | Event::Request { .. }
            | Event::LoginSucceeded { .. }
            | Event::UpstreamLoggedIn { .. }
            | Event::UpstreamLoginFailed { .. }
            | Event::LoginFailed { .. }
            | Event::SaslWithoutLogin => {}
        }
    }

    fn note_close(&mut self, reason: CloseReason) {
        let owed = self.owed_when_unread > 0;
        self.set(
            Mark::FaultWithResponsesOwed,
            reason.is_fault_of_client() && owed,
        );
        let is_limit = matches!(reason, CloseReason::BufferLimit(_));
        self.set(Mark::BufferLimitHit, is_limit);
        let is_denied = reason == CloseReason::Client(ClientFault::DeniedAcksZero);
        self.set(Mark::DeniedAcksZero, is_denied);
        let is_mismatch = reason == CloseReason::Upstream(UpstreamFault::CorrelationMismatch);
        self.set(Mark::CorrelationMismatch, is_mismatch);
        let is_unknown = matches!(
            reason,
            CloseReason::BrokerUnknown(_) | CloseReason::TopologyUnknown
        );
        self.set(Mark::WaitedForTopology, is_unknown);
    }
}
