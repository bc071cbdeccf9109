//! How long one of several addresses is waited for.

use std::time::Duration;

/// What each has while the others have not been tried.
const FIRST: Duration = Duration::from_secs(1);

/// How long the next attempt may take after so many that failed, where there are so many
/// candidates: as long as it likes if there is only one. It doubles each time that all have
/// failed, so that one which swallows connections keeps nobody waiting for long, and all that are
/// slow get their time.
pub(crate) fn patience(failed: u32, candidates: usize) -> Duration {
    if candidates <= 1 {
        return Duration::MAX;
    }
    let candidates = u32::try_from(candidates).unwrap_or(u32::MAX);
    let rounds = failed.checked_div(candidates).unwrap_or(0);
    FIRST.saturating_mul(1_u32.checked_shl(rounds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_candidate_has_its_turn_before_any_has_more_time() {
        let given: Vec<u64> = (0..7).map(|failed| patience(failed, 3).as_secs()).collect();
        assert_eq!(given, [1, 1, 1, 2, 2, 2, 4]);
        assert_eq!(patience(0, 1), Duration::MAX);
        assert!(patience(u32::MAX, 2) > Duration::from_secs(3600));
    }
}
