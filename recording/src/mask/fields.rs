//! Which fields of a body may be written down.

use doorkeeper_core::wire::schema::{Direction, Field, Kind, Role};

/// Names of opaque strings that say which client it is, and nothing of what it does.
const KEPT: [&str; 2] = ["ClientSoftwareName", "ClientSoftwareVersion"];

/// Whether the content of a string, bytes or records is kept.
///
/// Bytes are records, tokens, or what applications say to each other through a broker; core reads
/// none of them. Of strings those are kept that name something.
pub(super) fn is_kept(field: &Field, way: Direction) -> bool {
    if is_bytes(&field.kind) {
        return false;
    }
    // A request may set a password like this; brokers never return it (`ConfigDef.Type.PASSWORD` is
    // sensitive, and so is what they do not know), and core searches responses for hosts.
    let is_returned = field.role == Role::ConfigValue && way == Direction::Response;
    // Other opaque strings could be anything that an application thought of.
    let says_who = field.role == Role::Opaque && KEPT.contains(&field.name);
    is_returned || says_who || names_something(field.role)
}

/// Whether strings of this role are names by which people or core distinguish things. Most roles
/// are those of numbers and structures.
fn names_something(role: Role) -> bool {
    matches!(
        role,
        Role::TopicName
            | Role::TopicPattern
            | Role::GroupId
            | Role::TransactionalId
            | Role::TransactionalIdPattern
            | Role::Host
            | Role::ClientHost
            // Core searches it for hosts.
            | Role::ErrorMessage
            | Role::ResourceName
            | Role::ConfigName
            | Role::CoordinatorKey
            | Role::ClusterId
            | Role::Principal
            | Role::QuotaEntity
            // One of a few words, by which a login is understood.
            | Role::SaslMechanism
            | Role::MemberId
            | Role::LogDir
    )
}

const fn is_bytes(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Bytes | Kind::Records | Kind::Array(Kind::Bytes | Kind::Records)
    )
}
