//! What sessions together may hold, and who waits when there is no room.
//!
//! A budget is shared by client address: one address is never given more than half of it, however
//! many sessions it has. While there is room nobody waits. Where there is none, an address that
//! holds more than its fair share waits, and one that holds less goes on at once: the address that
//! holds most gives back for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::client_network::ClientNetwork;
use crate::limits::HOLD_ALWAYS_BYTES;

/// The most that a session reads before it is asked again how much it holds.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// One budget, of requests or of responses.
///
/// The first [`HOLD_ALWAYS_BYTES`] of a session are never counted: requests and responses of
/// everyday size never wait for room.
#[derive(Debug)]
pub struct HeldBudget {
    bytes_max: usize,
    used: usize,
    networks: BTreeMap<ClientNetwork, Network>,
    /// How many sessions wait.
    waiting: usize,
    changes: VecDeque<(u64, HoldDecision)>,
}

/// Whether a session may hold what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldDecision {
    /// It may, and go on reading.
    Granted,
    /// It must not read on until it is granted more.
    Waits,
    /// It must give back all that it holds.
    Refused,
}

/// The sessions of one client address.
#[derive(Debug, Default)]
struct Network {
    used: usize,
    sessions: BTreeMap<u64, Held>,
    /// The sessions that wait, by what they hold.
    waiting: BTreeSet<(usize, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: usize,
    /// What it may read now that it no longer waits.
    reserved: usize,
    decision: HoldDecision,
}

impl HeldBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            used: 0,
            networks: BTreeMap::new(),
            waiting: 0,
            changes: VecDeque::new(),
        }
    }

    /// A session holds so many bytes now. To hold less is never refused, and 0 forgets it.
    ///
    /// What that means for other sessions is in [`HeldBudget::next_change`] afterwards.
    pub fn set(&mut self, session: u64, of: ClientNetwork, bytes: usize) -> HoldDecision {
        let bytes = bytes.saturating_sub(HOLD_ALWAYS_BYTES);
        let before = self.take_out(session, of);
        if bytes == 0 {
            self.resume();
            return HoldDecision::Granted;
        }
        if let Some(before) = before.filter(|it| it.decision == HoldDecision::Refused) {
            // What it holds has been given to others already.
            self.put_in(session, of, before);
            return HoldDecision::Refused;
        }
        let held = |decision| Held {
            bytes,
            reserved: 0,
            decision,
        };
        self.put_in(session, of, held(HoldDecision::Granted));
        let decision = match before {
            Some(before) if before.decision == HoldDecision::Granted && bytes <= before.bytes => {
                HoldDecision::Granted
            }
            Some(_) | None => self.decide(of, bytes, 0),
        };
        self.take_out(session, of);
        let bytes = match decision {
            HoldDecision::Granted | HoldDecision::Waits => bytes,
            HoldDecision::Refused => 0,
        };
        self.put_in(
            session,
            of,
            Held {
                bytes,
                ..held(decision)
            },
        );
        if before.is_some_and(|before| bytes < before.bytes + before.reserved) {
            self.resume();
        }
        decision
    }

    /// The next session for which something has changed that it was not told by
    /// [`HeldBudget::set`].
    pub fn next_change(&mut self) -> Option<(u64, HoldDecision)> {
        self.changes.pop_front()
    }

    /// How much all sessions hold that is counted.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// Whether a session of this address, which is counted with `bytes`, may hold them and `ahead`
    /// more. Makes room if it may and there is none.
    fn decide(&mut self, of: ClientNetwork, bytes: usize, ahead: usize) -> HoldDecision {
        let address_max = self.bytes_max / 2;
        let used = self.networks.get(&of).map_or(0, |network| network.used);
        if bytes > address_max {
            // Nobody else's leaving would help.
            return HoldDecision::Refused;
        }
        if used.saturating_add(ahead) > address_max {
            return HoldDecision::Waits;
        }
        if self.used.saturating_add(ahead) <= self.bytes_max {
            return HoldDecision::Granted;
        }
        if used.saturating_add(ahead) > self.fair_share() {
            return HoldDecision::Waits;
        }
        self.make_room(ahead);
        HoldDecision::Granted
    }

    /// What each address has that holds anything, if all of them want as much as they can get.
    fn fair_share(&self) -> usize {
        let holding = self.networks.values().filter(|network| network.used > 0);
        self.bytes_max / holding.count().max(1)
    }

    /// Refuses sessions of those addresses that hold more than their fair share, the largest of
    /// the address that holds most first.
    fn make_room(&mut self, ahead: usize) {
        let fair = self.fair_share();
        while self.used.saturating_add(ahead) > self.bytes_max {
            let most = self.networks.iter().max_by_key(|(_, network)| network.used);
            let Some((of, network)) = most.filter(|(_, network)| network.used > fair) else {
                return;
            };
            let largest = network.sessions.iter().max_by_key(|(_, held)| held.bytes);
            let (Some((session, _)), of) = (largest, *of) else {
                return;
            };
            let session = *session;
            self.take_out(session, of);
            let refused = Held {
                bytes: 0,
                reserved: 0,
                decision: HoldDecision::Refused,
            };
            self.put_in(session, of, refused);
            self.changes.push_back((session, HoldDecision::Refused));
        }
    }

    /// Lets sessions go on that wait, as far as there is room now: of the address that holds least
    /// first, and of its sessions the one that holds least.
    fn resume(&mut self) {
        // Each reads before it is asked again, so that room must be kept for it.
        let ahead = READ_AHEAD_BYTES.min(self.bytes_max / 64);
        while self.waiting > 0 {
            let waiting = self.networks.iter().filter_map(|(of, network)| {
                let (bytes, session) = network.waiting.first()?;
                Some((network.used, *of, *session, *bytes))
            });
            let Some((_, of, session, bytes)) = waiting.min() else {
                return;
            };
            if self.decide(of, bytes, ahead) != HoldDecision::Granted {
                return;
            }
            self.take_out(session, of);
            let granted = Held {
                bytes,
                reserved: ahead,
                decision: HoldDecision::Granted,
            };
            self.put_in(session, of, granted);
            self.changes.push_back((session, HoldDecision::Granted));
        }
    }

    fn take_out(&mut self, session: u64, of: ClientNetwork) -> Option<Held> {
        let network = self.networks.get_mut(&of)?;
        let held = network.sessions.remove(&session)?;
        network.used -= held.bytes + held.reserved;
        self.used -= held.bytes + held.reserved;
        if network.waiting.remove(&(held.bytes, session)) {
            self.waiting -= 1;
        }
        if network.sessions.is_empty() {
            self.networks.remove(&of);
        }
        Some(held)
    }

    fn put_in(&mut self, session: u64, of: ClientNetwork, held: Held) {
        let network = self.networks.entry(of).or_default();
        network.used += held.bytes + held.reserved;
        self.used += held.bytes + held.reserved;
        if held.decision == HoldDecision::Waits && network.waiting.insert((held.bytes, session)) {
            self.waiting += 1;
        }
        network.sessions.insert(session, held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HoldDecision::{Granted, Refused, Waits};
    use std::net::IpAddr;

    const MAX: usize = 1_000_000;

    /// Every session is also given what is never counted.
    fn set(budget: &mut HeldBudget, session: u64, address: u8, bytes: usize) -> HoldDecision {
        let bytes = if bytes == 0 {
            0
        } else {
            bytes + HOLD_ALWAYS_BYTES
        };
        budget.set(session, network(address), bytes)
    }

    fn network(address: u8) -> ClientNetwork {
        IpAddr::from([10, 0, 0, address]).into()
    }

    fn changes(budget: &mut HeldBudget) -> Vec<(u64, HoldDecision)> {
        std::iter::from_fn(|| budget.next_change()).collect()
    }

    #[test]
    fn what_is_held_always_is_not_counted() {
        let mut budget = HeldBudget::new(1);
        assert_eq!(budget.set(1, network(1), HOLD_ALWAYS_BYTES), Granted);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_address_never_has_more_than_half() {
        let mut budget = HeldBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 300_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 300_000), Waits);
        assert_eq!(set(&mut budget, 3, 2, 400_000), Granted);
        assert_eq!(changes(&mut budget), []);
        // What one of its sessions gives back the other may have.
        assert_eq!(set(&mut budget, 1, 1, 0), Granted);
        assert_eq!(changes(&mut budget), [(2, Granted)]);
    }

    #[test]
    fn a_session_that_needs_more_than_its_address_may_have_does_not_wait() {
        let mut budget = HeldBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 500_001), Refused);
        assert_eq!(budget.used(), 0);
        assert_eq!(set(&mut budget, 2, 1, 500_000), Granted);
        assert_eq!(set(&mut budget, 1, 1, 600_000), Refused, "once for all");
        assert_eq!(set(&mut budget, 1, 1, 0), Granted, "it is forgotten");
        assert_eq!(budget.used(), 500_000);
    }

    /// Two sessions that each hold a part and wait for the other's: when one gives up, the other
    /// goes on.
    #[test]
    fn who_waits_is_granted_room_when_another_gives_up() {
        let mut budget = HeldBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 200_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 240_000), Granted);
        assert_eq!(set(&mut budget, 1, 1, 270_000), Waits);
        assert_eq!(set(&mut budget, 2, 1, 280_000), Waits);
        assert_eq!(changes(&mut budget), []);
        assert_eq!(set(&mut budget, 2, 1, 0), Granted);
        assert_eq!(changes(&mut budget), [(1, Granted)]);
        assert_eq!(set(&mut budget, 1, 1, 490_000), Granted);
    }

    #[test]
    fn of_those_who_wait_the_least_goes_first_and_as_many_as_there_is_room_for() {
        let mut budget = HeldBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 450_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 60_000), Waits);
        assert_eq!(set(&mut budget, 3, 1, 50_000), Waits);
        assert_eq!(
            set(&mut budget, 1, 1, 380_000),
            Granted,
            "to hold less is granted"
        );
        // 490,000 are held, and each that goes on may read 15,625 more.
        assert_eq!(changes(&mut budget), []);
        assert_eq!(set(&mut budget, 1, 1, 370_000), Granted);
        assert_eq!(changes(&mut budget), [(3, Granted)]);
    }

    /// However many addresses use it up, one that comes anew waits for none of them.
    #[test]
    fn a_newcomer_goes_on_and_whoever_holds_most_gives_back() {
        let mut budget = HeldBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 200_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 290_000), Granted);
        assert_eq!(set(&mut budget, 3, 2, 490_000), Granted);
        // No room, and its address has less than a third.
        assert_eq!(set(&mut budget, 4, 3, 100_000), Granted);
        assert_eq!(changes(&mut budget), [(3, Refused)]);
        assert_eq!(budget.used(), 590_000);
        assert_eq!(set(&mut budget, 5, 2, 410_000), Granted);
        // The first address holds more than its share: it is the one that waits now.
        assert_eq!(set(&mut budget, 1, 1, 209_000), Waits);
        assert_eq!(changes(&mut budget), []);
        assert_eq!(set(&mut budget, 4, 3, 0), Granted);
        assert_eq!(changes(&mut budget), [], "its half is used up");
        assert_eq!(set(&mut budget, 2, 1, 0), Granted);
        assert_eq!(changes(&mut budget), [(1, Granted)]);
    }

    /// Whatever sessions do: the sums are right, no address has more than its half but for what
    /// it read last, a newcomer is never made to wait, and nobody waits where there is room.
    #[test]
    fn the_rules_hold_whatever_sessions_do() {
        let mut budget = HeldBudget::new(MAX);
        let mut held: BTreeMap<u64, (u8, usize, HoldDecision)> = BTreeMap::new();
        let mut dice: u64 = 7;
        let mut roll = |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % below
        };
        for _ in 0..20_000 {
            let session = roll(40);
            let address = u8::try_from(session % 5).unwrap();
            let had = held.get(&session).map_or(0, |it| it.1);
            let bytes = match roll(4) {
                0 => 0,
                1 => had / 2,
                _ => had + usize::try_from(roll(60_000)).unwrap(),
            };
            let of_address: usize = held
                .values()
                .filter(|it| it.0 == address)
                .map(|it| it.1)
                .sum();
            let decision = set(&mut budget, session, address, bytes);
            if of_address == 0 && bytes <= MAX / 5 {
                assert_eq!(decision, Granted);
            }
            held.insert(session, (address, bytes, decision));
            let mut refused: Vec<u64> = (decision == Refused)
                .then_some(session)
                .into_iter()
                .collect();
            loop {
                while let Some((session, decision)) = budget.next_change() {
                    let it = held.get_mut(&session).unwrap();
                    assert_ne!(it.2, decision, "a change");
                    it.2 = decision;
                    refused.extend((decision == Refused).then_some(session));
                }
                // It closes at once.
                let Some(session) = refused.pop() else { break };
                let (address, _, _) = held.remove(&session).unwrap();
                assert_eq!(set(&mut budget, session, address, 0), Granted);
            }
            let of = |address: u8| held.values().filter(move |it| it.0 == address);
            for address in 0..5 {
                let bytes: usize = of(address).map(|it| it.1).sum();
                let most = MAX / 2 + of(address).count() * 60_000;
                assert!(bytes <= most, "{bytes}");
            }
        }
        for (session, (address, _, _)) in held {
            set(&mut budget, session, address, 0);
        }
        assert_eq!((budget.used(), budget.waiting), (0, 0));
        assert!(budget.networks.is_empty());
    }
}
