//! 16: what clients produce reaches brokers no more often than they sent it, and batches with
//! sequence numbers come in the order of their producer.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use doorkeeper_core::api::keys::PRODUCE;
use kafka_protocol::messages::ProduceRequest;

use crate::expected::{self, Head};
use crate::payload::{Tag, payloads, tags};
use crate::watch::{SessionId, Violation};
use doorkeeper_kafka_model::batch;

/// A session, a producer id with its epoch, and where its batches go: by name or by id.
type Stream = (SessionId, (i64, i16), String, i32);

/// What of all that was produced has come to brokers.
#[derive(Debug, Default)]
pub(crate) struct ProducedRecords {
    /// How often clients have sent a payload that brokers have not got yet; 0 is no more.
    due: BTreeMap<Tag, u32>,
    /// The sequence numbers that a broker has not got yet.
    sequences: BTreeMap<Stream, VecDeque<i32>>,
}

impl ProducedRecords {
    /// A client has sent a whole request.
    pub(crate) fn sent(&mut self, id: SessionId, frame: &Bytes) {
        if !is_produce(frame) {
            return;
        }
        // Whole ones of a request may go up without those that the client has mangled.
        for tag in tags(frame) {
            *self.due.entry(tag).or_default() += 1;
        }
        for (stream, sequence) in batches(id, frame) {
            self.sequences
                .entry(stream)
                .or_default()
                .push_back(sequence);
        }
    }

    /// A broker has got a whole request.
    pub(crate) fn received(&mut self, id: SessionId, frame: &Bytes) -> Result<(), Violation> {
        if !is_produce(frame) {
            return Ok(());
        }
        // What a client has mangled itself is compared with its own bytes elsewhere.
        for tag in payloads(frame).unwrap_or_default() {
            match self.due.get_mut(&tag).filter(|due| **due > 0) {
                Some(due) => *due -= 1,
                None => {
                    let what = format!("{tag:?} reached a broker once too often");
                    return Err(Violation::of(16, what));
                }
            }
        }
        for (stream, sequence) in batches(id, frame) {
            let waiting = self.sequences.entry(stream).or_default();
            // Those before it got errors: whether they should is for other rules to say.
            while waiting.front().is_some_and(|next| *next != sequence) {
                waiting.pop_front();
            }
            if waiting.pop_front().is_none() {
                let what = format!("sequence {sequence} reached a broker out of its turn in {id}");
                return Err(Violation::of(16, what));
            }
        }
        Ok(())
    }
}

fn is_produce(frame: &[u8]) -> bool {
    Head::of_request(frame).is_some_and(|head| head.api == PRODUCE)
}

/// The batches of a Produce that have sequence numbers.
fn batches(id: SessionId, frame: &Bytes) -> Vec<(Stream, i32)> {
    let head = Head::of_request(frame);
    let request = head.and_then(|head| expected::request::<ProduceRequest>(head, frame));
    let mut found = Vec::new();
    for topic in request
        .into_iter()
        .flat_map(|(_, request)| request.topic_data)
    {
        let name = format!("{}{}", topic.name.as_str(), topic.topic_id);
        for data in &topic.partition_data {
            let header = data
                .records
                .as_ref()
                .and_then(|records| batch::header(records));
            if let Some(header) = header.filter(|header| header.producer_id >= 0) {
                let producer = (header.producer_id, header.producer_epoch);
                let stream = (id, producer, name.clone(), data.index);
                found.push((stream, header.base_sequence));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::batch::{Writer, batch};
    use crate::frames::with_length;
    use crate::payload::payload;
    use crate::script::Topic;
    use bytes::BytesMut;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{RequestHeader, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    const ID: SessionId = SessionId(0);

    fn produce(sequence: i32) -> Bytes {
        let writer = Writer {
            producer_id: 7,
            epoch: 0,
            sequence,
            transactional: false,
        };
        let data = PartitionProduceData::default().with_records(Some(batch(b"a", writer)));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partition_data(vec![data]);
        let header = RequestHeader::default()
            .with_request_api_version(9)
            .with_client_id(Some(StrBytes::from_static_str("c")));
        let mut out = BytesMut::new();
        header.encode(&mut out, 2).unwrap();
        let request = ProduceRequest::default().with_topic_data(vec![topic]);
        request.encode(&mut out, 9).unwrap();
        with_length(&out)
    }

    fn comes(sent: &[i32], came: &[i32]) -> bool {
        let mut produced = ProducedRecords::default();
        for sequence in sent {
            produced.sent(ID, &produce(*sequence));
        }
        let mut came = came.iter();
        came.all(|sequence| produced.received(ID, &produce(*sequence)).is_ok())
    }

    #[test]
    fn sequences_come_in_their_order_and_as_often_as_they_were_sent() {
        assert!(comes(&[0, 1, 1, 2], &[0, 1, 1, 2]));
        assert!(comes(&[0, 1, 2], &[0, 2]), "1 was denied");
        assert!(!comes(&[0, 1], &[0, 0]));
        assert!(!comes(&[0, 1], &[1, 0]));
        assert!(!comes(&[0], &[1]));
    }

    #[test]
    fn a_payload_that_was_sent_twice_may_come_twice() {
        let tag = Tag {
            client: 1,
            topic: Topic::Orders,
            number: 0,
        };
        // The head of a Produce, and nothing else that is one.
        let frame = with_length(&[&[0; 8][..], &payload(tag, 100)].concat());
        let mut produced = ProducedRecords::default();
        produced.sent(ID, &frame);
        produced.sent(ID, &frame);
        let came = [(); 3].map(|()| produced.received(ID, &frame).is_ok());
        assert_eq!(came, [true, true, false]);
    }
    #[test]
    fn a_whole_payload_of_a_mangled_request_may_arrive_alone() {
        let tag = |number| Tag {
            client: 1,
            topic: Topic::Orders,
            number,
        };
        let whole = payload(tag(0), 100);
        let mut mangled = payload(tag(1), 100).to_vec();
        mangled[50] ^= 1;
        let mut produced = ProducedRecords::default();
        produced.sent(ID, &with_length(&[&[0; 8][..], &whole, &mangled].concat()));
        let part = with_length(&[&[0; 8][..], &whole].concat());
        assert_eq!(produced.received(ID, &part), Ok(()));
    }
}
