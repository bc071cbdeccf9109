//! The environment of a script: the cluster, the network, and how doorkeeper is configured.

use std::fmt;

use super::request::Topic;
use super::words::{Bad, Words, names, read};

/// Everything that is fixed before the first step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Ids of the cluster, the sessions' seeds and the network's choices grow from it.
    pub seed: u64,
    /// How many brokers there are: their ids count from 0.
    pub brokers: u8,
    /// How many of them have an address of ours; the others must stay unseen.
    pub advertised: u8,
    /// In pieces of which size bytes are read.
    pub chunk: Chunk,
    /// How long a piece of bytes travels, in milliseconds.
    pub latency_ms: u8,
    /// By how much longer at most, in milliseconds.
    pub jitter_ms: u8,
    /// How many bytes are on the way of one leg at most.
    pub window: u32,
    /// What sessions may cost; nothing for what is not said.
    pub small: SmallLimits,
    /// How much sessions together may buffer of requests, and of responses; nothing for any amount.
    pub buffered: Option<u32>,
    /// What is denied.
    pub policy: Policy,
    /// The outcome depends on time, so that it differs where time is real.
    pub timed: bool,
    /// It does what only the direct backend can do.
    pub direct: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            seed: 1,
            brokers: 3,
            advertised: 3,
            chunk: Chunk::Whole,
            latency_ms: 1,
            jitter_ms: 0,
            window: 65_536,
            small: SmallLimits::default(),
            buffered: None,
            policy: Policy::default(),
            timed: false,
            direct: false,
        }
    }
}

/// In pieces of which size bytes are read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunk {
    /// All that is there.
    #[default]
    Whole,
    /// Byte by byte.
    One,
    /// Sometimes this, sometimes that.
    Any,
}

names!(Chunk { Chunk::Whole = "whole", Chunk::One = "one", Chunk::Any = "any" });

/// Limits that scripts make small, so that little reaches them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmallLimits {
    /// `Limits::request_buffer_bytes_max`.
    pub buffer: Option<u32>,
    /// `Limits::egress_high_bytes`.
    pub egress: Option<u32>,
    /// `Limits::in_flight_max`.
    pub in_flight: Option<u16>,
    /// `Limits::frame_bytes_max`.
    pub frame: Option<u32>,
    /// How long anything is waited for, in milliseconds: no deadline of `Limits` is later.
    pub wait: Option<u32>,
}

impl SmallLimits {
    /// Takes one `name=value`; false if it is none of ours.
    pub(super) fn take(&mut self, word: &str) -> Result<bool, Bad> {
        let Some((name, value)) = word.split_once('=') else {
            return Ok(false);
        };
        match name {
            "buffer" => self.buffer = Some(read(value)?),
            "egress" => self.egress = Some(read(value)?),
            "in-flight" => self.in_flight = Some(read(value)?),
            "frame" => self.frame = Some(read(value)?),
            "wait" => self.wait = Some(read(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl fmt::Display for SmallLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("buffer", self.buffer),
            ("egress", self.egress),
            ("in-flight", self.in_flight.map(u32::from)),
            ("frame", self.frame),
            ("wait", self.wait),
        ];
        for (name, value) in all {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// What is denied to everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Topics.
    pub topics: Vec<Topic>,
    /// APIs, by their keys.
    pub apis: Vec<u8>,
}

impl Policy {
    /// Whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.apis.is_empty()
    }

    /// Takes a topic or the key of an API.
    pub(super) fn take(&mut self, word: &str) -> Result<(), Bad> {
        match word.strip_prefix("api-") {
            Some(key) => self.apis.push(read(key)?),
            None => self.topics.push(read(word)?),
        }
        Ok(())
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.topics.iter().map(ToString::to_string);
        let apis = self.apis.iter().map(|key| format!("api-{key}"));
        let all: Vec<String> = topics.chain(apis).collect();
        f.write_str(&all.join(","))
    }
}

impl Setting {
    /// Takes one line.
    pub(super) fn take(&mut self, line: &str) -> Result<(), Bad> {
        let mut words = Words::of(line);
        match words.next()? {
            "seed" => self.seed = words.read()?,
            "brokers" => self.brokers = words.read()?,
            "advertised" => self.advertised = words.read()?,
            "chunk" => self.chunk = words.read()?,
            "latency" => {
                self.latency_ms = words.read()?;
                self.jitter_ms = words.read()?;
            }
            "window" => self.window = words.read()?,
            "limits" => {
                for word in words.rest() {
                    if !self.small.take(word)? {
                        return Err(format!("{word:?} is no limit"));
                    }
                }
            }
            "buffers" => self.buffered = Some(words.read()?),
            "deny" => words
                .next()?
                .split(',')
                .try_for_each(|word| self.policy.take(word))?,
            "timed" => self.timed = true,
            "direct" => self.direct = true,
            other => return Err(format!("{other:?} is no setting")),
        }
        words.end()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::default();
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "brokers {}", self.brokers)?;
        if self.advertised != plain.advertised {
            writeln!(f, "advertised {}", self.advertised)?;
        }
        if self.chunk != plain.chunk {
            writeln!(f, "chunk {}", self.chunk)?;
        }
        if (self.latency_ms, self.jitter_ms) != (plain.latency_ms, plain.jitter_ms) {
            writeln!(f, "latency {} {}", self.latency_ms, self.jitter_ms)?;
        }
        if self.window != plain.window {
            writeln!(f, "window {}", self.window)?;
        }
        if self.small != plain.small {
            writeln!(f, "limits{}", self.small)?;
        }
        if let Some(buffered) = self.buffered {
            writeln!(f, "buffers {buffered}")?;
        }
        if !self.policy.is_empty() {
            writeln!(f, "deny {}", self.policy)?;
        }
        if self.timed {
            writeln!(f, "timed")?;
        }
        if self.direct {
            writeln!(f, "direct")?;
        }
        Ok(())
    }
}
