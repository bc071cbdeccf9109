//! How many bytes all sessions together may buffer, so that one of them never takes all memory.
//!
//! A budget is shared by client address: the sessions of one address are given no more than half
//! of it, however many there are. While there is room nobody waits. Where there is none, an address
//! that buffers more than its fair share waits, and one that buffers less goes on at once: the
//! largest session of the address that buffers most is rejected for it.
//!
//! Sessions of one address must not wait for each other alone. When all of them wait, the largest
//! goes on above the half, as long as the budget of all has room: it is nearest to its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::client_network::ClientNetwork;
use crate::limits::UNCOUNTED_BUFFER_BYTES;
use crate::work;

/// The most that a session reads before it is asked again how much it buffers.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// One budget, of requests or of responses.
///
/// The first [`UNCOUNTED_BUFFER_BYTES`] of a session are never counted: requests and responses of
/// everyday size never wait for room.
///
/// All sessions of a process share it behind a lock, so that no change may take longer the more
/// addresses and sessions there are: whoever is next is found in an index.
#[derive(Debug)]
pub struct BufferBudget {
    bytes_max: usize,
    used: usize,
    networks: BTreeMap<ClientNetwork, Network>,
    /// The addresses that use anything, by how much.
    by_used: BTreeSet<(usize, ClientNetwork)>,
    /// The addresses that have sessions which wait, by how much they use.
    waiting: BTreeSet<(usize, ClientNetwork)>,
    /// Those of them that have no session which may go on, by how much they use.
    stuck: BTreeSet<(usize, ClientNetwork)>,
    changes: VecDeque<(u64, BufferDecision)>,
}

/// Whether a session may buffer what it buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferDecision {
    /// It may, and go on reading.
    Granted,
    /// It must not read on until it is granted more.
    Waits,
    /// It must drop all that it buffers.
    Rejected,
}

/// The sessions of one client address.
#[derive(Debug, Default)]
struct Network {
    used: usize,
    sessions: BTreeMap<u64, Usage>,
    /// The sessions that buffer anything, by how much.
    by_bytes: BTreeSet<(usize, u64)>,
    /// Those of them that wait.
    waiting: BTreeSet<(usize, u64)>,
}

/// What one session buffers that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Granted {
        bytes: usize,
        /// What it may read now that it no longer waits.
        reserved: usize,
    },
    Waits {
        bytes: usize,
    },
    /// What it buffers has been given to others already.
    Rejected,
}

impl Usage {
    const fn decision(self) -> BufferDecision {
        match self {
            Self::Granted { .. } => BufferDecision::Granted,
            Self::Waits { .. } => BufferDecision::Waits,
            Self::Rejected => BufferDecision::Rejected,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Granted { bytes, .. } | Self::Waits { bytes } => bytes,
            Self::Rejected => 0,
        }
    }

    const fn used(self) -> usize {
        match self {
            Self::Granted { bytes, reserved } => bytes + reserved,
            Self::Waits { bytes } => bytes,
            Self::Rejected => 0,
        }
    }
}

/// How much of what a session buffers is counted.
#[must_use]
pub const fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(UNCOUNTED_BUFFER_BYTES)
}

impl BufferBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            used: 0,
            networks: BTreeMap::new(),
            by_used: BTreeSet::new(),
            waiting: BTreeSet::new(),
            stuck: BTreeSet::new(),
            changes: VecDeque::new(),
        }
    }

    /// A session buffers so many bytes now. To buffer less is never rejected, and 0 forgets it.
    ///
    /// What that means for other sessions is in [`BufferBudget::next_change`] afterwards.
    pub fn set(&mut self, session: u64, of: ClientNetwork, bytes: usize) -> BufferDecision {
        let bytes = counted(bytes);
        let before = self.replace(session, of, None);
        let usage = match before {
            _ if bytes == 0 => None,
            Some(Usage::Rejected) => before,
            // Nobody else's leaving would help.
            _ if bytes > self.address_max() => Some(Usage::Rejected),
            Some(Usage::Granted { bytes: had, .. }) if bytes <= had => {
                Some(Usage::Granted { bytes, reserved: 0 })
            }
            Some(Usage::Granted { .. } | Usage::Waits { .. }) | None => {
                Some(Usage::Waits { bytes })
            }
        };
        self.replace(session, of, usage);
        if usage == Some(Usage::Waits { bytes }) && self.fits(of) {
            self.make_room(session, 0);
            self.replace(session, of, Some(Usage::Granted { bytes, reserved: 0 }));
        }
        self.resume(session);
        let usage = self
            .networks
            .get(&of)
            .and_then(|it| it.sessions.get(&session));
        usage.map_or(BufferDecision::Granted, |usage| usage.decision())
    }

    /// The next session whose decision has changed through a [`BufferBudget::set`] of another one.
    pub fn next_change(&mut self) -> Option<(u64, BufferDecision)> {
        self.changes.pop_front()
    }

    /// How much all sessions buffer that is counted.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// What one address gets.
    const fn address_max(&self) -> usize {
        self.bytes_max / 2
    }

    /// Whether an address may use what it uses, if need be when others give back for it.
    fn fits(&self, of: ClientNetwork) -> bool {
        let used = self.networks.get(&of).map_or(0, |network| network.used);
        let is_shared = self.used <= self.bytes_max || used <= self.fair_share();
        used <= self.address_max() && is_shared
    }

    /// What each address has that uses anything, if all of them want as much as they can get.
    fn fair_share(&self) -> usize {
        self.bytes_max / self.by_used.len().max(1)
    }

    /// Rejects sessions of those addresses that use more than their fair share, the largest of the
    /// address that uses most first, until there is room for so many bytes.
    fn make_room(&mut self, asking: u64, ahead: usize) {
        let fair = self.fair_share();
        while self.used.saturating_add(ahead) > self.bytes_max {
            work::steps(1);
            let most = self.by_used.last().filter(|(used, _)| *used > fair);
            let largest = most.and_then(|(_, of)| {
                let (_, session) = self.networks.get(of)?.by_bytes.last()?;
                Some((*session, *of))
            });
            let Some((session, of)) = largest else {
                return;
            };
            self.replace(session, of, Some(Usage::Rejected));
            self.note_change(asking, session, BufferDecision::Rejected);
        }
    }

    /// Lets sessions go on that wait, as far as there is room now: of the address that uses least
    /// first, and of its sessions the one that buffers most.
    fn resume(&mut self, asking: u64) {
        while let Some((of, room)) = self.next_to_resume() {
            work::steps(1);
            let largest = self.networks.get(&of).and_then(|it| it.waiting.last());
            let Some((bytes, session)) = largest.copied() else {
                return;
            };
            // It reads before it is asked again, so that room must be kept for it.
            let reserved = room.min(READ_AHEAD_BYTES).min(self.bytes_max / 64);
            self.make_room(asking, reserved);
            self.replace(session, of, Some(Usage::Granted { bytes, reserved }));
            self.note_change(asking, session, BufferDecision::Granted);
        }
    }

    /// The next address of which a session that waits may go on, and the room that it has.
    fn next_to_resume(&self) -> Option<(ClientNetwork, usize)> {
        let room = self.bytes_max.saturating_sub(self.used);
        let (used, of) = *self.waiting.first()?;
        let of_address = if room > 0 {
            self.address_max().saturating_sub(used).min(room)
        } else {
            // Others give back for it.
            self.fair_share()
                .min(self.address_max())
                .saturating_sub(used)
        };
        if of_address > 0 {
            return Some((of, of_address));
        }
        let (_, stuck) = self.stuck.first().filter(|_| room > 0)?;
        Some((*stuck, room))
    }

    /// Keeps a decision for a session; the one that asks gets its own as a result.
    fn note_change(&mut self, asking: u64, session: u64, decision: BufferDecision) {
        if session != asking {
            self.changes.push_back((session, decision));
        }
    }

    /// A session buffers this from now on; returns what it buffered before.
    fn replace(&mut self, session: u64, of: ClientNetwork, usage: Option<Usage>) -> Option<Usage> {
        let network = self.networks.entry(of).or_default();
        let place = (network.used, of);
        self.used -= network.used;
        self.by_used.remove(&place);
        self.waiting.remove(&place);
        self.stuck.remove(&place);
        let before = network.replace(session, usage);
        let place = (network.used, of);
        self.used += network.used;
        if network.used > 0 {
            self.by_used.insert(place);
        }
        if !network.waiting.is_empty() {
            self.waiting.insert(place);
            if network.waiting.len() == network.by_bytes.len() {
                self.stuck.insert(place);
            }
        }
        if network.sessions.is_empty() {
            self.networks.remove(&of);
        }
        before
    }
}

impl Network {
    fn replace(&mut self, session: u64, usage: Option<Usage>) -> Option<Usage> {
        let before = self.sessions.remove(&session);
        if let Some(before) = before {
            self.used -= before.used();
            self.by_bytes.remove(&(before.bytes(), session));
            self.waiting.remove(&(before.bytes(), session));
        }
        if let Some(usage) = usage {
            self.used += usage.used();
            self.sessions.insert(session, usage);
            let place = (usage.bytes(), session);
            match usage {
                Usage::Granted { .. } => {
                    self.by_bytes.insert(place);
                }
                Usage::Waits { .. } => {
                    self.by_bytes.insert(place);
                    self.waiting.insert(place);
                }
                Usage::Rejected => {}
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BufferDecision::{Granted, Rejected, Waits};
    use std::net::IpAddr;

    const MAX: usize = 1_000_000;

    /// Every session is also given what is never counted.
    fn set(budget: &mut BufferBudget, session: u64, address: u8, bytes: usize) -> BufferDecision {
        let bytes = if bytes == 0 {
            0
        } else {
            bytes + UNCOUNTED_BUFFER_BYTES
        };
        budget.set(session, network(address), bytes)
    }

    fn network(address: u8) -> ClientNetwork {
        IpAddr::from([10, 0, 0, address]).into()
    }

    fn changes(budget: &mut BufferBudget) -> Vec<(u64, BufferDecision)> {
        std::iter::from_fn(|| budget.next_change()).collect()
    }

    #[test]
    fn the_first_bytes_of_a_session_are_not_counted() {
        let mut budget = BufferBudget::new(1);
        assert_eq!(budget.set(1, network(1), UNCOUNTED_BUFFER_BYTES), Granted);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_address_never_has_more_than_half() {
        let mut budget = BufferBudget::new(MAX);
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
        let mut budget = BufferBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 500_001), Rejected);
        assert_eq!(budget.used(), 0);
        assert_eq!(set(&mut budget, 2, 1, 500_000), Granted);
        assert_eq!(set(&mut budget, 1, 1, 600_000), Rejected, "once for all");
        assert_eq!(set(&mut budget, 1, 1, 0), Granted, "it is forgotten");
        assert_eq!(budget.used(), 500_000);
    }

    /// Two sessions that each buffer a part and wait for the other's: the larger goes on, and then
    /// the other.
    #[test]
    fn of_sessions_that_all_wait_the_largest_goes_on() {
        let mut budget = BufferBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 200_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 240_000), Granted);
        assert_eq!(set(&mut budget, 1, 1, 270_000), Waits);
        assert_eq!(set(&mut budget, 2, 1, 280_000), Granted, "nobody else does");
        assert_eq!(set(&mut budget, 2, 1, 480_000), Granted);
        assert_eq!(changes(&mut budget), []);
        assert_eq!(set(&mut budget, 2, 1, 0), Granted);
        assert_eq!(changes(&mut budget), [(1, Granted)]);
        assert_eq!(set(&mut budget, 1, 1, 490_000), Granted);
    }

    #[test]
    fn the_largest_goes_on_also_where_another_one_asks() {
        let mut budget = BufferBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 200_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 240_000), Granted);
        assert_eq!(set(&mut budget, 1, 1, 400_000), Waits);
        assert_eq!(set(&mut budget, 2, 1, 280_000), Waits);
        assert_eq!(changes(&mut budget), [(1, Granted)]);
    }

    /// Above its half an address has no more than one session that goes on, and none where the
    /// budget of all is used up.
    #[test]
    fn sessions_that_all_wait_do_not_go_on_above_the_budget_of_all() {
        let mut budget = BufferBudget::new(MAX);
        for session in [1, 2] {
            assert_eq!(set(&mut budget, session, 1, 240_000), Granted);
            assert_eq!(set(&mut budget, session + 2, 2, 250_000), Granted);
        }
        assert_eq!(set(&mut budget, 1, 1, 300_000), Waits);
        assert_eq!(set(&mut budget, 2, 1, 300_000), Waits);
        assert_eq!(changes(&mut budget), []);
        assert_eq!(set(&mut budget, 3, 2, 130_000), Granted);
        assert_eq!(changes(&mut budget), [(2, Granted)]);
        assert_eq!(set(&mut budget, 3, 2, 0), Granted);
        assert_eq!(changes(&mut budget), [], "one goes on");
        assert_eq!(set(&mut budget, 2, 1, 0), Granted);
        assert_eq!(changes(&mut budget), [(1, Granted)]);
    }

    #[test]
    fn waiting_sessions_go_on_by_size_as_far_as_there_is_room() {
        let mut budget = BufferBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 450_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 60_000), Waits);
        assert_eq!(set(&mut budget, 3, 1, 50_000), Waits);
        assert_eq!(set(&mut budget, 1, 1, 390_000), Granted, "to buffer less");
        assert_eq!(changes(&mut budget), [], "the half is used up");
        // 490,000 are buffered: less than the 15,625 that are kept where there is room.
        assert_eq!(set(&mut budget, 1, 1, 380_000), Granted);
        assert_eq!(changes(&mut budget), [(2, Granted)]);
        assert_eq!(set(&mut budget, 1, 1, 370_000), Granted);
        assert_eq!(changes(&mut budget), [(3, Granted)]);
    }

    /// However many addresses use it up, one that comes anew waits for none of them.
    #[test]
    fn a_newcomer_goes_on_and_the_largest_session_is_rejected() {
        let mut budget = BufferBudget::new(MAX);
        assert_eq!(set(&mut budget, 1, 1, 200_000), Granted);
        assert_eq!(set(&mut budget, 2, 1, 290_000), Granted);
        assert_eq!(set(&mut budget, 3, 2, 490_000), Granted);
        // No room, and its address has less than a third.
        assert_eq!(set(&mut budget, 4, 3, 100_000), Granted);
        assert_eq!(changes(&mut budget), [(3, Rejected)]);
        assert_eq!(budget.used(), 590_000);
        assert_eq!(set(&mut budget, 5, 2, 410_000), Granted);
        // The first address buffers more than its share: it is the one that waits now.
        assert_eq!(set(&mut budget, 1, 1, 209_000), Waits);
        assert_eq!(changes(&mut budget), []);
        assert_eq!(set(&mut budget, 4, 3, 0), Granted);
        assert_eq!(changes(&mut budget), [(1, Granted)]);
    }

    /// However many addresses there are, and buffer, and wait.
    #[test]
    fn a_change_takes_no_longer_the_more_addresses_there_are() {
        for addresses in [100_u32, 10_000] {
            let mut budget = BufferBudget::new(MAX);
            let network = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes()).into();
            let share = MAX / usize::try_from(addresses).unwrap();
            let before = work::taken();
            let mut changes = 0;
            for more in [0, share] {
                for n in 0..addresses {
                    let bytes = UNCOUNTED_BUFFER_BYTES + share + more;
                    let _ = budget.set(n.into(), network(n), bytes);
                    changes += std::iter::from_fn(|| budget.next_change()).count();
                }
            }
            for n in 0..addresses {
                budget.set(n.into(), network(n), 0);
                changes += std::iter::from_fn(|| budget.next_change()).count();
            }
            let steps = work::taken() - before;
            assert!(
                steps <= u64::try_from(changes).unwrap(),
                "{steps} {changes}"
            );
            assert!(changes <= 3 * usize::try_from(addresses).unwrap());
        }
    }

    /// What is buffered after each of many changes that sessions may make.
    #[derive(Default)]
    struct Sessions(BTreeMap<u64, (u8, usize, BufferDecision)>);

    /// The most that a session reads before it is asked.
    const READ: usize = 60_000;

    impl Sessions {
        fn of(&self, address: u8) -> impl Iterator<Item = (usize, BufferDecision)> {
            let of = self.0.values().filter(move |it| it.0 == address);
            of.map(|it| (it.1, it.2))
        }

        /// Follows the changes; whoever is rejected closes at once.
        fn settle(&mut self, budget: &mut BufferBudget) {
            loop {
                while let Some((session, decision)) = budget.next_change() {
                    let it = self.0.get_mut(&session).unwrap();
                    assert_ne!(it.2, decision, "a change");
                    it.2 = decision;
                }
                let mut rejected = self.0.iter().filter(|(_, it)| it.2 == Rejected);
                let Some((session, address)) = rejected.next().map(|it| (*it.0, it.1.0)) else {
                    return;
                };
                self.0.remove(&session);
                assert_eq!(set(budget, session, address, 0), Granted);
            }
        }

        fn keeps_the_rules(&self, budget: &BufferBudget) {
            let all: usize = self.0.values().map(|it| it.1).sum();
            let reads = READ * self.0.values().filter(|it| it.2 == Waits).count();
            assert!(all <= MAX + reads, "{all}");
            assert!(budget.used() <= MAX + reads, "{}", budget.used());
            for address in 0..5 {
                let bytes: usize = self.of(address).map(|it| it.0).sum();
                let largest = self.of(address).map(|it| it.0).max().unwrap_or(0);
                let reads = READ * self.of(address).filter(|it| it.1 == Waits).count();
                assert!(bytes - largest <= MAX / 2 + reads, "{bytes}");
                if self.of(address).all(|it| it.1 != Waits) {
                    continue;
                }
                let is_stuck = self.of(address).all(|it| it.1 == Waits || it.0 == 0);
                let used = budget.networks[&network(address)].used;
                let has_room = used < MAX / 2 && budget.used() < MAX;
                assert!(!has_room, "{address} waits where there is room");
                let others = (0..5).filter(|it| self.of(*it).any(|it| it.0 > 0));
                let is_poor = used < MAX / others.count();
                assert!(!is_poor, "{address} waits with less than its share");
                assert!(!is_stuck || budget.used() >= MAX, "{address} is stuck");
            }
        }
    }

    /// Whatever sessions do: the sums are right, all of them buffer no more than there is and an
    /// address no more than its half and one session, but for what those read last that wait; a
    /// newcomer is never made to wait, nobody waits where there is room, and one session of an
    /// address goes on.
    #[test]
    fn the_rules_hold_whatever_sessions_do() {
        let mut budget = BufferBudget::new(MAX);
        let mut usage = Sessions::default();
        let mut dice: u64 = 7;
        let mut roll = |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % below
        };
        let mut waited = 0;
        for _ in 0..20_000 {
            let session = roll(40);
            let address = u8::try_from(session % 5).unwrap();
            let (had, decision) = usage
                .0
                .get(&session)
                .map_or((0, Granted), |it| (it.1, it.2));
            let bytes = match roll(8) {
                0 => 0,
                1 => had / 2,
                // Who waits is not read.
                _ if decision == Waits => had,
                _ => had + usize::try_from(roll(READ as u64)).unwrap(),
            };
            let of_address: usize = usage.of(address).map(|it| it.0).sum();
            let decision = set(&mut budget, session, address, bytes);
            if of_address == 0 && bytes <= MAX / 5 {
                assert_eq!(decision, Granted);
            }
            usage.0.insert(session, (address, bytes, decision));
            usage.settle(&mut budget);
            usage.keeps_the_rules(&budget);
            waited += usize::from(usage.0.values().any(|it| it.2 == Waits));
        }
        assert!(waited > 10_000, "{waited}");
        for (session, (address, _, _)) in usage.0 {
            set(&mut budget, session, address, 0);
        }
        assert_eq!(budget.used(), 0);
        assert!(budget.networks.is_empty() && budget.by_used.is_empty());
        assert!(budget.waiting.is_empty() && budget.stuck.is_empty());
    }
}
