//! What a response through doorkeeper must not hold: names and addresses of the cluster.

use serde_json::Value;

use crate::leak::{Needles, Secrets};

/// Secrets found in a response: in its bytes, and in its fields as Kafka's classes read them.
pub(crate) fn find(secrets: &Secrets, frame: &[u8], json: &Value) -> Vec<String> {
    let needles = Needles::new(secrets);
    let hits = needles.hits(frame);
    let mut found: Vec<String> = hits
        .iter()
        .map(|it| format!("{} at byte {}", it.needle, it.offset))
        .collect();
    port_fields(&needles, &secrets.ports, "", json, &mut found);
    found
}

/// Ports of the cluster in fields whose names end in `port`, whatever host stands beside them.
fn port_fields(
    needles: &Needles,
    ports: &[u16],
    path: &str,
    json: &Value,
    found: &mut Vec<String>,
) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                let port = value.as_u64().and_then(|it| u16::try_from(it).ok());
                let is_port = name.to_lowercase().ends_with("port");
                if let Some(port) = port.filter(|it| is_port && ports.contains(it)) {
                    found.push(format!("the port {port} of the cluster at {path}.{name}"));
                }
                port_fields(needles, ports, &format!("{path}.{name}"), value, found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                port_fields(needles, ports, &format!("{path}[]"), element, found);
            }
        }
        // What is compressed or escaped on the wire is plain here.
        Value::String(text) => {
            for hit in needles.hits(text.as_bytes()) {
                found.push(format!("{} at {path}", hit.needle));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UPSTREAM: u16 = 20_001;
    const OURS: u16 = 25_001;

    fn secrets() -> Secrets {
        Secrets {
            texts: vec!["canary-1".to_owned()],
            ports: vec![UPSTREAM],
        }
    }

    /// The body of a Metadata response of version 0 with two brokers and no topics.
    fn metadata(brokers: [(&str, u16); 2]) -> (Vec<u8>, Value) {
        let mut frame = vec![0, 0, 0, 9, 0, 0, 0, 2];
        let mut listed = Vec::new();
        for (id, (host, port)) in (1_i32..).zip(brokers) {
            frame.extend(id.to_be_bytes());
            frame.extend(u16::try_from(host.len()).unwrap().to_be_bytes());
            frame.extend(host.as_bytes());
            frame.extend(i32::from(port).to_be_bytes());
            listed.push(json!({"nodeId": id, "host": host, "port": port}));
        }
        frame.extend([0; 4]);
        (frame, json!({"brokers": listed, "topics": []}))
    }

    fn search((frame, json): &(Vec<u8>, Value)) -> Vec<String> {
        find(&secrets(), frame, json)
    }

    #[test]
    fn one_carrier_that_was_not_rewritten_is_found() {
        let clean = metadata([("127.0.0.1", OURS), ("127.0.0.1", OURS + 1)]);
        assert_eq!(search(&clean), [""; 0]);
        let named = metadata([("127.0.0.1", OURS), ("kafka-2.canary-1.invalid", 9093)]);
        assert_eq!(
            search(&named),
            ["canary-1 at byte 41", "canary-1 at .brokers[].host"]
        );
        // A name that anyone can resolve, with a port that only the cluster has.
        let addressed = metadata([("127.0.0.1", OURS), ("127.0.0.1", UPSTREAM)]);
        assert_eq!(
            search(&addressed),
            [
                "a host and port 20001 at byte 42",
                "the port 20001 of the cluster at .brokers[].port",
            ]
        );
    }

    #[test]
    fn an_address_in_a_text_is_found() {
        let text = "no controller at 127.0.0.1:20001";
        let frame = [b"\0\0\0\x09".as_slice(), text.as_bytes()].concat();
        let json = json!({"errorMessage": text});
        assert_eq!(find(&secrets(), &frame, &json).len(), 2);
    }
}
