//! Scripts as text, both ways.

use std::fmt;
use std::str::FromStr;

use super::request::Request;
use super::setting::{Policy, SmallLimits};
use super::step::{
    BrokerFault, Client, ListenAddr, NetFault, Ordinal, ProcessFault, Step, Tamper, Wait,
};
use super::words::{Bad, BadScript, Words, hex, read, unhex};
use super::{Script, Setting};

/// Between the setting and the steps.
const RULE: &str = "---";

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}{RULE}", self.setting)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for Script {
    type Err = BadScript;

    fn from_str(text: &str) -> Result<Self, BadScript> {
        let mut script = Self::default();
        let mut in_steps = false;
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default().trim();
            let read = match line {
                "" => Ok(()),
                RULE => {
                    in_steps = true;
                    Ok(())
                }
                _ if in_steps => line.parse().map(|step| script.steps.push(step)),
                _ => setting(&mut script.setting, line),
            };
            read.map_err(|what| BadScript { line: number, what })?;
        }
        Ok(script)
    }
}

fn setting(setting: &mut Setting, line: &str) -> Result<(), Bad> {
    setting.take(line)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(who, what) => write!(f, "c{} {what}", who.0),
            Self::Broker(who, what) => write!(f, "b{} {what}", who.0),
            Self::Leader(place, broker) => write!(f, "leader {place} b{}", broker.0),
            Self::Net(who, leg, way, what) => write!(f, "net c{} {leg} {way} {what}", who.0),
            Self::Process(what) => what.fmt(f),
            Self::Heal => f.write_str("heal"),
            Self::Wait(Wait::All) => f.write_str("wait all"),
            Self::Wait(Wait::Millis(ms)) => write!(f, "wait {ms}"),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(ListenAddr::Bootstrap) => f.write_str("connect bootstrap"),
            Self::Connect(ListenAddr::Broker(broker)) => write!(f, "connect b{}", broker.0),
            Self::Send(request) => write!(f, "send {request}"),
            Self::SendPart(part, request) => write!(f, "part {part} {request}"),
            Self::Raw(bytes) => write!(f, "raw x{}", hex(bytes)),
            Self::Fin => f.write_str("fin"),
            Self::Reset => f.write_str("reset"),
            Self::Stall => f.write_str("stall"),
            Self::Resume => f.write_str("resume"),
            Self::Drip(ms) => write!(f, "drip {ms}"),
            Self::Wait => f.write_str("wait"),
            Self::WaitEnd => f.write_str("wait end"),
        }
    }
}

impl fmt::Display for BrokerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash => f.write_str("crash"),
            Self::Restart => f.write_str("restart"),
            Self::Move => f.write_str("move"),
            Self::Silence => f.write_str("silence"),
            Self::Speak => f.write_str("speak"),
            Self::Refuse => f.write_str("refuse"),
            Self::BlackHole => f.write_str("black-hole"),
            Self::Accept => f.write_str("accept"),
            Self::Versions(key, last) => write!(f, "versions {key} {last}"),
            Self::Next(tamper) => write!(f, "next {tamper}"),
            Self::AdvertiseDoorkeeper => f.write_str("advertise-doorkeeper"),
            Self::Throttle(ms) => write!(f, "throttle {ms}"),
        }
    }
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongId => f.write_str("wrong-id"),
            Self::Extra => f.write_str("extra"),
            Self::Missing => f.write_str("missing"),
            Self::Negative => f.write_str("negative"),
            Self::Huge => f.write_str("huge"),
            Self::Cut(at, how) => write!(f, "cut {at} {how}"),
            Self::Late(tenths) => write!(f, "late {tenths}"),
        }
    }
}

impl fmt::Display for NetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("hold"),
            Self::Release => f.write_str("release"),
            Self::Window(bytes) => write!(f, "window {bytes}"),
            Self::Cut(at, how) => write!(f, "cut {at} {how}"),
        }
    }
}

impl fmt::Display for ProcessFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload(policy, small) if policy.is_empty() => write!(f, "reload{small}"),
            Self::Reload(policy, small) => write!(f, "reload deny={policy}{small}"),
            Self::Drain(tenths) => write!(f, "drain {tenths}"),
        }
    }
}

/// A number behind a letter.
fn numbered(letter: char, word: &str) -> Result<Ordinal, Bad> {
    let digits = word
        .strip_prefix(letter)
        .ok_or_else(|| format!("{word:?} does not begin with {letter}"))?;
    let number = read(digits)?;
    if number < Ordinal::MAX {
        Ok(Ordinal(number))
    } else {
        Err(format!("{word:?} is too high a number"))
    }
}

impl FromStr for Step {
    type Err = Bad;

    fn from_str(line: &str) -> Result<Self, Bad> {
        let mut words = Words::of(line);
        let step = match words.next()? {
            "leader" => Self::Leader(words.read()?, numbered('b', words.next()?)?),
            "net" => Self::Net(
                numbered('c', words.next()?)?,
                words.read()?,
                words.read()?,
                net_fault(&mut words)?,
            ),
            "reload" => Self::Process(reload(&mut words)?),
            "drain" => Self::Process(ProcessFault::Drain(words.read()?)),
            "heal" => Self::Heal,
            "wait" => Self::Wait(match words.next()? {
                "all" => Wait::All,
                ms => Wait::Millis(read(ms)?),
            }),
            who if who.starts_with('c') => Self::Client(numbered('c', who)?, client(&mut words)?),
            who => Self::Broker(numbered('b', who)?, broker_fault(&mut words)?),
        };
        words.end()?;
        Ok(step)
    }
}

fn client(words: &mut Words<'_>) -> Result<Client, Bad> {
    Ok(match words.next()? {
        "connect" => Client::Connect(match words.next()? {
            "bootstrap" => ListenAddr::Bootstrap,
            broker => ListenAddr::Broker(numbered('b', broker)?),
        }),
        "send" => Client::Send(Request::take(words)?),
        "part" => Client::SendPart(words.read()?, Request::take(words)?),
        "raw" => {
            let bytes = words.next()?;
            Client::Raw(unhex(bytes.strip_prefix('x').unwrap_or(bytes))?)
        }
        "fin" => Client::Fin,
        "reset" => Client::Reset,
        "stall" => Client::Stall,
        "resume" => Client::Resume,
        "drip" => Client::Drip(words.read()?),
        "wait" => match words.rest().next() {
            None => Client::Wait,
            Some("end") => Client::WaitEnd,
            Some(other) => return Err(format!("clients do not wait for {other:?}")),
        },
        other => return Err(format!("clients do not {other:?}")),
    })
}

fn broker_fault(words: &mut Words<'_>) -> Result<BrokerFault, Bad> {
    Ok(match words.next()? {
        "crash" => BrokerFault::Crash,
        "restart" => BrokerFault::Restart,
        "move" => BrokerFault::Move,
        "silence" => BrokerFault::Silence,
        "speak" => BrokerFault::Speak,
        "refuse" => BrokerFault::Refuse,
        "black-hole" => BrokerFault::BlackHole,
        "accept" => BrokerFault::Accept,
        "advertise-doorkeeper" => BrokerFault::AdvertiseDoorkeeper,
        "throttle" => BrokerFault::Throttle(words.read()?),
        "versions" => BrokerFault::Versions(words.read()?, words.read()?),
        "next" => BrokerFault::Next(match words.next()? {
            "wrong-id" => Tamper::WrongId,
            "extra" => Tamper::Extra,
            "missing" => Tamper::Missing,
            "negative" => Tamper::Negative,
            "huge" => Tamper::Huge,
            "cut" => Tamper::Cut(words.read()?, words.read()?),
            "late" => Tamper::Late(words.read()?),
            other => return Err(format!("{other:?} happens to no response")),
        }),
        other => return Err(format!("{other:?} happens to no broker")),
    })
}

fn net_fault(words: &mut Words<'_>) -> Result<NetFault, Bad> {
    Ok(match words.next()? {
        "hold" => NetFault::Hold,
        "release" => NetFault::Release,
        "window" => NetFault::Window(words.read()?),
        "cut" => NetFault::Cut(words.read()?, words.read()?),
        other => return Err(format!("{other:?} happens to no leg")),
    })
}

fn reload(words: &mut Words<'_>) -> Result<ProcessFault, Bad> {
    let (mut policy, mut small) = (Policy::default(), SmallLimits::default());
    for word in words.rest() {
        if let Some(denied) = word.strip_prefix("deny=") {
            denied.split(',').try_for_each(|word| policy.take(word))?;
        } else if !small.take(word)? {
            return Err(format!("{word:?} is nothing to reload"));
        }
    }
    Ok(ProcessFault::Reload(policy, small))
}

#[cfg(test)]
mod tests {
    use arbitrary::{Arbitrary as _, Unstructured};

    use super::*;
    use doorkeeper_kafka_model::Rng;

    #[test]
    fn any_script_reads_as_it_was_written() {
        let mut rng = Rng::new(1);
        let mut steps = 0;
        for _ in 0..1500 {
            let bytes: Vec<u8> = (0..100)
                .flat_map(|_| rng.next_u64().to_be_bytes())
                .collect();
            let script = Script::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
            steps += script.steps.len();
            let text = script.to_string();
            assert_eq!(text.parse::<Script>().as_ref(), Ok(&script), "{text}");
        }
        assert!(
            steps > 1000,
            "{steps} steps are too few to have shown anything"
        );
    }

    #[test]
    fn an_invalid_script_is_an_error_with_its_line() {
        let cases = [
            ("seed x\n---\n", 1),
            ("seed 1\n---\n\nc1 dance", 4),
            ("---\nc9 wait", 2),
            ("---\nwait 5 6", 2),
            ("---\nb1 next cut 5", 2),
        ];
        for (text, line) in cases {
            assert_eq!(text.parse::<Script>().unwrap_err().line, line, "{text}");
        }
    }
}
