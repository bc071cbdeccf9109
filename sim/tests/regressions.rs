//! Every script that once found something is in `testdata/scripts`, and listed here: the seed and
//! the commit that it comes from, and what it taught. Nothing is ever deleted from this list.
//!
//! That the scripts hold is a test of `doorkeeper-model`; that none is lost is a test here.

use std::fs;
use std::path::Path;

/// One script that taught something.
struct Lesson {
    script: &'static str,
    /// The seed that it was shrunk from; nothing where it was written by hand.
    seed: Option<u64>,
    commit: &'static str,
    taught: &'static str,
}

const LESSONS: &[Lesson] = &[
    Lesson {
        script: "acks-zero.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A Produce without a response holds no other response up.",
    },
    Lesson {
        script: "apis-denied-by-policy.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A denied API is not offered, and closes.",
    },
    Lesson {
        script: "authorized-in-turn.txt",
        seed: Some(6_108_892),
        commit: "6ee9000",
        taught: "A request that waits for room is authorized when its turn comes.",
    },
    Lesson {
        script: "bad-responses.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A response too many, or of no length, reaches no client.",
    },
    Lesson {
        script: "broker-crash.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A crash ends the sessions of that broker and of no other.",
    },
    Lesson {
        script: "brokers-advertise-doorkeeper.txt",
        seed: None,
        commit: "c0e3e63",
        taught: "A broker whose address is doorkeeper's own is not dialled over and over.",
    },
    Lesson {
        script: "connections.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Sessions of several clients and brokers do not touch each other.",
    },
    Lesson {
        script: "consumer-group.txt",
        seed: None,
        commit: "0144382",
        taught: "A partition of a consumer group has one owner at a time.",
    },
    Lesson {
        script: "cut-legs.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Either leg may break in the middle of a frame.",
    },
    Lesson {
        script: "cut-responses.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Of a response that breaks off the client gets nothing.",
    },
    Lesson {
        script: "denied-apis.txt",
        seed: None,
        commit: "fcd7776",
        taught: "A denied API gets Kafka's own error, and no broker hears of it.",
    },
    Lesson {
        script: "denied-topics.txt",
        seed: None,
        commit: "6f08db5",
        taught: "What is denied is cut out, reported in its turn, or closes.",
    },
    Lesson {
        script: "drain-behind-a-stump.txt",
        seed: Some(5_129_923),
        commit: "6ee9000",
        taught: "A frame too short for a head is no request, and counts as none.",
    },
    Lesson {
        script: "drain.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A drain gives owed responses and takes no request.",
    },
    Lesson {
        script: "drained-at-its-last.txt",
        seed: Some(4_481_110),
        commit: "3cac710",
        taught: "A drain that grants no time ends the last requests of a client that has left.",
    },
    Lesson {
        script: "drained-while-it-waits.txt",
        seed: Some(11_073_514),
        commit: "0a4f3b3",
        taught: "A drain takes no request that waits for room, even if its client leaves.",
    },
    Lesson {
        script: "dripped-behind-a-lost-response.txt",
        seed: Some(172_553_977_607_506),
        commit: "66d9a5c",
        taught: "A fault is found when it is found, not when the last byte came.",
    },
    Lesson {
        script: "dripping-broker.txt",
        seed: Some(20_029_205),
        commit: "e4d6e81",
        taught: "Why a session closes is held against how things stood when it began to.",
    },
    Lesson {
        script: "dripping-client.txt",
        seed: None,
        commit: "b3ec60a",
        taught: "A drip is a stall; the rule of reasons had to learn it, of seed 154824.",
    },
    Lesson {
        script: "fault-behind-requests.txt",
        seed: None,
        commit: "c0e3e63",
        taught: "What is no request takes no response along that is owed to one before it.",
    },
    Lesson {
        script: "fetch-session-lost.txt",
        seed: None,
        commit: "0144382",
        taught: "A fetch session goes on, and one that is lost begins anew.",
    },
    Lesson {
        script: "fetch-sessions.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A fetch session goes on where it was given only.",
    },
    Lesson {
        script: "granted-a-day.txt",
        seed: Some(9_699_800),
        commit: "fc5d812",
        taught: "A request that is torn from two may let the broker wait as long as any may.",
    },
    Lesson {
        script: "groups.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A member joins, syncs, commits and leaves through doorkeeper.",
    },
    Lesson {
        script: "half-a-request-is-too-much.txt",
        seed: Some(7_232_914),
        commit: "c82667a",
        taught: "A session that cannot read on for want of room dials, and has a deadline.",
    },
    Lesson {
        script: "half-closed.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A client that ends its half still reads its responses.",
    },
    Lesson {
        script: "held-legs.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Bytes that are held up change nothing.",
    },
    Lesson {
        script: "idempotent.txt",
        seed: None,
        commit: "0144382",
        taught: "A batch that is sent again after a reset is no payload too many.",
    },
    Lesson {
        script: "leader-hints.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A follower names the leader, at our address.",
    },
    Lesson {
        script: "left-in-a-rebalance.txt",
        seed: Some(10_271_069),
        commit: "7d393c4",
        taught: "Behind a SyncGroup a session without a client lasts as long as a rebalance.",
    },
    Lesson {
        script: "left-in-the-middle.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Half a request is no request.",
    },
    Lesson {
        script: "left-while-it-waits.txt",
        seed: Some(106_621),
        commit: "4cd23ef",
        taught: "Requests that wait for room are not lost with their client.",
    },
    Lesson {
        script: "mangled-header.txt",
        seed: Some(3_448_475),
        commit: "4ee9e9f",
        taught: "Whether a response is owed does not depend on a header that is good UTF-8.",
    },
    Lesson {
        script: "moved-broker.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A broker that has moved is found again.",
    },
    Lesson {
        script: "moved-leader.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "The old leader names the new one.",
    },
    Lesson {
        script: "no-room.txt",
        seed: None,
        commit: "50fc493",
        taught: "Who waits for room is not read, and who may never have it is closed for it.",
    },
    Lesson {
        script: "older-broker.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "What is offered is what both sides have.",
    },
    Lesson {
        script: "pipelined.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Our own responses wait for their turn.",
    },
    Lesson {
        script: "relay.txt",
        seed: None,
        commit: "6f08db5",
        taught: "Requests of every kind go up as they came, and responses have our addresses.",
    },
    Lesson {
        script: "reload.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A reload is the law for the next request of an open session.",
    },
    Lesson {
        script: "request-timeout.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A response that never comes ends its session in time.",
    },
    Lesson {
        script: "response-before-a-reload.txt",
        seed: Some(1_060_141),
        commit: "4ee9e9f",
        taught: "A response that waits to be written was made by the snapshot of its time.",
    },
    Lesson {
        script: "share-group.txt",
        seed: None,
        commit: "ed084ce",
        taught: "A record that one member of a share group gives back another gets.",
    },
    Lesson {
        script: "silent-broker.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A silent broker holds up its own sessions only.",
    },
    Lesson {
        script: "slow-broker.txt",
        seed: Some(20),
        commit: "6f08db5",
        taught: "A request still waiting to be written can time out as well.",
    },
    Lesson {
        script: "slow-client.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "Slow writing and reading change nothing.",
    },
    Lesson {
        script: "throttled.txt",
        seed: None,
        commit: "ef340a8",
        taught: "A broker that throttles its client is not taken for dead, and is when that ends.",
    },
    Lesson {
        script: "thrown-out.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "What is no request ends a session at once.",
    },
    Lesson {
        script: "too-long.txt",
        seed: None,
        commit: "d2d0cf9",
        taught: "A frame beyond the limit ends its session at its length.",
    },
    Lesson {
        script: "topology-too-late.txt",
        seed: Some(13_371_516),
        commit: "fac452b",
        taught: "A session that is closing dials nobody, should the topology come after all.",
    },
    Lesson {
        script: "transactions.txt",
        seed: None,
        commit: "0144382",
        taught: "A transaction goes through doorkeeper in both versions.",
    },
    Lesson {
        script: "truncated.txt",
        seed: None,
        commit: "0861afb",
        taught: "A connection that TLS did not end is no end in order.",
    },
    Lesson {
        script: "unadvertised.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A broker without an address of ours is in no response.",
    },
    Lesson {
        script: "unknown-versions.txt",
        seed: None,
        commit: "6f08db5",
        taught: "Only ApiVersions has a response in a version that is not there.",
    },
    Lesson {
        script: "wrong-id.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A response out of order closes, and no client sees it.",
    },
];

#[test]
fn every_script_has_its_lesson_and_every_lesson_its_script() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scripts");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let listed: Vec<&str> = LESSONS.iter().map(|lesson| lesson.script).collect();
    assert_eq!(files, listed);
    for lesson in LESSONS {
        let is_complete = !lesson.commit.is_empty() && lesson.taught.ends_with('.');
        assert!(is_complete, "{} {:?}", lesson.script, lesson.seed);
    }
}
