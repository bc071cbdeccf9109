//! What a member of a share group asks for (KIP-932).

use std::fmt;

use arbitrary::Arbitrary;

use super::request::{Beat, TopicPartition, list};
use super::words::{Bad, Words, names};

/// What a request says about share sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum ShareSession {
    /// It opens one.
    New,
    /// It goes on in the one that the client has, if it has one.
    Known,
    /// It goes on in it, with an epoch that is not the next one.
    Stale,
    /// It ends it.
    Last,
}

names!(ShareSession {
    ShareSession::New = "new",
    ShareSession::Known = "known",
    ShareSession::Stale = "stale",
    ShareSession::Last = "last",
});

/// What a member says of all records that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Acknowledge {
    /// Nothing.
    Nothing,
    /// They are no records.
    Gap,
    /// They are done.
    Accept,
    /// Somebody shall have them again.
    Release,
    /// Nobody shall.
    Reject,
}

names!(Acknowledge {
    Acknowledge::Nothing = "nothing",
    Acknowledge::Gap = "gap",
    Acknowledge::Accept = "accept",
    Acknowledge::Release = "release",
    Acknowledge::Reject = "reject",
});

/// What is asked for, in the group with this number.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub enum Share {
    /// A sign of life.
    Heartbeat(u8, Beat),
    /// Records, waiting for them at most this many milliseconds, and what becomes of those that
    /// the member has.
    Fetch(u8, ShareSession, Acknowledge, u16, Vec<TopicPartition>),
    /// What becomes of the records that the member has.
    Acknowledge(u8, ShareSession, Acknowledge, Vec<TopicPartition>),
}

impl Share {
    /// The group.
    #[must_use]
    pub const fn group(&self) -> u8 {
        match self {
            Self::Heartbeat(group, ..) | Self::Fetch(group, ..) | Self::Acknowledge(group, ..) => {
                *group
            }
        }
    }

    /// The same, of less.
    #[must_use]
    pub fn with_places(&self, places: Vec<TopicPartition>) -> Self {
        match self {
            Self::Heartbeat(..) => self.clone(),
            Self::Fetch(group, session, says, wait_ms, _) => {
                Self::Fetch(*group, *session, *says, *wait_ms, places)
            }
            Self::Acknowledge(group, session, says, _) => {
                Self::Acknowledge(*group, *session, *says, places)
            }
        }
    }

    /// The partitions that it is about.
    #[must_use]
    pub fn places(&self) -> &[TopicPartition] {
        match self {
            Self::Heartbeat(..) => &[],
            Self::Fetch(.., places) | Self::Acknowledge(.., places) => places,
        }
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, v: u8) -> fmt::Result {
        match self {
            Self::Heartbeat(group, beat) => write!(f, "share-heartbeat v{v} {group} {beat}"),
            Self::Fetch(group, session, says, wait_ms, places) => {
                write!(f, "share-fetch v{v} {group} session={session} ")?;
                write!(f, "says={says} wait={wait_ms}")?;
                list(f, places)
            }
            Self::Acknowledge(group, session, says, places) => {
                write!(f, "share-acknowledge v{v} {group} ")?;
                write!(f, "session={session} says={says}")?;
                list(f, places)
            }
        }
    }

    pub(super) fn take(name: &str, words: &mut Words<'_>) -> Result<Self, Bad> {
        let group = words.read()?;
        Ok(match name {
            "share-heartbeat" => Self::Heartbeat(group, words.read()?),
            "share-fetch" => Self::Fetch(
                group,
                words.option("session")?,
                words.option("says")?,
                words.option("wait")?,
                words.list()?,
            ),
            "share-acknowledge" => Self::Acknowledge(
                group,
                words.option("session")?,
                words.option("says")?,
                words.list()?,
            ),
            other => return Err(format!("{other:?} is no request of a share group")),
        })
    }
}
