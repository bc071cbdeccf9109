//! Reads the responses to discovery's own requests.

use crate::api::keys::{API_VERSIONS, METADATA};
use crate::id::{ApiKey, ApiVersion, BrokerId, HostPort};
use crate::wire::header::HeaderEnd;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{self, Role, Roles};
use crate::wire::walk::{FieldValue, Step, Value, Walker};

/// Metadata is asked in a version in which no topic need be created (4) and that is not flexible
/// yet (8).
const METADATA_VERSIONS: std::ops::RangeInclusive<i64> = 4..=8;

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

/// The best version of Metadata that the broker offers and we use.
pub(super) fn metadata_version(body: &[u8]) -> Option<MetadataVersion> {
    const INTEREST: Roles = Roles::of(&[
        Role::ErrorCode,
        Role::ApiKey,
        Role::MinVersion,
        Role::MaxVersion,
    ]);
    let (mut key, mut min, mut offered, mut error) = (-1, 0, None, 0);
    walk(API_VERSIONS, ApiVersion(0), body, INTEREST, |found| {
        let Value::Int(int) = found.value else { return };
        let is_metadata = key == i64::from(METADATA.0);
        if found.role == Role::ErrorCode {
            error = int;
        } else if found.role == Role::ApiKey {
            key = int;
        } else if found.role == Role::MinVersion {
            min = int;
        } else if found.role == Role::MaxVersion && is_metadata {
            offered = Some(min..=int);
        }
    })
    .ok()?;
    let offered = offered.filter(|_| error == 0)?;
    let best = (*offered.end()).min(*METADATA_VERSIONS.end());
    let usable = best >= *offered.start() && METADATA_VERSIONS.contains(&best);
    usable
        .then(|| i16::try_from(best).ok())
        .flatten()
        .map(|v| MetadataVersion(ApiVersion(v)))
}

/// The brokers in a Metadata response; nothing if it cannot be read.
pub(super) fn brokers(version: ApiVersion, body: &[u8]) -> Option<Brokers> {
    const INTEREST: Roles = Roles::of(&[Role::EndpointId, Role::Host, Role::Port, Role::ClusterId]);
    let mut response = Brokers::default();
    let (mut id, mut host) = (BrokerId(-1), None);
    walk(METADATA, version, body, INTEREST, |found| {
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

/// Gives every field of interest of a body, whose header has no more than a correlation id.
fn walk(
    api: ApiKey,
    version: ApiVersion,
    body: &[u8],
    interest: Roles,
    mut take: impl FnMut(&FieldValue),
) -> Result<(), Malformed> {
    let message = schema::api(api.0)
        .map(|entry| entry.response)
        .ok_or(Malformed::Truncated)?;
    let mut input = body;
    HeaderEnd::of_response(false, body.len()).step(&mut input)?;
    let mut walker =
        Walker::new(message, version.0, body.len(), interest).ok_or(Malformed::Truncated)?;
    loop {
        match walker.step(&mut input)? {
            Step::Value(found) => take(&found),
            Step::Done { .. } => return Ok(()),
            Step::More => return Err(Malformed::Truncated),
            Step::Begin { .. }
            | Step::Array { .. }
            | Step::Element { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. } => {}
        }
    }
}
