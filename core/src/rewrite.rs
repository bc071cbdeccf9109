//! Addresses in responses: what clients may see and what they may not.
//!
//! Node ids stay as they are; only host and port are replaced, by what configuration and broker
//! id alone decide. Whatever has no address of ours is dropped or blanked, never passed on.

mod address_text;
mod config_keys;
pub(crate) mod configs;
pub(crate) mod endpoints;
mod known_hosts;
mod literal;
pub(crate) mod tail;
pub(crate) mod texts;

pub use known_hosts::KnownHosts;

use crate::id::{BrokerId, HostPort};
use crate::topology::{AdvertisedAddresses, Topology};
use crate::wire::edit::Edits;

/// What addresses are compared with and replaced by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses<'a> {
    pub(crate) advertised: &'a AdvertisedAddresses,
    pub(crate) topology: &'a Topology,
}

/// How many addresses a response had in it, by what was done to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrites {
    /// Replaced by our own.
    pub rewritten: u32,
    /// Removed, because they have no address of ours.
    pub dropped: u32,
    /// Texts and values in which an upstream host was made unreadable.
    pub blanked: u32,
}

impl Rewrites {
    /// Whether nothing was edited.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.rewritten == 0 && self.dropped == 0 && self.blanked == 0
    }
}

/// What became of one response.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) edits: Edits,
    /// No editor makes the response longer or shorter any more. Only a response that is streamed
    /// although something is added to it has to know.
    pub(crate) length_is_certain: bool,
    pub(crate) rewrites: Rewrites,
    /// Brokers whose address in the response is not the one that the topology knows.
    pub(crate) moved: Vec<(BrokerId, HostPort)>,
}

/// So many of them in one response are hint enough.
const MOVED_MAX: usize = 16;

impl Outcome {
    /// Notes a broker whose address is not the one that the topology knows.
    pub(crate) fn moved(&mut self, broker: BrokerId, address: HostPort) {
        let moved = (broker, address);
        if self.moved.len() < MOVED_MAX && !self.moved.contains(&moved) {
            self.moved.push(moved);
        }
    }
}
