//! The lanes of the script, of doorkeeper as a whole, and of clients.

use doorkeeper_core::Instant;
use doorkeeper_model::script::{Client, Step};
use doorkeeper_model::story::{OfSession, Place, What};

use super::draw::{Drawing, Lane, Manner, Moment};
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
    let all = run.page.story.happenings().iter();
    all.filter_map(|happening| match &happening.what {
        What::Step(step) => Some((happening.at, step)),
        What::Published { .. } | What::Session(..) => None,
    })
}

/// What the script waits for, and when all is well again.
pub(super) fn script(run: &Run<'_>) -> Lane {
    let told = steps(run).filter_map(|(at, step)| {
        let manner = match step {
            Step::Wait(_) | Step::Client(_, Client::Wait) => Manner::Plain,
            Step::Heal => Manner::News,
            Step::Client(..)
            | Step::Broker(..)
            | Step::Leader(..)
            | Step::Net(..)
            | Step::Process(_) => return None,
        };
        Some(Moment::new(at, manner, step.to_string()))
    });
    lane(run, ("script", "script", "waits"), &[told.collect()])
}

/// What happens to doorkeeper as a whole, where anything does.
pub(super) fn doorkeeper(run: &Run<'_>) -> Option<Lane> {
    let all = run.page.story.happenings().iter();
    let told: Vec<Moment> = all
        .filter_map(|happening| {
            let at = happening.at;
            match &happening.what {
                What::Published { epoch } => {
                    let label = format!("snapshot {epoch}");
                    Some(Moment::new(at, Manner::News, label))
                }
                What::Step(step @ Step::Process(_)) => {
                    Some(Moment::new(at, Manner::Fault, step.to_string()))
                }
                What::Step(_) | What::Session(..) => None,
            }
        })
        .collect();
    let about = ("door", "doorkeeper", "snapshots and faults");
    (!told.is_empty()).then(|| lane(run, about, &[told]))
}

/// What a client does and what is done to its connections; then what it is told.
pub(super) fn client(run: &Run<'_>, client: u8) -> Option<Lane> {
    let does = steps(run).filter_map(|(at, step)| match step {
        Step::Client(_, Client::Wait) => None,
        Step::Client(who, what) if who.0 == client => {
            Some(Moment::new(at, manner(what), without_name(step)))
        }
        Step::Net(who, ..) if who.0 == client => {
            Some(Moment::new(at, Manner::Fault, step.to_string()))
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
        let mut all = run.page.story.happenings().iter();
        all.any(|happening| match happening.what {
            What::Session(of, OfSession::SessionHeader { client: who, .. }) => {
                of == id && who.0 == client
            }
            What::Session(..) | What::Step(_) | What::Published { .. } => false,
        })
    };
    let exchanges = run.exchanges.iter().filter(|it| of_it(it.session));
    let mut told: Vec<Moment> = exchanges
        .filter_map(|it| {
            let at = it.at(Place::AtClient)?;
            Some(Moment {
                at,
                manner: Manner::Told,
                label: format!("{} of {}", it.api, it.session),
                link: sessions::link(it),
            })
        })
        .collect();
    told.sort_by_key(|moment| moment.at);
    let name = format!("client c{client}");
    let about = "what it does; the responses that it reads";
    Some(lane(run, ("client", &name, about), &[does, told]))
}

/// How a client does something: in order, or as none should.
const fn manner(what: &Client) -> Manner {
    match what {
        Client::Connect(_)
        | Client::Send(_)
        | Client::Fin
        | Client::Resume
        | Client::Wait
        | Client::WaitEnd => Manner::Plain,
        Client::SendPart(..) | Client::Raw(_) | Client::Reset | Client::Stall | Client::Drip(_) => {
            Manner::Fault
        }
    }
}
