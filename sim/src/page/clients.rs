//! The lanes of the script, of doorkeeper as a whole, and of clients.

use doorkeeper_core::Instant;
use doorkeeper_model::script::{Client, Step};
use doorkeeper_model::timeline::{EventKind, SessionEvent, Waypoint};

use super::draw::{Drawing, Lane, Moment, PointStyle};
use super::{Run, sessions, without_name};

fn lane(
    run: &Run<'_>,
    (class, name, about): (&'static str, &str, &str),
    rows: &[Vec<Moment>],
) -> Lane {
    let mut drawing = Drawing::default();
    let rows = rows.iter().filter(|moments| !moments.is_empty());
    let mut count = 0;
    for moments in rows {
        drawing.moments(&run.scale, count, moments);
        count += 1;
    }
    Lane {
        class,
        name: name.to_owned(),
        about: about.to_owned(),
        session: None,
        failed: false,
        rows: count.max(1),
        drawing,
    }
}

fn steps<'a>(run: &'a Run<'_>) -> impl Iterator<Item = (Instant, &'a Step)> {
    let all = run.page.timeline.events().iter();
    all.filter_map(|event| match &event.what {
        EventKind::Step(step) => Some((event.at, step)),
        EventKind::Published { .. } | EventKind::Session(..) => None,
    })
}

/// What the script waits for, and when all is well again.
pub(super) fn script(run: &Run<'_>) -> Lane {
    let waits = steps(run).filter_map(|(at, step)| {
        let manner = match step {
            Step::Wait(_) | Step::Client(_, Client::Wait) => PointStyle::Plain,
            Step::Heal => PointStyle::News,
            Step::Client(..)
            | Step::Broker(..)
            | Step::Leader(..)
            | Step::Net(..)
            | Step::Process(_) => return None,
        };
        Some(Moment::new(at, manner, step.to_string()))
    });
    lane(run, ("script", "script", "waits"), &[waits.collect()])
}

/// What happens to doorkeeper as a whole, where anything does.
pub(super) fn doorkeeper(run: &Run<'_>) -> Option<Lane> {
    let all = run.page.timeline.events().iter();
    let moments: Vec<Moment> = all
        .filter_map(|event| {
            let at = event.at;
            match &event.what {
                EventKind::Published { epoch } => {
                    let label = format!("snapshot {epoch}");
                    Some(Moment::new(at, PointStyle::News, label))
                }
                EventKind::Step(step @ Step::Process(_)) => {
                    Some(Moment::new(at, PointStyle::Fault, step.to_string()))
                }
                EventKind::Step(_) | EventKind::Session(..) => None,
            }
        })
        .collect();
    let about = ("doorkeeper", "doorkeeper", "snapshots and faults");
    (!moments.is_empty()).then(|| lane(run, about, &[moments]))
}

/// What a client does and what is done to its connections; then the responses that it gets.
pub(super) fn client(run: &Run<'_>, client: u8) -> Option<Lane> {
    let does = steps(run).filter_map(|(at, step)| match step {
        Step::Client(_, Client::Wait) => None,
        Step::Client(who, what) if who.0 == client => {
            Some(Moment::new(at, manner(what), without_name(step)))
        }
        Step::Net(who, ..) if who.0 == client => {
            Some(Moment::new(at, PointStyle::Fault, step.to_string()))
        }
        Step::Client(..)
        | Step::Net(..)
        | Step::Broker(..)
        | Step::Leader(..)
        | Step::Process(_)
        | Step::Heal
        | Step::Wait(_) => None,
    });
    let does: Vec<Moment> = does.collect();
    if does.is_empty() {
        return None;
    }
    let of_it = |id| {
        let mut all = run.page.timeline.events().iter();
        all.any(|event| match event.what {
            EventKind::Session(of, SessionEvent::Opened { client: who, .. }) => {
                of == id && who.0 == client
            }
            EventKind::Session(..) | EventKind::Step(_) | EventKind::Published { .. } => false,
        })
    };
    let exchanges = run.exchanges.iter().filter(|it| of_it(it.session));
    let mut responses: Vec<Moment> = exchanges
        .filter_map(|it| {
            let at = it.at(Waypoint::AtClient)?;
            Some(Moment {
                at,
                manner: PointStyle::Response,
                label: format!("{} of {}", it.api, it.session),
                link: sessions::link(it),
            })
        })
        .collect();
    responses.sort_by_key(|moment| moment.at);
    let name = format!("client c{client}");
    let about = "what it does; the responses that it reads";
    Some(lane(run, ("client", &name, about), &[does, responses]))
}

/// How a client does something: in order, or as none should.
const fn manner(what: &Client) -> PointStyle {
    match what {
        Client::Connect(_)
        | Client::Send(_)
        | Client::Fin
        | Client::Resume
        | Client::Wait
        | Client::WaitEnd => PointStyle::Plain,
        Client::SendPart(..) | Client::Raw(_) | Client::Reset | Client::Stall | Client::Drip(_) => {
            PointStyle::Fault
        }
    }
}
