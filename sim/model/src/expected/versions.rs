//! ApiVersions: what the broker and our table have in common, and everything else untouched.

use doorkeeper_core::Snapshot;
use doorkeeper_core::api::keys::API_VERSIONS;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::policy::Decision;
use kafka_protocol::messages::ApiVersionsResponse;

/// `Errors.UNSUPPORTED_VERSION`.
pub(super) const UNSUPPORTED_VERSION: i16 = 35;

/// The response of the broker, cut to what is offered.
pub(super) fn cut(response: &mut ApiVersionsResponse, snapshot: &Snapshot) {
    response.api_keys.retain_mut(|entry| {
        let api = ApiKey(entry.api_key);
        let row = snapshot.offered.get(api);
        let Some(row) = row.filter(|_| snapshot.policy.api(api) == Decision::Allow) else {
            return false;
        };
        entry.min_version = entry.min_version.max(row.versions.first);
        entry.max_version = entry.max_version.min(row.versions.last);
        entry.min_version <= entry.max_version
    });
}

/// The response to a version that nobody here knows.
pub(super) fn unknown_version(response: &ApiVersionsResponse, snapshot: &Snapshot) -> bool {
    let row = snapshot.offered.get(API_VERSIONS);
    let offered = response.api_keys.first();
    let same = match (row, offered) {
        (Some(row), Some(offered)) => {
            (offered.api_key, offered.min_version, offered.max_version)
                == (API_VERSIONS.0, row.versions.first, row.versions.last)
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    same && response.error_code == UNSUPPORTED_VERSION && response.api_keys.len() <= 1
}
