//! How long one of several addresses is waited for.

use std::time::Duration;

/// What each has at first. A SYN that is lost is sent again after a second (RFC 6298 section 2),
/// and whoever is far away has a second to respond then.
pub(crate) const FIRST: Duration = Duration::from_secs(2);

/// So many that were too slow say that more time may be needed, however many candidates there are.
const ROUND_MAX: usize = 3;

/// How long the next attempt may take after so many that were too slow, where there are so many
/// candidates: as long as it likes if there is only one. It doubles with each round, so that one
/// which swallows connections keeps nobody waiting for long, and all that are slow get their time.
pub(crate) fn patience(slow: u32, candidates: usize) -> Duration {
    if candidates <= 1 {
        return Duration::MAX;
    }
    let rounds = rounds(slow, candidates);
    FIRST.saturating_mul(1_u32.checked_shl(rounds).unwrap_or(u32::MAX))
}

/// How many rounds are over: in each all candidates were too slow, or `ROUND_MAX` of them.
pub(crate) fn rounds(slow: u32, candidates: usize) -> u32 {
    let each = u32::try_from(candidates.clamp(1, ROUND_MAX)).unwrap_or(1);
    slow.checked_div(each).unwrap_or(0)
}

/// Whether an attempt failed because its time was over, whatever it waited for: a peer that
/// refuses the connection does so at once.
pub(crate) fn was_slow(took: Duration, within: Duration) -> bool {
    took >= within / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_candidate_has_its_turn_before_any_has_more_time() {
        let given = |candidates| -> Vec<u64> {
            let given = (0..7).map(|slow| patience(slow, candidates).as_secs());
            given.collect()
        };
        assert_eq!(given(2), [2, 2, 4, 4, 8, 8, 16]);
        assert_eq!(given(3), [2, 2, 2, 4, 4, 4, 8]);
        assert_eq!(patience(0, 1), Duration::MAX);
        assert!(patience(u32::MAX, 2) > Duration::from_secs(3600));
    }

    #[test]
    fn with_many_candidates_it_grows_as_with_a_few() {
        for slow in 0..20 {
            assert_eq!(patience(slow, 500), patience(slow, 3));
        }
    }
}
