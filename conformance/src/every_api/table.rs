//! `conformance/every_api.toml`: every difference that is allowed, with its reason.

use anyhow::Result;
use serde::Deserialize;

use crate::folders;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What ApiVersions says less through doorkeeper.
    #[serde(default)]
    pub(crate) cut: Vec<Cut>,
    /// APIs for which doorkeeper closes the connection by design.
    #[serde(default)]
    pub(crate) closed: Vec<ClosedApis>,
    /// Requests that doorkeeper denies by design, whatever the broker would do.
    #[serde(default)]
    pub(crate) denied: Vec<DeniedRequests>,
    /// Versions of which no success, or no error, can be shown.
    #[serde(default)]
    pub(crate) exempt: Vec<Exempt>,
    /// Fields that may differ.
    #[serde(default)]
    pub(crate) differs: Vec<Rule>,
}

/// A range that doorkeeper narrows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cut {
    apis: Vec<String>,
    /// From which version on it is offered.
    pub(crate) first: Option<i16>,
    /// Up to which version it is offered. Without one of both, it is not offered at all.
    pub(crate) last: Option<i16>,
    #[serde(default)]
    kafka: Releases,
    /// For the reader: nothing is listed without a reason.
    #[serde(rename = "why")]
    _why: String,
}

/// APIs for which doorkeeper closes the connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClosedApis {
    pub(crate) apis: Vec<String>,
    /// The label of the closed session in doorkeeper's metrics.
    pub(crate) reason: String,
    #[serde(default)]
    kafka: Releases,
    #[serde(rename = "why")]
    _why: String,
}

/// Requests that doorkeeper denies with an error of Kafka's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeniedRequests {
    pub(crate) apis: Vec<String>,
    /// Only these requests of them; without it, all.
    pub(crate) case: Option<String>,
    /// Every error code in the response.
    pub(crate) error: i64,
    #[serde(default)]
    kafka: Releases,
    #[serde(rename = "why")]
    _why: String,
}

/// What a case claims of its responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Claim {
    /// No error code anywhere.
    Ok,
    /// An error code, or the connection closes.
    Error,
    Any,
}

/// A claim that these versions of an API cannot be made to meet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exempt {
    api: String,
    first: Option<i16>,
    last: Option<i16>,
    claim: Claim,
    #[serde(default)]
    kafka: Releases,
    #[serde(rename = "why")]
    _why: String,
}

/// How a field may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum How {
    /// Another value of the same kind.
    Varies,
    /// The same elements in another order.
    Unordered,
    /// Host and port: the broker's on one side, doorkeeper's for the same node id on the other.
    Address,
    /// Empty through doorkeeper.
    Emptied,
    /// The same, but only where a long response is streamed.
    Blanked,
    /// An entry of a configuration whose value is null and sensitive through doorkeeper.
    Hidden,
    /// A text in which `[upstream]` stands for every host of the cluster.
    Text,
    /// Ranges of versions, cut as `cut` says.
    Ranges,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) apis: Vec<String>,
    /// As in `topics[].partitions[].leaderId`; empty for the body itself.
    pub(crate) path: String,
    pub(crate) how: How,
    /// `address`: the field that holds the node id.
    #[serde(default)]
    pub(crate) id: String,
    /// `hidden`: these entries always, a star at the end for all that begin so.
    #[serde(default)]
    pub(crate) names: Vec<String>,
    /// Only in this case.
    case: Option<String>,
    /// Only in releases that begin so.
    #[serde(default)]
    kafka: Releases,
    /// No request of the program makes a broker say it; `why` tells the reason.
    #[serde(default)]
    unseen: bool,
    #[serde(rename = "why")]
    _why: String,
}

/// The releases of Kafka that an entry is for: all whose version begins like this.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Releases(String);

impl Releases {
    fn include(&self, version: &str) -> bool {
        version.starts_with(&self.0)
    }
}

impl Table {
    pub(crate) fn load() -> Result<Self> {
        folders::table("every_api.toml")
    }
}

impl Cut {
    pub(crate) fn is_for(&self, kafka: &str, api: &str) -> bool {
        self.kafka.include(kafka) && self.apis.iter().any(|it| it == api)
    }
}

impl ClosedApis {
    pub(crate) fn is_in(&self, kafka: &str) -> bool {
        self.kafka.include(kafka)
    }
}

impl DeniedRequests {
    pub(crate) fn is_in(&self, kafka: &str) -> bool {
        self.kafka.include(kafka)
    }

    pub(crate) fn is_for(&self, kafka: &str, api: &str, case: &str) -> bool {
        self.is_in(kafka)
            && self.apis.iter().any(|it| it == api)
            && self.case.as_deref().is_none_or(|it| it == case)
    }

    /// Whether no request of the API goes to a broker.
    pub(crate) fn is_whole(&self, kafka: &str, api: &str) -> bool {
        self.case.is_none() && self.is_for(kafka, api, "")
    }
}

impl Exempt {
    pub(crate) fn is_for(&self, kafka: &str, api: &str, version: i16, claim: Claim) -> bool {
        self.kafka.include(kafka)
            && self.api == api
            && self.claim == claim
            && self.first.is_none_or(|it| version >= it)
            && self.last.is_none_or(|it| version <= it)
    }
}

impl Rule {
    pub(crate) fn is_for(&self, kafka: &str, api: &str, case: &str) -> bool {
        self.kafka.include(kafka)
            && self.apis.iter().any(|it| it == api)
            && self.case.as_deref().is_none_or(|it| it == case)
    }

    pub(crate) fn must_be_seen(&self, kafka: &str) -> bool {
        self.kafka.include(kafka) && !self.unseen
    }

    /// Whether it is about an address, so that a run in which it never applies shows nothing.
    pub(crate) fn is_carrier(&self) -> bool {
        match self.how {
            How::Address | How::Emptied | How::Blanked | How::Hidden | How::Text => true,
            How::Varies | How::Unordered | How::Ranges => false,
        }
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.names.iter().any(|it| match it.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == it,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_and_every_entry_has_a_reason() {
        let table = Table::load().unwrap();
        let cuts = table.cut.iter().map(|it| &it._why);
        let closed = table.closed.iter().map(|it| &it._why);
        let exempt = table.exempt.iter().map(|it| &it._why);
        let differs = table.differs.iter().map(|it| &it._why);
        let denied = table.denied.iter().map(|it| &it._why);
        for why in cuts
            .chain(closed)
            .chain(denied)
            .chain(exempt)
            .chain(differs)
        {
            assert!(why.ends_with('.') && why.len() > 20, "{why:?}");
        }
        for rule in &table.differs {
            assert_eq!(rule.how == How::Address, !rule.id.is_empty(), "{rule:?}");
            assert_eq!(rule.how == How::Hidden, !rule.names.is_empty(), "{rule:?}");
        }
    }

    #[test]
    fn a_star_names_all_that_begin_so() {
        let rule: Rule = toml::from_str(
            "apis = [\"A\"]\npath = \"\"\nhow = \"hidden\"\nnames = [\"a.b\", \"c.*\"]\nwhy = \"\"",
        )
        .unwrap();
        assert!(rule.names("a.b") && rule.names("c.d"));
        assert!(!rule.names("a.b.c") && !rule.names("c"));
    }
}
