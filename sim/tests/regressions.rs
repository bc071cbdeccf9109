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
        script: "drain.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A drain gives owed answers and takes no request.",
    },
    Lesson {
        script: "groups.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A member joins, syncs, commits and leaves through the door.",
    },
    Lesson {
        script: "refused.txt",
        seed: None,
        commit: "6f08db5",
        taught: "What is refused is cut out, told in its turn, or closes.",
    },
    Lesson {
        script: "relay.txt",
        seed: None,
        commit: "6f08db5",
        taught: "Requests of every kind go up as they came, and answers carry our addresses.",
    },
    Lesson {
        script: "slow-broker.txt",
        seed: Some(20),
        commit: "6f08db5",
        taught: "A request still waiting to be written can time out as well.",
    },
    Lesson {
        script: "unadvertised.txt",
        seed: None,
        commit: "6f08db5",
        taught: "A broker without an address of ours is told to nobody.",
    },
    Lesson {
        script: "unknown-versions.txt",
        seed: None,
        commit: "6f08db5",
        taught: "Only ApiVersions is answered in a version that is not there.",
    },
    Lesson {
        script: "wrong-id.txt",
        seed: None,
        commit: "6f08db5",
        taught: "An answer out of order closes, and no client sees it.",
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
        let told = !lesson.commit.is_empty() && lesson.taught.ends_with('.');
        assert!(told, "{} {:?}", lesson.script, lesson.seed);
    }
}
