//! One client connection and its upstream leg, as a value.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::egress::Egress;
use crate::error::CloseReason;
use crate::id::Seed;
use crate::io::{Accept, Demand, Effect, Input, Leg};
use crate::shared::Shared;
use crate::time::Instant;

/// One client connection and its upstream leg.
#[derive(Debug)]
pub struct Session {
    client: Egress,
    upstream: Egress,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A session for a client that has just been accepted.
    #[must_use]
    pub fn new(_now: Instant, _accept: Accept, _shared: Arc<Shared>, _seed: Seed) -> Self {
        Self {
            client: Egress::default(),
            upstream: Egress::default(),
            effects: VecDeque::new(),
        }
    }

    /// Takes in what happened. Never fails: a bad peer becomes an [`Effect::Close`].
    pub fn handle(&mut self, _now: Instant, input: Input) {
        if let Input::Ended { how, .. } = input {
            self.effects
                .push_back(Effect::Close(CloseReason::ClientEnded(how)));
        }
    }

    /// The next effect; drain to `None` after every [`Session::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is due to one peer.
    #[must_use]
    pub fn egress(&self, leg: Leg) -> &Egress {
        match leg {
            Leg::Client => &self.client,
            Leg::Upstream => &self.upstream,
        }
    }

    /// What the driver should do until the next input.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand {
            read_client: true,
            read_upstream: true,
            shared: false,
            deadline: None,
        }
    }
}
