//! What configs belong to (`ConfigResource.Type`), as far as it matters here.

const TOPIC: i64 = 2;
const CLIENT_METRICS: i64 = 16;
const GROUP: i64 = 32;

/// Whether configs of a resource of this type are, or have to be taken for, those of brokers.
///
/// Kafka knows a topic, a group, client metrics, a broker (4) and the log levels of one (8). What
/// the configs of a type that it adds may do, or say, nobody knows yet.
pub(crate) const fn may_be_of_brokers(resource_type: i64) -> bool {
    !matches!(resource_type, TOPIC | CLIENT_METRICS | GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_may_be_of_brokers() {
        let others = (-128..=127).filter(|it| !may_be_of_brokers(*it));
        assert_eq!(others.collect::<Vec<_>>(), [2, 16, 32]);
    }
}
