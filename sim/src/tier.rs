//! Which of the two simulations a command is about.

use std::fmt;

/// A tier, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Choice {
    /// 0: sessions as values; 1: the real server on a simulated network
    #[arg(long, value_enum, default_value_t = Tier::Sessions)]
    pub(crate) tier: Tier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tier {
    /// Sessions of core as values
    #[value(name = "0")]
    Sessions,
    /// The real server on a simulated network
    #[value(name = "1")]
    Server,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sessions => "0",
            Self::Server => "1",
        })
    }
}
