//! `ApiVersions`: what the brokers have.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{ROWS, Row, wire};
use crate::brokers::Brokers;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};

/// Stands for every version of `ApiVersions` that is not served.
pub(crate) const UNSUPPORTED: i16 = -1;

/// Features as Kafka 4 has them: name, lowest and highest supported level, finalized level.
const FEATURES: [(&str, i16, i16, Option<i16>); 4] = [
    ("group.version", 0, 1, Some(1)),
    ("metadata.version", 7, 25, Some(25)),
    ("share.version", 0, 1, Some(1)),
    ("transaction.version", 0, 2, Some(2)),
];

fn advertised(brokers: &Brokers, call: &Call, row: &Row) -> ApiVersion {
    let last = brokers.last_version(call.broker, row.key as i16);
    let last = last.unwrap_or(i16::MAX);
    ApiVersion::default()
        .with_api_key(row.key as i16)
        .with_min_version(row.advertised_min())
        .with_max_version(row.max.min(last.max(row.min)))
}

pub(super) fn handle(brokers: &Brokers, call: &Call) -> Result<Reply, CloseReason> {
    let version = call.head.version;
    if version == UNSUPPORTED {
        // A version 0 response that says which versions there are (KIP-511).
        let own = ROWS
            .iter()
            .filter(|row| row.key == ApiKey::ApiVersions)
            .map(|row| advertised(brokers, call, row));
        let response = ApiVersionsResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code())
            .with_api_keys(own.collect());
        return call.head.frame_of_version(0, &response).map(Reply::Frame);
    }
    let request: ApiVersionsRequest = call.decode()?;
    if version >= 3
        && !(is_software(
            &request.client_software_name,
            &request.client_software_version,
        ))
    {
        let code = ResponseError::InvalidRequest.code();
        return call.reply(&ApiVersionsResponse::default().with_error_code(code));
    }
    // Clients below version 4 cannot read a lowest level of 0 (KAFKA-17011).
    let supported = FEATURES
        .iter()
        .filter(|(_, min, ..)| version >= 4 || *min > 0);
    let supported = supported.map(|(name, min, max, _)| {
        SupportedFeatureKey::default()
            .with_name(wire(name))
            .with_min_version(*min)
            .with_max_version(*max)
    });
    let finalized = FEATURES.iter().filter_map(|(name, _, _, level)| {
        let level = (*level)?;
        let key = FinalizedFeatureKey::default().with_name(wire(name));
        Some(
            key.with_min_version_level(level)
                .with_max_version_level(level),
        )
    });
    let rows = ROWS.iter().map(|row| advertised(brokers, call, row));
    let mut response = ApiVersionsResponse::default().with_api_keys(rows.collect());
    if version >= 3 {
        response = response
            .with_supported_features(supported.collect())
            .with_finalized_features(finalized.collect())
            .with_finalized_features_epoch(0);
    }
    call.reply(&response)
}

/// `ApiVersionsRequest.isValid`.
fn is_software(name: &str, version: &str) -> bool {
    let legal = |text: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let ends = text.as_bytes().first().zip(text.as_bytes().last());
        ends.is_some_and(|(a, z)| a.is_ascii_alphanumeric() && z.is_ascii_alphanumeric())
            && text.bytes().all(inner)
    };
    legal(name) && legal(version)
}
