//! Reads the responses to discovery's own requests.

use crate::api::keys::{API_VERSIONS, METADATA};
use crate::id::{ApiKey, ApiVersion, BrokerId, HostPort};
use crate::wire::response_fields::response_fields;
use crate::wire::schema::{Role, Roles, Versions};
use crate::wire::walk::Value;

/// Metadata is asked in a version in which no topic need be created (4) and that is not flexible
/// yet (8).
const METADATA_VERSIONS: Versions = Versions::new(4, 8);

/// The version of Metadata to ask in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetadataVersion(pub(super) ApiVersion);

/// The brokers that a response lists.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    pub(super) brokers: Vec<(BrokerId, HostPort)>,
    /// Brokers whose id or address makes no sense.
    pub(super) nonsense: Vec<BrokerId>,
    pub(super) cluster_id: Option<String>,
}

/// The versions of one API that a broker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ApiRange {
    pub(super) api: ApiKey,
    pub(super) versions: Versions,
}

/// The ranges in an ApiVersions response; nothing if it cannot be read, or is an error.
pub(super) fn api_ranges(version: ApiVersion, body: &[u8]) -> Option<Vec<ApiRange>> {
    const INTEREST: Roles = Roles::of(&[
        Role::ErrorCode,
        Role::ApiKey,
        Role::MinVersion,
        Role::MaxVersion,
    ]);
    let (mut ranges, mut error) = (Vec::new(), 0);
    let (mut key, mut first) = (None, None);
    response_fields(API_VERSIONS, version, body, INTEREST, &mut |found| {
        let Value::Int(int) = found.value else { return };
        let short = i16::try_from(int).ok();
        if found.role == Role::ErrorCode {
            error = int;
        } else if found.role == Role::ApiKey {
            (key, first) = (short, None);
        } else if found.role == Role::MinVersion {
            first = short;
        } else if found.role == Role::MaxVersion
            && let (Some(key), Some(first), Some(last)) = (key, first, short)
        {
            let (api, versions) = (ApiKey(key), Versions::new(first, last));
            ranges.push(ApiRange { api, versions });
        }
    })
    .ok()?;
    (error == 0).then_some(ranges)
}

/// The last version of ApiVersions itself.
pub(super) fn api_versions_last(ranges: &[ApiRange]) -> i16 {
    let offered = ranges.iter().find(|it| it.api == API_VERSIONS);
    offered.map_or(0, |it| it.versions.last)
}

/// The best version of Metadata that the broker offers and we use.
pub(super) fn metadata_version(ranges: &[ApiRange]) -> Option<MetadataVersion> {
    let offered = ranges.iter().rev().find(|it| it.api == METADATA)?.versions;
    let best = offered.last.min(METADATA_VERSIONS.last);
    let usable = offered.contains(best) && METADATA_VERSIONS.contains(best);
    usable.then_some(MetadataVersion(ApiVersion(best)))
}

/// The brokers in a Metadata response; nothing if it cannot be read.
pub(super) fn brokers(version: ApiVersion, body: &[u8]) -> Option<Brokers> {
    const INTEREST: Roles = Roles::of(&[Role::EndpointId, Role::Host, Role::Port, Role::ClusterId]);
    let mut response = Brokers::default();
    let (mut id, mut host) = (BrokerId(-1), None);
    response_fields(METADATA, version, body, INTEREST, &mut |found| {
        let text = || {
            body.get(found.data..found.end)
                .and_then(|t| std::str::from_utf8(t).ok())
        };
        match (found.role, found.value) {
            (Role::EndpointId, Value::Int(int)) => {
                id = BrokerId(i32::try_from(int).unwrap_or(-1));
            }
            (Role::Host, _) => host = text().map(str::to_owned),
            (Role::Port, Value::Int(port)) => {
                let address = host.take().zip(u16::try_from(port).ok());
                match address.map(|(host, port)| HostPort::new(&host, port)) {
                    Some(Ok(address)) if id.0 >= 0 => response.brokers.push((id, address)),
                    Some(_) | None => response.nonsense.push(id),
                }
            }
            (Role::ClusterId, Value::Span) => response.cluster_id = text().map(str::to_owned),
            _ => {}
        }
    })
    .ok()?;
    Some(response)
}
