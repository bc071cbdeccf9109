//! The processor time of the commands that a step ran: on a busy machine it says more than a clock.

use std::fmt;
use std::fs;
use std::ops::Sub;
use std::time::Duration;

use super::Seconds;

/// Of all children that have ended and been waited for, and their own; `None` where `/proc` does
/// not tell.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Cost(Option<Duration>);

/// Linux counts so many ticks a second in `/proc`, whatever its kernel does.
const TICKS: u64 = 100;

impl Cost {
    /// So far.
    pub(super) fn now() -> Self {
        Self(
            fs::read_to_string("/proc/self/stat")
                .ok()
                .and_then(|it| read(&it)),
        )
    }
}

/// `proc_pid_stat(5)`: `cutime` and `cstime` are the fields 16 and 17, and the second one, a name
/// in parentheses, may hold anything.
fn read(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        match (self.0, earlier.0) {
            (Some(now), Some(then)) => Self(Some(now.saturating_sub(then))),
            (Some(_) | None, _) => Self(None),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => Seconds(time).fmt(f),
            None => f.pad(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_children_are_found_behind_any_name() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 900 800 150 50 20 0 1";
        assert_eq!(read(stat), Some(Duration::from_secs(2)));
        assert_eq!(read("12 (a) S 1"), None);
        let seconds = |it| Cost(Some(Duration::from_secs(it)));
        assert_eq!(seconds(5) - seconds(2), seconds(3));
        assert_eq!(seconds(5) - Cost(None), Cost(None));
    }
}
