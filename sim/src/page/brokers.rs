//! The lanes of brokers: what they are asked, by whom, and what is wrong with them.

use doorkeeper_core::Instant;
use doorkeeper_core::id::BrokerId;
use doorkeeper_model::script::{BrokerFault, Step};
use doorkeeper_model::timeline::{EventKind, Waypoint};

use super::draw::{Bar, Drawing, Lane, Moment, PointStyle, ROW, Rows};
use super::{Run, sessions, without_name};

/// A lane for each broker of the setting.
pub(super) fn all(run: &Run<'_>) -> Vec<Lane> {
    let count = run.page.script.setting.brokers.clamp(1, 5);
    (0..count).map(|number| lane(run, number, count)).collect()
}

fn lane(run: &Run<'_>, number: u8, count: u8) -> Lane {
    let id = BrokerId(number.into());
    let mut rows = Rows::default();
    let asked = run.exchanges.iter().filter_map(|it| {
        let from = it.at(Waypoint::AtBroker)?;
        let to = it.at(Waypoint::ResponseUp).unwrap_or(from);
        (it.broker == Some(id)).then_some((from, to, it))
    });
    let asked: Vec<_> = asked
        .map(|(from, to, it)| (1 + rows.row(from, to), from, to, it))
        .collect();
    let height = 1 + rows.count().max(1);
    let mut drawing = Drawing::default();
    states(run, number, count, height, &mut drawing);
    for (row, from, to, exchange) in asked {
        let label = format!("{} {}", exchange.session, exchange.api);
        drawing.bar(
            &run.scale,
            &Bar {
                class: sessions::class(exchange),
                from,
                to,
                row,
                label: &label,
                tip: &sessions::tip(run, exchange),
                link: &sessions::link(exchange),
                ticks: &[],
            },
        );
    }
    faults(run, number, count, &mut drawing);
    Lane {
        class: "broker",
        name: format!("broker {number}"),
        about: "what it has been asked".to_owned(),
        session: None,
        failed: false,
        rows: height,
        drawing,
    }
}

/// What is done to this broker, and when.
fn done<'a>(run: &'a Run<'_>, number: u8, count: u8) -> impl Iterator<Item = (Instant, &'a Step)> {
    let all = run.page.timeline.events().iter();
    all.filter_map(move |event| match &event.what {
        EventKind::Step(step @ (Step::Broker(who, _) | Step::Leader(_, who)))
            if who.0 % count == number =>
        {
            Some((event.at, step))
        }
        EventKind::Step(step @ Step::Heal) => Some((event.at, step)),
        EventKind::Step(_) | EventKind::Published { .. } | EventKind::Session(..) => None,
    })
}

fn faults(run: &Run<'_>, number: u8, count: u8, drawing: &mut Drawing) {
    let faults = done(run, number, count).filter(|(_, step)| !matches!(step, Step::Heal));
    let faults = faults.map(|(at, step)| Moment::new(at, PointStyle::Fault, without_name(step)));
    let faults: Vec<Moment> = faults.collect();
    drawing.moments(&run.scale, 0, &faults);
}

/// What can be wrong with a broker for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Impairment {
    Down,
    Silent,
    Closed,
    Throttling,
}

impl Impairment {
    const ALL: [Self; 4] = [Self::Down, Self::Silent, Self::Closed, Self::Throttling];

    const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Silent => "silent",
            Self::Closed => "closed to new connections",
            Self::Throttling => "throttling its clients",
        }
    }

    /// What begins or ends with a fault.
    const fn changed(fault: &BrokerFault) -> Option<(Self, bool)> {
        match fault {
            BrokerFault::Crash => Some((Self::Down, true)),
            BrokerFault::Restart | BrokerFault::Move => Some((Self::Down, false)),
            BrokerFault::Silence => Some((Self::Silent, true)),
            BrokerFault::Speak => Some((Self::Silent, false)),
            BrokerFault::Refuse | BrokerFault::BlackHole => Some((Self::Closed, true)),
            BrokerFault::Accept => Some((Self::Closed, false)),
            BrokerFault::Throttle(ms) => Some((Self::Throttling, *ms > 0)),
            BrokerFault::Versions(..) | BrokerFault::Next(_) | BrokerFault::AdvertiseDoorkeeper => {
                None
            }
        }
    }
}

/// The times in which something is wrong with it.
fn states(run: &Run<'_>, number: u8, count: u8, height: u64, drawing: &mut Drawing) {
    for wrong in Impairment::ALL {
        let changes = done(run, number, count).filter_map(|(at, step)| match step {
            Step::Broker(_, fault) => {
                let (of, begins) = Impairment::changed(fault)?;
                (of == wrong).then_some((at, begins))
            }
            Step::Heal => Some((at, false)),
            Step::Client(..)
            | Step::Leader(..)
            | Step::Net(..)
            | Step::Process(_)
            | Step::Wait(_) => None,
        });
        let mut since: Option<Instant> = None;
        for (at, begins) in changes.chain([(run.scale.last(), false)]) {
            if begins {
                since.get_or_insert(at);
            } else if let Some(from) = since.take() {
                let room = (2, height * ROW + 4);
                let tip = format!("broker {number} is {}", wrong.name());
                drawing.band(&run.scale, "wrong", (from, at), room, &tip);
            }
        }
    }
}
