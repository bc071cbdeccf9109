//! A row: all that doorkeeper knows of one API besides the tables of its messages.

use crate::id::{ApiKey, ApiVersion};
use crate::policy::Operation;
use crate::wire::codec::TopicEntry;
use crate::wire::codec::denial::{Denial, ErrorResponse};
use crate::wire::schema::{self, Api, Role, Roles, Versions};

/// What doorkeeper does with the requests and responses of one API.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: ApiKey,
    /// Kafka's name of it, as in the tables.
    pub(crate) name: &'static str,
    /// The tables of its messages.
    pub(crate) entry: &'static Api,
    pub(crate) offer: Offer,
    /// No later version is offered.
    pub(crate) last_version: i16,
    /// The error for a request that speaks as a broker of the cluster; where there is none, the
    /// session closes.
    pub(crate) denies_brokers: Option<DenialRule>,
    /// How its topics are authorized, if they are.
    pub(crate) topics: Option<TopicRule>,
    /// Besides what decides about every request: what must be read to know how long the broker may
    /// take.
    pub(crate) timeout_roles: Roles,
    pub(crate) timeout: Timeout,
    /// From this version on a field that decides stands behind all others: a long request is
    /// forwarded while it is read, all but its end.
    pub(crate) decides_last_from: Option<ApiVersion>,
    pub(crate) editing: Editing,
    /// No response of an earlier version contains an address.
    pub(crate) addresses_from: ApiVersion,
    /// Which responses are forwarded while they are read.
    pub(crate) streaming: Streaming,
}

/// To whom an API is offered, and with which error it is denied to others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Offer {
    /// To every client.
    Always,
    /// To every client, but for configs of brokers, unless the configuration allows these.
    ButBrokerConfigs(Denial),
    /// Only where the configuration names it.
    ByName(DenialRule),
    /// To nobody who need not log in, or has done so and may not do it again now.
    Login(LoginStep, DenialRule),
    /// Neither advertised nor served: it is for brokers and controllers of the cluster.
    Never,
}

/// What an API is for within a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginStep {
    /// The client chooses a mechanism.
    Handshake,
    /// The client sends a token.
    Token,
}

/// The error for every request of an API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DenialRule {
    pub(crate) denial: Denial,
    /// The versions of which the response can be encoded.
    pub(crate) versions: Versions,
}

/// How the topics of a request are authorized.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicRule {
    /// What the request would do to them.
    pub(crate) operation: Operation,
    /// How the response names a denied one.
    pub(crate) entry: TopicEntry,
    /// The response lists topics that the request may not have named: denied ones are left out.
    pub(crate) lists: bool,
    /// Behind the name of the last topic stands nothing that decides.
    pub(crate) ends_with_names: bool,
}

/// How long the broker may take with the response, on top of what every response is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// As the request says, if it says so ([`Role::WaitMs`]).
    OfRequest,
    /// As the request says, which counts for later ones of [`Timeout::Rebalance`] as well.
    StartsRebalance,
    /// As the last request of [`Timeout::StartsRebalance`] said.
    Rebalance,
    /// As the request says if it names a transactional producer, which counts for later ones of
    /// [`Timeout::Transaction`] as well.
    StartsTransaction,
    /// As the last request of [`Timeout::StartsTransaction`] said.
    Transaction,
}

/// What is edited in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Editing {
    /// Endpoints of brokers and texts, where the tables have any.
    Addresses,
    /// The same, of coordinators: each has an error code, and none can be left out.
    Coordinators,
    /// Configs of brokers, and texts.
    Configs,
    /// The ranges of versions. A client that does not know the broker yet must be able to read the
    /// response, so its header has no tagged fields, and with `UNSUPPORTED_VERSION` it is of
    /// version 0, whatever was asked for (KIP-511).
    Versions,
}

/// Which responses are forwarded while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// None.
    Never,
    /// Long ones: addresses stand behind the records.
    BehindRecords,
    /// Those that are too long to be buffered: each value can be edited in its place.
    InPlace,
}

impl DenialRule {
    pub(super) const fn new(
        response: ErrorResponse,
        error_code: i16,
        message: &'static str,
        first: i16,
        last: i16,
    ) -> Self {
        Self {
            denial: Denial {
                error_code,
                message,
                response,
            },
            versions: Versions::new(first, last),
        }
    }
}

impl Row {
    #[expect(clippy::panic, reason = "rows are constants: it does not compile")]
    const fn new(key: i16, name: &'static str, offer: Offer) -> Self {
        let Some(entry) = schema::api(key) else {
            panic!("the tables have no such API");
        };
        Self {
            key: ApiKey(key),
            name,
            entry,
            offer,
            last_version: i16::MAX,
            denies_brokers: None,
            topics: None,
            timeout_roles: Roles::NONE,
            timeout: Timeout::OfRequest,
            decides_last_from: None,
            editing: Editing::Addresses,
            addresses_from: ApiVersion(0),
            streaming: Streaming::Never,
        }
    }

    pub(super) const fn always(key: i16, name: &'static str) -> Self {
        Self::new(key, name, Offer::Always)
    }

    pub(super) const fn but_broker_configs(key: i16, name: &'static str, denial: Denial) -> Self {
        Self::new(key, name, Offer::ButBrokerConfigs(denial))
    }

    pub(super) const fn by_name(key: i16, name: &'static str, denied: DenialRule) -> Self {
        Self::new(key, name, Offer::ByName(denied))
    }

    pub(super) const fn login(
        key: i16,
        name: &'static str,
        step: LoginStep,
        denied: DenialRule,
    ) -> Self {
        Self::new(key, name, Offer::Login(step, denied))
    }

    pub(super) const fn never(key: i16, name: &'static str) -> Self {
        Self::new(key, name, Offer::Never)
    }

    pub(super) const fn up_to_version(mut self, last: i16) -> Self {
        self.last_version = last;
        self
    }

    pub(super) const fn denies_brokers(mut self, denied: DenialRule) -> Self {
        self.denies_brokers = Some(denied);
        self
    }

    pub(super) const fn topics(mut self, operation: Operation, entry: TopicEntry) -> Self {
        self.topics = Some(TopicRule {
            operation,
            entry,
            lists: false,
            ends_with_names: false,
        });
        self
    }

    /// Of a row with topics: see [`TopicRule::lists`].
    pub(super) const fn that_are_listed(mut self) -> Self {
        if let Some(topics) = &mut self.topics {
            topics.lists = true;
        }
        self
    }

    /// Of a row with topics: see [`TopicRule::ends_with_names`].
    pub(super) const fn that_decide_alone(mut self) -> Self {
        if let Some(topics) = &mut self.topics {
            topics.ends_with_names = true;
        }
        self
    }

    pub(super) const fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = timeout;
        if matches!(timeout, Timeout::StartsTransaction) {
            // The broker waits for the log of transactions, and only transactional producers have
            // one.
            self.timeout_roles = Roles::of(&[Role::TransactionalId]);
        }
        self
    }

    pub(super) const fn decides_last_from(mut self, version: i16) -> Self {
        self.decides_last_from = Some(ApiVersion(version));
        self
    }

    pub(super) const fn edits(mut self, editing: Editing) -> Self {
        self.editing = editing;
        self
    }

    pub(super) const fn addresses_from(mut self, version: i16) -> Self {
        self.addresses_from = ApiVersion(version);
        self
    }

    pub(super) const fn streams(mut self, streaming: Streaming) -> Self {
        self.streaming = streaming;
        self
    }

    /// What of a login it is, if it is for that.
    pub(crate) const fn login_step(&self) -> Option<LoginStep> {
        match self.offer {
            Offer::Login(step, _) => Some(step),
            Offer::Always | Offer::ButBrokerConfigs(_) | Offer::ByName(_) | Offer::Never => None,
        }
    }

    /// Whether clients ask for the versions of all APIs with it.
    pub(crate) const fn negotiates_versions(&self) -> bool {
        matches!(self.editing, Editing::Versions)
    }
}
