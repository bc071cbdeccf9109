//! What a field means to a proxy.

/// The meaning of a field. Kafka's `entityType` gives some; the rest comes from the reviewed list
/// in `xtask/src/schema/roles.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// A number, a flag or a structure that names nothing.
    Plain,
    /// A string, UUID or bytes that was reviewed and names neither a resource nor an address.
    Opaque,
    /// The name of a topic.
    TopicName,
    /// The id of a topic.
    TopicId,
    /// A regular expression over topic names.
    TopicPattern,
    /// The name of a group of any kind.
    GroupId,
    /// The name of a transactional producer.
    TransactionalId,
    /// A regular expression over transactional ids.
    TransactionalIdPattern,
    /// The id of a producer.
    ProducerId,
    /// The id of a broker, or several.
    BrokerId,
    /// The id of the node whose [`Role::Host`] and [`Role::Port`] stand in the same structure.
    EndpointId,
    /// The id of the broker that clients send to what is for the controller, in the message that
    /// lists the brokers.
    ControllerId,
    /// A host of the cluster.
    Host,
    /// A port of the cluster.
    Port,
    /// An array of endpoints of brokers: an id, a host and a port each.
    Endpoints,
    /// An array of named listeners of controllers: a host and a port each.
    Listeners,
    /// A host of a client, or of an ACL.
    ClientHost,
    /// A port of a client's application.
    ClientPort,
    /// An error code.
    ErrorCode,
    /// Free text from the broker, which may contain a host.
    ErrorMessage,
    /// How many replicas must have the records before a Produce gets its response; 0 gets none.
    Acks,
    /// How long, in milliseconds, the broker may legally take to respond.
    WaitMs,
    /// For how many milliseconds the broker throttles the client: it does not read its requests.
    ThrottleTime,
    /// An array whose elements each name a topic.
    Topics,
    /// An array of partitions.
    Partitions,
    /// The number of a partition.
    PartitionIndex,
    /// Record batches.
    Records,
    /// The id of a replica that speaks as a follower; negative for a client.
    ReplicaId,
    /// What a follower says of itself, in later versions of Fetch.
    ReplicaState,
    /// The id of a fetch session.
    SessionId,
    /// The epoch of a fetch or share session.
    SessionEpoch,
    /// An array of topics that leave a fetch or share session.
    ForgottenTopics,
    /// The array of APIs in an ApiVersions response.
    ApiKeys,
    /// The number of an API.
    ApiKey,
    /// The lowest version of an API.
    MinVersion,
    /// The highest version of an API.
    MaxVersion,
    /// The type of a resource, of configs or of ACLs.
    ResourceType,
    /// The name of a resource whose type is in the same structure or the one above.
    ResourceName,
    /// An array of resources with their type and name.
    Resources,
    /// The array of results in a DescribeConfigs response.
    ConfigResults,
    /// An array of configs.
    ConfigEntries,
    /// The name of a config.
    ConfigName,
    /// The value of a config.
    ConfigValue,
    /// Whether the value of a config is hidden.
    IsSensitive,
    /// An array of the places that a config's value came from.
    ConfigSynonyms,
    /// What a coordinator is asked for: its meaning depends on [`Role::KeyType`].
    CoordinatorKey,
    /// What kind of coordinator key follows.
    KeyType,
    /// The id of the cluster.
    ClusterId,
    /// The id of the node that a client believes to talk to.
    NodeId,
    /// Whether a topic may be created by being asked for.
    AllowAutoTopicCreation,
    /// Whether the response shall contain the caller's rights.
    IncludeAuthorizedOperations,
    /// The caller's rights as bits.
    AuthorizedOperations,
    /// A principal, its type, its name, or a filter over principals.
    Principal,
    /// The user, client id or address that a quota is for.
    QuotaEntity,
    /// A SASL mechanism.
    SaslMechanism,
    /// A SASL token.
    AuthBytes,
    /// For how many milliseconds a login holds; 0 for no limit (KIP-368).
    SessionLifetime,
    /// A password, a key or an HMAC.
    Secret,
    /// An array whose elements each name a group.
    Groups,
    /// An array whose elements each name a transactional id.
    Transactions,
    /// The id of a group's member, or a static member's instance.
    MemberId,
    /// A path in a broker's file system.
    LogDir,
    /// The id of a log directory.
    DirectoryId,
}

impl Role {
    /// All roles, by number.
    pub const ALL: &'static [Self] = &[
        Self::Plain,
        Self::Opaque,
        Self::TopicName,
        Self::TopicId,
        Self::TopicPattern,
        Self::GroupId,
        Self::TransactionalId,
        Self::TransactionalIdPattern,
        Self::ProducerId,
        Self::BrokerId,
        Self::EndpointId,
        Self::ControllerId,
        Self::Host,
        Self::Port,
        Self::Endpoints,
        Self::Listeners,
        Self::ClientHost,
        Self::ClientPort,
        Self::ErrorCode,
        Self::ErrorMessage,
        Self::Acks,
        Self::WaitMs,
        Self::ThrottleTime,
        Self::Topics,
        Self::Partitions,
        Self::PartitionIndex,
        Self::Records,
        Self::ReplicaId,
        Self::ReplicaState,
        Self::SessionId,
        Self::SessionEpoch,
        Self::ForgottenTopics,
        Self::ApiKeys,
        Self::ApiKey,
        Self::MinVersion,
        Self::MaxVersion,
        Self::ResourceType,
        Self::ResourceName,
        Self::Resources,
        Self::ConfigResults,
        Self::ConfigEntries,
        Self::ConfigName,
        Self::ConfigValue,
        Self::IsSensitive,
        Self::ConfigSynonyms,
        Self::CoordinatorKey,
        Self::KeyType,
        Self::ClusterId,
        Self::NodeId,
        Self::AllowAutoTopicCreation,
        Self::IncludeAuthorizedOperations,
        Self::AuthorizedOperations,
        Self::Principal,
        Self::QuotaEntity,
        Self::SaslMechanism,
        Self::AuthBytes,
        Self::SessionLifetime,
        Self::Secret,
        Self::Groups,
        Self::Transactions,
        Self::MemberId,
        Self::LogDir,
        Self::DirectoryId,
    ];
}

/// A set of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Roles(u64);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);
    /// Every role, [`Role::Plain`] included: a walk that yields every field.
    pub const ALL: Self = Self(u64::MAX);

    /// The set of the given roles.
    pub const fn of(roles: &[Role]) -> Self {
        let mut bits = 0;
        let mut rest = roles;
        while let [role, tail @ ..] = rest {
            bits |= 1 << *role as u8;
            rest = tail;
        }
        Self(bits)
    }

    /// Whether `role` is in the set.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets share a role.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
