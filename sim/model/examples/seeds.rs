//! Writes seeds for the fuzz targets into `fuzz/corpus`, from what was recorded: frames of Kafka's
//! own message classes (`testdata/frames`), requests of real clients (`testdata/clients`), and
//! configuration files. `cargo xtask fuzz TARGET --seed` keeps those that reach something new.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "an example may panic when its files are not what they were"
)]

use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_core::wire::schema::{APIS, Direction};
use doorkeeper_kafka_model::Rng;

/// Longer seeds make a fuzzer slow and show it no more.
const SEED_BYTES_MAX: usize = 2048;

/// How many scripts are made of nothing but noise.
const SCRIPTS: u64 = 400;

/// How many conversations are drawn for each API in each version.
const DRAWS: u64 = 4;

/// One body of a message.
struct Body {
    /// The place of its API in the table.
    api: u8,
    direction: Direction,
    version: u8,
    /// Where it comes from.
    name: String,
    bytes: Vec<u8>,
}

/// What one client has sent.
struct Client {
    name: String,
    frames: Vec<Vec<u8>>,
}

fn main() {
    let (bodies, clients) = (bodies(), clients());
    for body in &bodies {
        let flags = u8::from(body.direction == Direction::Response);
        let (api, version) = (body.api, body.version);
        let walk = [&[api, version, flags, 0, 0][..], &body.bytes].concat();
        keep("walk", &body.name, &walk);
        let other = [&[api, version, flags, 200][..], &body.bytes].concat();
        keep("walk_vs_codec", &body.name, &other);
        if body.direction == Direction::Response {
            keep("upstream", &body.name, &conversation(body));
        }
    }
    for (api, entry) in APIS.iter().enumerate() {
        for version in entry.versions.iter() {
            for draw in 0..DRAWS {
                let name = format!("{}-v{version}-drawn-{draw}", entry.name);
                keep("upstream", &name, &drawn(api as u8, version as u8, draw));
            }
        }
    }
    for Client { name, frames } in &clients {
        for (at, frame) in frames.iter().enumerate() {
            let name = format!("{name}-{at}");
            keep("framer", &name, &[&[2, 0, 255, 255][..], frame].concat());
            keep("session_bytes", &name, &session(frame));
        }
    }
    for seed in 0..SCRIPTS {
        let mut rng = Rng::new(seed);
        let count = 100 + rng.below(1500);
        let noise: Vec<u8> = (0..count).map(|_| rng.below(256) as u8).collect();
        keep("session", &format!("noise-{seed}"), &noise);
    }
    for folder in ["good", "bad"] {
        for path in files(&format!("testdata/configs/{folder}"), "yaml") {
            let name = format!("{folder}-{}", stem(&path));
            keep("config", &name, &fs::read(path).unwrap());
        }
    }
}

/// A request for the API, and this body as its response.
fn conversation(body: &Body) -> Vec<u8> {
    let length = (body.bytes.len() as u16).to_be_bytes();
    let ask = [0, 0, body.api, body.version, 0, 0];
    let response = [&[5][..], &length, &body.bytes, &[0]];
    [&ask[..], &response.concat()].concat()
}

/// A request for the API whose values are drawn, and a response to it in two pieces.
fn drawn(api: u8, version: u8, draw: u64) -> Vec<u8> {
    let mut rng = Rng::stream(draw, u64::from(api) << 8 | u64::from(version));
    // Counts and choices are drawn from small numbers as well as from large ones.
    let mut noise = |count: usize| -> Vec<u8> {
        let one = |_| (rng.below(256) >> (4 * rng.below(2))) as u8;
        (0..count).map(one).collect()
    };
    let (request, response) = (noise(40), noise(200));
    let flags = [0, 8, 2, 1][draw as usize % 4];
    let ask = [flags, 0, api, version, 0, request.len() as u8];
    let respond = [2, 0, response.len() as u8];
    [&ask[..], &request, &respond, &response, &[100]].concat()
}

/// The client sends the frame, the broker is reached, and gets it.
fn session(frame: &[u8]) -> Vec<u8> {
    let mut input = vec![0];
    for part in frame.chunks(255) {
        input.extend([0, part.len() as u8]);
        input.extend(part);
    }
    input.extend([4, 3, 255, 9]);
    input
}

fn keep(target: &str, name: &str, seed: &[u8]) {
    if seed.len() > SEED_BYTES_MAX {
        return;
    }
    let folder = root().join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), seed).unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == extension));
    paths.sort();
    paths
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn lines(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let columns = |line: &str| line.splitn(4, '\t').map(str::to_owned).collect();
    lines.map(columns).collect()
}

/// What Kafka's own message classes wrote.
fn bodies() -> Vec<Body> {
    let mut all = Vec::new();
    for (api, entry) in APIS.iter().enumerate() {
        for direction in [Direction::Request, Direction::Response] {
            let name = entry.message(direction).name;
            let path = root().join(format!("testdata/frames/{name}.txt"));
            all.extend(lines(&path).into_iter().map(|columns| Body {
                api: api as u8,
                direction,
                version: columns[0].parse().unwrap(),
                name: format!("{name}-v{}-{}", columns[0], columns[1]),
                bytes: unhex(&columns[2]),
            }));
        }
    }
    all
}

fn clients() -> Vec<Client> {
    let files = files("testdata/clients", "txt");
    let client = |path: PathBuf| Client {
        name: stem(&path),
        frames: lines(&path)
            .iter()
            .map(|columns| unhex(&columns[2]))
            .collect(),
    };
    files.into_iter().map(client).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    pairs.map(byte).collect()
}
