//! What quickstart prints: lines to paste into clients.

use super::certificates::Certificates;

/// How each kind of client is told to use TLS.
#[derive(Default)]
struct Secured {
    kcat: String,
    producer: String,
    consumer: String,
    java: String,
    confluent: String,
    kafka_python: String,
}

pub(super) fn to_paste(port: u16, certificates: Option<&Certificates>) -> String {
    let at = format!("127.0.0.1:{port}");
    let Secured {
        kcat,
        producer,
        consumer,
        java,
        confluent,
        kafka_python,
    } = certificates.map(secured).unwrap_or_default();
    format!(
        r#"An in-memory Kafka cluster of three brokers is behind doorkeeper at {at}.
Topics are created when they are first used. Nothing is kept. Ctrl-C ends it.

kcat:
  echo hello | kcat -b {at}{kcat} -t greetings -P
  kcat -b {at}{kcat} -t greetings -C -e

Kafka's console clients:
  kafka-console-producer.sh --bootstrap-server {at}{producer} --topic greetings
  kafka-console-consumer.sh --bootstrap-server {at}{consumer} --topic greetings --from-beginning

Java properties:
  bootstrap.servers={at}{java}

Python (confluent-kafka):
  producer = Producer({{"bootstrap.servers": "{at}"{confluent}}})
  producer.produce("greetings", b"hello"); producer.flush()

Python (kafka-python):
  producer = KafkaProducer(bootstrap_servers="{at}"{kafka_python})
  producer.send("greetings", b"hello"); producer.flush()
"#
    )
}

fn secured(certificates: &Certificates) -> Secured {
    let ca = certificates.ca();
    // Those of librdkafka, which confluent-kafka has too.
    let mut librdkafka = vec![
        ("security.protocol", "ssl".to_owned()),
        ("ssl.ca.location", ca.clone()),
    ];
    let mut java = vec![
        ("security.protocol", "SSL".to_owned()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", ca.clone()),
    ];
    let mut kafka_python = vec![("security_protocol", "SSL".to_owned()), ("ssl_cafile", ca)];
    if let Some([certificate, key, keystore]) = certificates.client() {
        librdkafka.push(("ssl.certificate.location", certificate.clone()));
        librdkafka.push(("ssl.key.location", key.clone()));
        java.push(("ssl.keystore.type", "PEM".to_owned()));
        java.push(("ssl.keystore.location", keystore));
        kafka_python.push(("ssl_certfile", certificate));
        kafka_python.push(("ssl_keyfile", key));
    }
    Secured {
        kcat: each(&librdkafka, |key, value| {
            format!(" \\\n    -X {key}={value}")
        }),
        producer: each(&java, |key, value| {
            format!(" \\\n    --producer-property {key}={value}")
        }),
        consumer: each(&java, |key, value| {
            format!(" \\\n    --consumer-property {key}={value}")
        }),
        java: each(&java, |key, value| format!("\n  {key}={value}")),
        confluent: each(&librdkafka, |key, value| {
            format!(",\n    {key:?}: {value:?}")
        }),
        kafka_python: each(&kafka_python, |key, value| {
            format!(",\n    {key}={value:?}")
        }),
    }
}

fn each(settings: &[(&str, String)], line: impl Fn(&str, &str) -> String) -> String {
    settings
        .iter()
        .map(|(key, value)| line(key, value))
        .collect()
}
