//! How long things may take.

use std::time::Duration;

/// How long things may take on a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitLimits {
    /// A step that waits. Some responses may never come.
    pub(super) step: Duration,
    /// Everything that is pending once all faults have ended.
    pub(super) healed: Duration,
    /// Sessions without a client.
    pub(super) gone: Duration,
    /// The network itself: to listen, to connect.
    pub(super) network: Duration,
    /// Whether a step that has waited in vain is wrong.
    pub(super) is_strict: bool,
}

impl WaitLimits {
    /// As the direct backend has it, where time costs nothing.
    pub(super) const VIRTUAL: Self = Self {
        step: Duration::from_secs(120),
        healed: Duration::from_secs(420),
        gone: Duration::from_secs(150),
        network: Duration::from_secs(60),
        is_strict: false,
    };

    /// Where time is real nothing is waited for that does not come: these only matter when
    /// something hangs.
    pub(super) const REAL: Self = Self {
        step: HANGS,
        healed: HANGS,
        gone: HANGS,
        network: HANGS,
        is_strict: true,
    };
}

const HANGS: Duration = Duration::from_secs(30);
