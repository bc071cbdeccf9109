//! The lanes of sessions: each request as a bar from its last byte to that of its response.

use std::fmt::Write as _;

use doorkeeper_core::{CloseReason, Instant, Route};
use doorkeeper_model::timeline::{EventKind, SessionEvent, TimelineEvent, Waypoint};
use doorkeeper_model::watch::SessionId;

use super::Run;
use super::draw::{Bar, Drawing, Lane, Moment, PointStyle, ROW, Rows};
use super::exchange::{Exchange, Fate};

/// The lanes of all sessions of a client, in their order.
pub(super) fn of_client(run: &Run<'_>, client: u8) -> Vec<Lane> {
    let all = run.page.timeline.events().iter();
    let opened = all.filter_map(|event| match event.what {
        EventKind::Session(id, SessionEvent::Opened { client: who, route }) if who.0 == client => {
            Some((id, route))
        }
        EventKind::Session(..) | EventKind::Step(_) | EventKind::Published { .. } => None,
    });
    opened.map(|(id, route)| lane(run, id, route)).collect()
}

fn lane(run: &Run<'_>, id: SessionId, route: Route) -> Lane {
    let events: Vec<&TimelineEvent> = of(run, id).collect();
    let from = events.first().map_or(Instant::ZERO, |it| it.at);
    let closed = events.iter().find_map(|event| match event.what {
        EventKind::Session(_, SessionEvent::Closed(reason)) => Some((event.at, reason)),
        EventKind::Session(..) | EventKind::Step(_) | EventKind::Published { .. } => None,
    });
    let to = closed.map_or_else(|| run.scale.last(), |(at, _)| at);
    let exchanges = run.exchanges.iter().filter(|it| it.session == id);
    let mut rows = Rows::default();
    // The first row is that of what happens to the session as a whole.
    let placed: Vec<(u64, &Exchange)> = exchanges
        .map(|it| {
            let (from, to) = it.span(run.scale.last());
            (1 + rows.row(from, to), it)
        })
        .collect();
    let count = 1 + rows.count().max(1);
    let mut drawing = Drawing::default();
    let about = format!("{id} is open");
    drawing.band(&run.scale, "open", (from, to), (2, count * ROW + 4), &about);
    connection(run, &events, to, count, &mut drawing);
    for (row, exchange) in placed {
        draw(run, exchange, row, &mut drawing);
    }
    let moments = events.iter().filter_map(|it| moment(it));
    let moments: Vec<Moment> = moments.collect();
    drawing.moments(&run.scale, 0, &moments);
    let closed = closed.map_or("still open", |(_, reason)| CloseReason::name(reason));
    Lane {
        class: "session",
        name: id.to_string(),
        about: format!("{} · {closed}", through(route)),
        session: Some(id),
        failed: run.failed == Some(id),
        rows: count,
        drawing,
    }
}

fn of<'a>(run: &'a Run<'_>, id: SessionId) -> impl Iterator<Item = &'a TimelineEvent> {
    let all = run.page.timeline.events().iter();
    all.filter(move |event| matches!(event.what, EventKind::Session(of, _) if of == id))
}

fn through(route: Route) -> String {
    match route {
        Route::Bootstrap => "bootstrap".to_owned(),
        Route::Broker(id) => format!("broker {id}"),
    }
}

/// The leg towards the broker, as a strip below.
fn connection(
    run: &Run<'_>,
    events: &[&TimelineEvent],
    closed: Instant,
    rows: u64,
    drawing: &mut Drawing,
) {
    let strip = (rows * ROW + 3, 3);
    let mut state: Option<(Instant, &str, String)> = None;
    let mut end = |state: &mut Option<(Instant, &str, String)>, at| {
        if let Some((from, class, tip)) = state.take() {
            drawing.band(&run.scale, class, (from, at), strip, &tip);
        }
    };
    for event in events {
        let at = event.at;
        let EventKind::Session(_, what) = &event.what else {
            continue;
        };
        let next = match what {
            SessionEvent::Dials { name } => Some((at, "dialling", format!("dials {name}"))),
            SessionEvent::Reached(id) => {
                Some((at, "connected", format!("connected to broker {id}")))
            }
            SessionEvent::ConnectFailed(_)
            | SessionEvent::Ended(doorkeeper_core::Leg::Upstream, _) => None,
            SessionEvent::Opened { .. }
            | SessionEvent::Frame(_)
            | SessionEvent::Renewed { .. }
            | SessionEvent::Ended(doorkeeper_core::Leg::Client, _)
            | SessionEvent::Drains
            | SessionEvent::Tampered(_)
            | SessionEvent::Reaches(_)
            | SessionEvent::Closed(_) => continue,
        };
        end(&mut state, at);
        state = next;
    }
    end(&mut state, closed);
}

/// What an exchange is called wherever it is shown.
pub(super) fn link(exchange: &Exchange) -> String {
    format!("{}-{}", exchange.session, exchange.number)
}

pub(super) fn class(exchange: &Exchange) -> &'static str {
    match exchange.fate() {
        Fate::ByBroker => "by-broker",
        Fate::Here => "here",
        Fate::Up => "up",
        Fate::Lost => "lost",
    }
}

fn draw(run: &Run<'_>, exchange: &Exchange, row: u64, drawing: &mut Drawing) {
    let (from, to) = exchange.span(run.scale.last());
    let places = [
        Waypoint::RequestUp,
        Waypoint::AtBroker,
        Waypoint::ResponseUp,
    ];
    let ticks: Vec<Instant> = places.iter().filter_map(|it| exchange.at(*it)).collect();
    let Exchange { api, version, .. } = exchange;
    drawing.bar(
        &run.scale,
        &Bar {
            class: class(exchange),
            from,
            to,
            row,
            label: &format!("{api} v{version} · {} B", exchange.bytes),
            tip: &tip(run, exchange),
            link: &link(exchange),
            ticks: &ticks,
        },
    );
}

/// Everything that is known of an exchange.
pub(super) fn tip(run: &Run<'_>, exchange: &Exchange) -> String {
    let Exchange {
        session,
        api,
        version,
        id,
        bytes,
        ..
    } = exchange;
    let fate = match exchange.fate() {
        Fate::ByBroker => "response by the broker",
        Fate::Here => "response by doorkeeper itself",
        Fate::Up => "went up; no response reached the client",
        Fate::Lost => "neither went up nor had a response",
    };
    let mut tip = format!("{session}: {api} v{version}, correlation id {id}: {fate}\n");
    let broker = exchange
        .broker
        .map_or_else(String::new, |id| format!(" {id}"));
    let response = exchange.response_bytes.unwrap_or(0);
    let places = [
        (
            Waypoint::Request,
            format!("request of {bytes} bytes read whole"),
        ),
        (Waypoint::RequestUp, "written to the broker".to_owned()),
        (Waypoint::AtBroker, format!("read by broker{broker}")),
        (Waypoint::ResponseUp, "its response read".to_owned()),
        (
            Waypoint::Response,
            format!("response of {response} bytes written"),
        ),
        (Waypoint::AtClient, "read by the client".to_owned()),
    ];
    for (place, what) in places {
        if let Some(at) = exchange.at(place) {
            let _ = writeln!(tip, "{:>12}  {what}", run.scale.seconds(at));
        }
    }
    if let (false, Some(reason)) = (exchange.has_response(), exchange.closed()) {
        let _ = writeln!(tip, "the session closed: {}", reason.name());
    }
    tip
}

/// What happens to the session as a whole.
fn moment(event: &TimelineEvent) -> Option<Moment> {
    let EventKind::Session(_, what) = &event.what else {
        return None;
    };
    let (manner, label) = match what {
        SessionEvent::Opened { route, .. } => {
            (PointStyle::Plain, format!("opened, {}", through(*route)))
        }
        SessionEvent::Renewed { epoch } => (PointStyle::News, format!("snapshot {epoch}")),
        SessionEvent::Dials { name } => (PointStyle::Plain, format!("dials {name}")),
        SessionEvent::Reached(id) => (PointStyle::Plain, format!("reaches broker {id}")),
        SessionEvent::ConnectFailed(why) => {
            (PointStyle::Fault, format!("cannot connect: {}", why.name()))
        }
        SessionEvent::Ended(leg, how) => {
            (PointStyle::Plain, format!("{} ends: {how:?}", leg.name()))
        }
        SessionEvent::Drains => (PointStyle::News, "drains".to_owned()),
        SessionEvent::Tampered(tamper) => {
            (PointStyle::Fault, format!("response tampered: {tamper}"))
        }
        SessionEvent::Reaches(mark) => (PointStyle::Mark, mark.name().to_owned()),
        SessionEvent::Closed(reason) => (PointStyle::Close, format!("closed: {}", reason.name())),
        SessionEvent::Frame(_) => return None,
    };
    Some(Moment::new(event.at, manner, label))
}
