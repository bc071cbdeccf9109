//! Scripts made of any bytes. Numbers are drawn small, so that steps meet each other, and requests
//! more often than faults; a derived `Arbitrary` would hardly ever get a response.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::Script;
use super::request::{Part, Request, TopicPartition};
use super::setting::{Chunk, Policy, Setting, SmallLimits};
use super::step::{Client, Ordinal, Step};

impl<'a> Arbitrary<'a> for Script {
    /// As many steps as there are bytes for.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut script = Self {
            setting: u.arbitrary()?,
            steps: Vec::new(),
        };
        while !u.is_empty() {
            script.steps.push(u.arbitrary()?);
        }
        Ok(script)
    }
}

impl<'a> Arbitrary<'a> for Setting {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            seed: u64::from(u8::arbitrary(u)?),
            brokers: u.int_in_range(1..=5)?,
            advertised: u.int_in_range(0..=5)?,
            chunk: match u.int_in_range(0..=7)? {
                0_u8 => Chunk::One,
                1..=3 => Chunk::Any,
                _ => Chunk::Whole,
            },
            latency_ms: u.int_in_range(0..=20)?,
            jitter_ms: u.int_in_range(0..=30)?,
            window: match u8::arbitrary(u)? {
                0..=63 => 64 + u.int_in_range(0..=1000)?,
                _ => 65_536,
            },
            small: u.arbitrary()?,
            // What the corpora mean would be another thing if this took bytes.
            buffered: None,
            policy: u.arbitrary()?,
            timed: true,
            direct: true,
        })
    }
}

impl<'a> Arbitrary<'a> for SmallLimits {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Half of them have none.
        let which = u8::arbitrary(u)?;
        let mut some = |bit: u8, least: u16, most: u16| {
            let is_there = which & 0x90 == 0x90 && which & bit != 0;
            is_there.then(|| u.int_in_range(least..=most)).transpose()
        };
        Ok(Self {
            buffer: some(1, 64, 900)?.map(u32::from),
            egress: some(2, 1, 600)?.map(u32::from),
            in_flight: some(4, 1, 4)?,
            frame: some(8, 200, 3200)?.map(u32::from),
            // What the corpora mean would be another thing if this took bytes.
            wait: None,
        })
    }
}

impl<'a> Arbitrary<'a> for Policy {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if bool::arbitrary(u)? {
            return Ok(Self::default());
        }
        Ok(Self {
            topics: u.arbitrary()?,
            apis: match u.int_in_range(0..=9)? {
                0_u8 => vec![u.int_in_range(0..=40)?],
                _ => Vec::new(),
            },
        })
    }
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=31)? {
            0_u8 => Self::Broker(u.arbitrary()?, u.arbitrary()?),
            1 => Self::Leader(u.arbitrary()?, u.arbitrary()?),
            2 | 3 => Self::Net(
                u.arbitrary()?,
                u.arbitrary()?,
                u.arbitrary()?,
                u.arbitrary()?,
            ),
            4 => Self::Process(u.arbitrary()?),
            5 => Self::Heal,
            6 | 7 => Self::Wait(u.arbitrary()?),
            _ => Self::Client(u.arbitrary()?, u.arbitrary()?),
        })
    }
}

impl<'a> Arbitrary<'a> for Ordinal {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.int_in_range(0..=Self::MAX / 2).map(Self)
    }
}

impl<'a> Arbitrary<'a> for Client {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=31)? {
            0_u8..=3 => Self::Connect(u.arbitrary()?),
            4 => Self::SendPart(u.arbitrary()?, u.arbitrary()?),
            5 => Self::Raw(u.arbitrary()?),
            6 => Self::Fin,
            7 => Self::Reset,
            8 => Self::Stall,
            9 => Self::Resume,
            10 => Self::Drip(u.int_in_range(0..=40)?),
            11..=14 => Self::Wait,
            _ => Self::Send(u.arbitrary()?),
        })
    }
}

impl<'a> Arbitrary<'a> for Request {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            version: u.int_in_range(0..=18)?,
            what: u.arbitrary()?,
        })
    }
}

impl<'a> Arbitrary<'a> for TopicPartition {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            topic: u.arbitrary()?,
            partition: u.int_in_range(0..=2)?,
        })
    }
}

impl<'a> Arbitrary<'a> for Part {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            place: u.arbitrary()?,
            bytes: match u.int_in_range(0..=15)? {
                0_u8 => u.int_in_range(0..=70_000)?,
                _ => u.int_in_range(0..=300)?,
            },
        })
    }
}
