//! 13: a session has one reason to close, given last, and true to what happened.

use std::time::Duration;

use doorkeeper_core::api::Access;
use doorkeeper_core::api::keys::{FIND_COORDINATOR, PRODUCE};
use doorkeeper_core::error::{ClientFault, UpstreamFault, Wait};
use doorkeeper_core::id::{ApiKey, ApiVersion};
use doorkeeper_core::{CloseReason, ConnectFailure, Effect, Instant, Leg, Route};

use crate::expected::{self, Fate, Head};
use crate::script::Tamper;
use crate::watch::{Decision, DueBytes, Ledger, LedgerRequest, Violation};

/// Nothing comes after the close.
pub(crate) fn is_last(ledger: &Ledger, effect: &Effect) -> Result<(), Violation> {
    match ledger.closed {
        Some(reason) => {
            let what = format!(
                "{} closed ({}), and then {effect:?}",
                ledger.id,
                reason.name()
            );
            Err(Violation::of(13, what))
        }
        None => Ok(()),
    }
}

/// Every peer that was not cut off has got the end of its leg.
pub(crate) fn legs_are_finished(ledger: &Ledger) -> Result<(), Violation> {
    for leg in [Leg::Client, Leg::Upstream] {
        let exists = leg == Leg::Client || ledger.facts.reached.is_some();
        let finished = ledger.facts.finished.contains(&leg);
        if exists && !finished && !ledger.facts.had_bytes_due(leg) {
            let what = format!(
                "{} closed without finishing its {} leg",
                ledger.id,
                leg.name()
            );
            return Err(Violation::of(13, what));
        }
    }
    Ok(())
}

/// The reason is one that the facts bear out.
pub(crate) fn is_true(ledger: &Ledger, reason: CloseReason) -> Result<(), Violation> {
    let Some(decision) = ledger.decision() else {
        return Ok(());
    };
    let Decision {
        snapshot, facts, ..
    } = &decision;
    let holds = match reason {
        CloseReason::ClientEnded(how) => facts.client_ended.map(|(_, how)| how) == Some(how),
        CloseReason::UpstreamEnded(how) => facts.upstream_ended.map(|(_, how)| how) == Some(how),
        CloseReason::Client(fault) => client_broke(ledger, fault),
        CloseReason::Upstream(fault) => broker_broke(ledger, fault),
        CloseReason::Unreachable(ConnectFailure::TimedOut) => facts.reached.is_none(),
        CloseReason::Unreachable(why) => facts.failed.last() == Some(&why),
        CloseReason::BrokerUnknown(broker) => {
            let known = snapshot.topology.upstream(broker).is_some();
            ledger.route == Route::Broker(broker) && !known
        }
        CloseReason::TopologyUnknown => snapshot.topology.is_empty(),
        CloseReason::BufferLimit(leg) => {
            let limits = ledger.snapshots.iter().map(|snapshot| match leg {
                Leg::Client => snapshot.limits.request_buffer_bytes_max,
                Leg::Upstream => snapshot.limits.response_buffer_bytes_max,
            });
            let least = limits.min().unwrap_or(0);
            let whole = ledger.asked.back().map_or(0, |asked| asked.frame.len());
            let rest = ledger.rest_of(leg);
            // A response says how long it will be, and so does a request that is denied; another
            // one may be authorized before its end.
            let claimed = match leg {
                Leg::Client if is_restricted(ledger, rest) => claimed(rest),
                Leg::Client => 0,
                Leg::Upstream => {
                    let whole = ledger.asked.iter().filter_map(|it| it.response.as_ref());
                    let longest = whole.map(|response| response.frame.len() + 4).max();
                    claimed(rest).max(longest.unwrap_or(0))
                }
            };
            rest.len().max(whole).max(claimed) > least
        }
        CloseReason::TimedOut(wait) => waited(ledger, &decision, wait),
        // Whoever has not asked for anything is owed nothing, nor is a request that still waited.
        CloseReason::Drained => facts.drain.is_some() && ledger.owed_to_taken() == 0,
        CloseReason::DrainExpired => facts.drain.is_some_and(|by| ledger.now >= by),
        CloseReason::BufferRejected => facts.buffer_rejected,
        // No script removes a listener or revokes a certificate.
        CloseReason::ListenerRemoved
        | CloseReason::ListenerRemovedExpired
        | CloseReason::Revoked(_) => false,
        // Nobody has to log in here.
        CloseReason::LoginFailed(_) | CloseReason::SessionExpired => false,
        CloseReason::Bug(_) => false,
    };
    if holds {
        return Ok(());
    }
    let what = format!(
        "{} closed for {}, which is not so",
        ledger.id,
        reason.name()
    );
    Err(Violation::of(13, what))
}

/// Whether all or some of the request that has begun may be denied.
fn is_restricted(ledger: &Ledger, rest: &[u8]) -> bool {
    let Some(head) = Head::of_request(rest) else {
        return false;
    };
    let mut rows = ledger.snapshots.iter().map(|it| it.offered.get(head.api));
    // A coordinator that serves brokers is denied as well.
    head.api == FIND_COORDINATOR || rows.any(|row| row.is_some_and(|row| row.access != Access::All))
}

/// The length of a frame that has begun, its prefix included.
fn claimed(rest: &[u8]) -> usize {
    let prefix = rest.first_chunk::<4>().map(|it| u32::from_be_bytes(*it));
    prefix.map_or(0, |length| length as usize + 4)
}

fn client_broke(ledger: &Ledger, fault: ClientFault) -> bool {
    // Whatever has not come whole could be anything.
    let rest = ledger.rest_of(Leg::Client);
    let begun = Head::of_request(rest).map(|head| (head, true));
    let whole = |asked: &LedgerRequest| (asked.head, asked.fates.iter().any(Fate::may_close));
    let all: Vec<(Head, bool)> = ledger.asked.iter().map(whole).chain(begun).collect();
    let broken = |request: Option<(ApiKey, Option<ApiVersion>)>| {
        all.iter().any(|(head, may_close)| {
            let is_it = request.is_none_or(|(api, version)| {
                api == head.api && version.is_none_or(|version| version.0 == head.version)
            });
            *may_close && is_it
        })
    };
    let offered = |api: ApiKey, wanted: Option<bool>| {
        let mut heads = all.iter().filter(|(head, _)| head.api == api);
        heads.any(|(head, _)| {
            let mut snapshots = ledger.snapshots.iter();
            snapshots.any(|snapshot| expected::offers(snapshot, *head) == wanted)
        })
    };
    if matches!(fault, ClientFault::FrameLength(_) | ClientFault::Speaks(_)) {
        return ledger.is_broken(Leg::Client) || length_is_wrong(ledger);
    }
    if let ClientFault::ApiNotOffered(api) = fault {
        return offered(api, None);
    }
    if let ClientFault::UnsupportedVersion(api, _) = fault {
        return offered(api, Some(false));
    }
    if fault == ClientFault::DeniedAcksZero {
        return broken(Some((PRODUCE, None)));
    }
    // Of any other fault all that counts is that a session may close for the request.
    broken(fault.request())
}

/// A length that is too small for a request, or larger than the limit.
fn length_is_wrong(ledger: &Ledger) -> bool {
    const REQUEST_BYTES_MIN: usize = 8;
    let limits = ledger
        .snapshots
        .iter()
        .map(|snapshot| snapshot.limits.frame_bytes_max);
    let most = limits.min().unwrap_or(0);
    let rest = ledger.rest_of(Leg::Client).first_chunk::<4>();
    let claimed = rest.map(|prefix| u32::from_be_bytes(*prefix) as usize);
    let whole = ledger
        .asked
        .back()
        .map(|asked| asked.frame.len().saturating_sub(4));
    let is_wrong = |length: usize| length < REQUEST_BYTES_MIN || length > most;
    claimed.into_iter().chain(whole).any(is_wrong) || ledger.facts.headless
}

fn broker_broke(ledger: &Ledger, fault: UpstreamFault) -> bool {
    let tampers = &ledger.facts.tampers;
    let limits = ledger
        .snapshots
        .iter()
        .map(|snapshot| snapshot.limits.frame_bytes_max);
    let claimed = ledger.rest_of(Leg::Upstream).first_chunk::<4>();
    let claimed = claimed.map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
    let responses = ledger
        .asked
        .iter()
        .filter_map(|asked| asked.response.as_ref());
    let largest = responses
        .map(|response| response.frame.len())
        .chain([claimed])
        .max()
        .unwrap_or(0);
    let is_long = ledger.is_broken(Leg::Upstream) || largest > limits.min().unwrap_or(0);
    let disorder = [Tamper::WrongId, Tamper::Extra, Tamper::Missing];
    let is_disordered = tampers.iter().any(|tamper| disorder.contains(tamper));
    if matches!(fault, UpstreamFault::FrameLength(_)) {
        return is_long;
    }
    if matches!(
        fault,
        UpstreamFault::Unsolicited | UpstreamFault::CorrelationMismatch
    ) {
        return is_disordered;
    }
    if matches!(fault, UpstreamFault::Malformed(..)) {
        return ledger.facts.broker_lied;
    }
    // Of any other fault all that counts is that the broker broke a rule.
    is_long || is_disordered || ledger.facts.broker_lied
}

/// So many bytes earn a peer that takes them a second more.
const BYTES_A_SECOND: u64 = 8 * 1024;

/// Whether a peer that does take bytes takes too few of them.
fn drips(due: DueBytes, now: Instant, stall: Duration) -> bool {
    let earned = Duration::from_secs(due.taken as u64 / BYTES_A_SECOND);
    now.since(due.since) >= stall + earned
}

/// The first request to which the broker owes a response.
fn first_without_response(ledger: &Ledger) -> Option<&LedgerRequest> {
    let owed = |asked: &&LedgerRequest| {
        asked.response.is_none()
            && asked
                .fates
                .iter()
                .any(|fate| fate.is_owed() && !fate.is_local())
    };
    ledger.asked.iter().find(owed)
}

/// What must have happened, or not have happened, for a wait to have ended without what was waited
/// for.
type WaitRule = fn(&Ledger, &Decision) -> bool;

/// The rules of single waits. Of every wait a deadline must have come.
const WAITS: [(Wait, WaitRule); 9] = [
    (Wait::CLIENT_FRAME, |ledger, _| {
        has_begun(ledger, Leg::Client)
    }),
    (Wait::UPSTREAM_FRAME, |ledger, _| {
        has_begun(ledger, Leg::Upstream)
    }),
    (Wait::IDLE, is_idle),
    (Wait::RESPONSE, response_is_late),
    (Wait::FIRST_RESPONSE, first_response_is_late),
    (Wait::CLIENT_WRITE, |ledger, decision| {
        let stall = decision.snapshot.limits.write_stall_timeout;
        let due = decision.facts.due(Leg::Client);
        let is_drip = due.is_some_and(|due| drips(due, decision.at, stall));
        is_still(ledger, decision, Leg::Client) || is_drip
    }),
    // A quota lets few bytes through, and the broker that keeps it does not always say so; while it
    // is muted it takes none.
    (Wait::UPSTREAM_WRITE, |ledger, decision| {
        let stall = decision.snapshot.limits.write_stall_timeout;
        let muted_until = decision.facts.muted_until;
        is_still(ledger, decision, Leg::Upstream) && decision.at >= muted_until.after(stall)
    }),
    (Wait::CLIENT_BUFFER, |_, decision| {
        has_no_room(decision, Leg::Client)
    }),
    (Wait::UPSTREAM_BUFFER, |_, decision| {
        has_no_room(decision, Leg::Upstream)
    }),
];

fn waited(ledger: &Ledger, decision: &Decision, wait: Wait) -> bool {
    let mut rules = WAITS.iter().filter(|(of, _)| *of == wait);
    decision.facts.deadline_came && rules.all(|(_, holds)| holds(ledger, decision))
}

fn has_begun(ledger: &Ledger, leg: Leg) -> bool {
    !ledger.rest_of(leg).is_empty()
}

fn is_idle(ledger: &Ledger, decision: &Decision) -> bool {
    let last = decision.facts.last_bytes.unwrap_or(ledger.opened);
    decision.at.since(last) >= decision.snapshot.limits.idle_timeout
}

/// A request that the broker does not take has no response either. Whatever came of the broker was
/// before the time for the next response began, and so was its throttle.
fn response_is_late(ledger: &Ledger, decision: &Decision) -> bool {
    let (limits, facts) = (&decision.snapshot.limits, &decision.facts);
    first_without_response(ledger).is_some_and(|asked| {
        let spoke = facts.broker_spoke.unwrap_or(ledger.opened);
        let since = spoke.max(facts.muted_until).max(ledger.opened);
        decision.at >= since.after(limits.request_timeout).after(asked.granted)
    })
}

/// The broker has taken a whole request, and sent nothing since it was connected.
fn first_response_is_late(ledger: &Ledger, decision: &Decision) -> bool {
    let (limits, facts) = (&decision.snapshot.limits, &decision.facts);
    first_without_response(ledger).is_some_and(|asked| {
        let limit = limits.connect_timeout.min(limits.request_timeout);
        let by = |since: Instant| since.after(limit).after(asked.granted);
        facts.broker_spoke.is_none() && facts.first_sent.is_some_and(|at| decision.at >= by(at))
    })
}

/// Whether a peer has taken nothing for as long as it may.
fn is_still(ledger: &Ledger, decision: &Decision, leg: Leg) -> bool {
    let last = decision.facts.last_given(leg).unwrap_or(ledger.opened);
    decision.at.since(last) >= decision.snapshot.limits.write_stall_timeout
}

fn has_no_room(decision: &Decision, leg: Leg) -> bool {
    let since = decision.facts.buffer_paused(leg);
    let timeout = decision.snapshot.limits.buffer_timeout;
    since.is_some_and(|since| decision.at >= since.after(timeout))
}
