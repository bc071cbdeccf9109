//! Planted bugs outside the session: what goes in or comes out is dropped, repeated, or put in
//! another order. Those that change a decision are inside, in `doorkeeper_core::mutation`.

use doorkeeper_core::mutation::Mutation;
use doorkeeper_core::{Effect, End, Input, Instant, Leg};

use super::World;
use super::driver::outwards;
use super::net::LinkId;
use crate::watch::{SessionId, Violation};

/// One planted bug, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// In a decision of the session.
    Inside(Mutation),
    /// Between the session and the world.
    Outside(Exchange),
}

/// What is done to what goes in or comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Order: a response is written before the one that precedes it.
    ResponseJumpsQueue,
    /// Reload: a snapshot is dropped while responses are owed.
    IgnoreSnapshot,
    /// Drain: it ends at once, and owed responses are dropped.
    DrainDropsResponses,
    /// Close: the reason is given twice.
    CloseTwice,
    /// Close: no leg is finished.
    ForgetFinish,
    /// Close: requests that were read whole are dropped when the client leaves.
    DropLastRequests,
    /// Close: the end of a client's half is taken for a reset.
    DropLastResponses,
    /// Relay: a request is sent twice.
    SendTwice,
}

impl Exchange {
    const ALL: [Self; 8] = [
        Self::ResponseJumpsQueue,
        Self::IgnoreSnapshot,
        Self::DrainDropsResponses,
        Self::CloseTwice,
        Self::ForgetFinish,
        Self::DropLastRequests,
        Self::DropLastResponses,
        Self::SendTwice,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ResponseJumpsQueue => "ResponseJumpsQueue",
            Self::IgnoreSnapshot => "IgnoreSnapshot",
            Self::DrainDropsResponses => "DrainDropsResponses",
            Self::CloseTwice => "CloseTwice",
            Self::ForgetFinish => "ForgetFinish",
            Self::DropLastRequests => "DropLastRequests",
            Self::DropLastResponses => "DropLastResponses",
            Self::SendTwice => "SendTwice",
        }
    }
}

impl Mutant {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let inside = Mutation::ALL.iter().copied().map(Self::Inside);
        inside.chain(Exchange::ALL.into_iter().map(Self::Outside))
    }

    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inside(mutation) => mutation.name(),
            Self::Outside(exchange) => exchange.name(),
        }
    }
}

/// The size of the frame at the front, with its prefix.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_be_bytes(*bytes.first_chunk()?);
    usize::try_from(len).ok()?.checked_add(4)
}

impl World {
    pub(super) const fn mutation_inside(&self) -> Option<Mutation> {
        match self.options.mutant {
            Some(Mutant::Inside(mutation)) => Some(mutation),
            Some(Mutant::Outside(_)) | None => None,
        }
    }

    const fn exchange(&self) -> Option<Exchange> {
        match self.options.mutant {
            Some(Mutant::Outside(exchange)) => Some(exchange),
            Some(Mutant::Inside(_)) | None => None,
        }
    }

    /// What a session is handed instead of an input, if anything.
    pub(super) fn mutant_input(&self, id: SessionId, input: Input) -> Option<Input> {
        match (self.exchange(), input) {
            (Some(Exchange::IgnoreSnapshot), Input::Snapshot(_)) if self.watch.owes(id) => None,
            (Some(Exchange::DrainDropsResponses), Input::Drain { .. }) => {
                Some(Input::Drain { by: self.now })
            }
            (
                Some(Exchange::DropLastResponses),
                Input::Ended {
                    leg: Leg::Client,
                    how: End::Fin,
                },
            ) => Some(Input::Ended {
                leg: Leg::Client,
                how: End::Reset,
            }),
            (_, input) => Some(input),
        }
    }

    /// What comes of an effect, if anything does.
    pub(super) fn mutant_effect(
        &mut self,
        now: Instant,
        id: SessionId,
        effect: Effect,
    ) -> Result<Option<Effect>, Violation> {
        match (self.exchange(), &effect) {
            (Some(Exchange::ForgetFinish), Effect::Finish(_)) => return Ok(None),
            (Some(Exchange::CloseTwice), Effect::Close(_)) => {
                self.watch.effect(now, id, &effect)?;
            }
            _ => {}
        }
        Ok(Some(effect))
    }

    /// What becomes of bytes that are to be written; true if nothing is.
    pub(super) fn mutant_write(
        &mut self,
        id: SessionId,
        link: LinkId,
        leg: Leg,
        arrival: Instant,
        bytes: &mut [u8],
    ) -> Result<bool, Violation> {
        let first = frame_len(bytes);
        match (self.exchange(), leg) {
            (Some(Exchange::ResponseJumpsQueue), Leg::Client) => {
                let second = first.and_then(|first| frame_len(bytes.get(first..)?));
                let both = first.zip(second).map(|(first, second)| first + second);
                if let Some(both) = both.and_then(|both| bytes.get_mut(..both)) {
                    both.rotate_left(first.unwrap_or(0));
                }
            }
            (Some(Exchange::SendTwice), Leg::Upstream) if first == Some(bytes.len()) => {
                let way = self.net.link(link).way(outwards(leg));
                if let Ok(count) = way.write(arrival, bytes) {
                    let taken = bytes.get(..count).unwrap_or_default();
                    self.watch.wrote(self.now, id, leg, taken)?;
                }
            }
            (Some(Exchange::DropLastRequests), Leg::Upstream) => {
                return Ok(self.watch.client_has_ended(id));
            }
            _ => {}
        }
        Ok(false)
    }
}
