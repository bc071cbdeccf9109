//! The rules that reloads give a doorkeeper while it runs, and since when.

use std::time::Duration;

use doorkeeper_core::Snapshot;
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};

/// The topic that is denied to everybody while the rules say so. No record of any other topic
/// holds its name.
pub const EMBARGOED: &str = "embargo-7";

/// What is changed by a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Nobody may do anything with [`EMBARGOED`].
    pub embargo: bool,
    /// Limits below those of the configuration.
    pub small: SmallLimits,
}

/// Limits that are made small, each by the name that core gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmallLimits {
    /// The longest request.
    pub frame_bytes_max: Option<usize>,
    /// How much of a request or of a response is held.
    pub request_buffer_bytes_max: Option<usize>,
    /// When the other leg is not read any more.
    pub egress_high_bytes: Option<usize>,
    /// How many responses may be owed.
    pub in_flight_max: Option<usize>,
}

impl Rules {
    /// Changes a snapshot, whose limits were these when doorkeeper started.
    pub(super) fn lay_over(&self, snapshot: &mut Snapshot, configured: &Limits) {
        let policy = Policy::allow_all();
        snapshot.policy = if self.embargo {
            policy.deny_topic(&Principal::anonymous(), EMBARGOED)
        } else {
            policy
        };
        let least = |small: Option<usize>, plain: usize| small.map_or(plain, |it| it.min(plain));
        let small = self.small;
        snapshot.limits = Limits {
            frame_bytes_max: least(small.frame_bytes_max, configured.frame_bytes_max),
            request_buffer_bytes_max: least(
                small.request_buffer_bytes_max,
                configured.request_buffer_bytes_max,
            ),
            response_buffer_bytes_max: least(
                small.request_buffer_bytes_max,
                configured.response_buffer_bytes_max,
            ),
            egress_high_bytes: least(small.egress_high_bytes, configured.egress_high_bytes),
            in_flight_max: least(small.in_flight_max, configured.in_flight_max),
            ..configured.clone()
        };
    }
}

/// The rules of one doorkeeper, and since when.
#[derive(Debug, Default)]
pub(super) struct History(Vec<(Duration, Rules)>);

impl History {
    /// From now on.
    pub(super) fn push(&mut self, at: Duration, rules: &Rules) {
        self.0.push((at, rules.clone()));
    }

    /// All rules that were in force at some moment of this time, its ends included: what happens
    /// at the very moment of a reload may fall to either side of it.
    pub(super) fn during(&self, from: Duration, to: Duration) -> Vec<&Rules> {
        let ends = self.0.iter().skip(1).map(|(at, _)| *at);
        let ends = ends.chain([Duration::MAX]);
        let all = self.0.iter().zip(ends);
        all.filter(|((begins, _), ends)| *begins <= to && *ends >= from)
            .map(|((_, rules), _)| rules)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_force_until_the_next_ones_are() {
        let rules = |embargo| Rules {
            embargo,
            ..Rules::default()
        };
        let at = Duration::from_millis;
        let mut history = History::default();
        history.push(at(0), &rules(false));
        history.push(at(10), &rules(true));
        history.push(at(20), &rules(false));
        let embargo = |from, to| -> Vec<bool> {
            let rules = history.during(at(from), at(to));
            rules.into_iter().map(|rules| rules.embargo).collect()
        };
        assert_eq!(embargo(1, 9), [false]);
        assert_eq!(embargo(11, 19), [true]);
        assert_eq!(embargo(11, 20), [true, false]);
        assert_eq!(embargo(5, 25), [false, true, false]);
        assert_eq!(embargo(21, 99), [false]);
    }
}
