//! Which APIs clients are offered on a listener, and in which versions.

use std::collections::BTreeSet;

use super::row::{Offer, Row};
use super::rows::row;
use crate::id::ApiKey;
use crate::wire::codec::denial::Denial;
use crate::wire::schema::Versions;

/// Whether an API is for clients of doorkeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offering {
    /// For every client.
    Always,
    /// It acts on principals of the upstream, behind which all clients are one, or needs ALTER on
    /// the cluster: only where the configuration names it.
    ByName,
    /// It logs in, where that has to be done.
    Login,
    /// For brokers and controllers of the cluster only.
    Never,
}

/// How an API is offered, if our table has it at all.
#[must_use]
pub fn offering(api: ApiKey) -> Option<Offering> {
    Some(match row(api)?.offer {
        Offer::Always | Offer::ButBrokerConfigs(_) => Offering::Always,
        Offer::ByName(_) => Offering::ByName,
        Offer::Login(..) => Offering::Login,
        Offer::Never => Offering::Never,
    })
}

/// Which of the APIs in our table clients are offered on one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferedApis {
    allowed: BTreeSet<ApiKey>,
    alters_brokers: bool,
}

impl OfferedApis {
    /// What is offered by default, and these besides: those that have to be named
    /// ([`Offering::ByName`]). Any other API is offered or not, whether it is named or not.
    #[must_use]
    pub fn with(allowed: impl IntoIterator<Item = ApiKey>) -> Self {
        Self {
            allowed: allowed.into_iter().collect(),
            alters_brokers: false,
        }
    }

    /// The same, where AlterConfigs and IncrementalAlterConfigs may alter brokers or may not.
    #[must_use]
    pub fn altering_brokers(self, alters_brokers: bool) -> Self {
        Self {
            alters_brokers,
            ..self
        }
    }

    /// What is offered besides.
    pub fn besides(&self) -> impl Iterator<Item = ApiKey> {
        self.allowed.iter().copied()
    }

    /// Whether clients may alter the configs of brokers.
    #[must_use]
    pub const fn alters_brokers(&self) -> bool {
        self.alters_brokers
    }

    /// The API and the versions that clients may ask for, if it is offered. It may be one of which
    /// every request is denied.
    #[must_use]
    pub fn get(&self, api: ApiKey) -> Option<OfferedApi> {
        let row = row(api)?;
        let mut versions = row.entry.versions;
        versions.last = versions.last.min(row.last_version);
        let access = match &row.offer {
            Offer::ButBrokerConfigs(denial) if !self.alters_brokers => Access::NotBrokers(denial),
            Offer::Always | Offer::ButBrokerConfigs(_) => Access::All,
            Offer::ByName(_) if self.allowed.contains(&api) => Access::All,
            Offer::ByName(denied) | Offer::Login(_, denied) => {
                versions.first = versions.first.max(denied.versions.first);
                versions.last = versions.last.min(denied.versions.last);
                Access::Denied(&denied.denial)
            }
            Offer::Never => return None,
        };
        Some(OfferedApi {
            versions,
            access,
            row,
        })
    }
}

/// One API as a client may use it.
#[derive(Clone, Copy, Debug)]
pub struct OfferedApi {
    /// The versions that are offered.
    pub versions: Versions,
    /// What of it clients are allowed.
    pub access: Access,
    pub(crate) row: &'static Row,
}

/// What clients are allowed of an API that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All that it does.
    All,
    /// To alter configurations, but not those of brokers.
    NotBrokers(&'static Denial),
    /// Nothing: every request is denied.
    Denied(&'static Denial),
}
