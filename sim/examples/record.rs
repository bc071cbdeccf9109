//! Records what a real client sends: `cargo run -p doorkeeper-sim --example record -- NAME PORT`.
//!
//! Serves the cluster in memory at that port and the next two until Enter is pressed, and writes
//! the requests that came to `testdata/clients/NAME.txt`: of each API and version the first one and
//! the longest. A request has no address in it, and nobody logs in here; what is produced is what
//! the client was given to produce.
#![expect(
    clippy::print_stdout,
    reason = "an example speaks through its standard streams"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_host::{BrokerConfig, Host, HostConfig};
use doorkeeper_io_tokio::net::TokioNet;
use doorkeeper_model::frames::Cutter;
use doorkeeper_sim::tap::{Tap, Tape};
use tokio_util::sync::CancellationToken;

/// Longer requests are of no use as seeds.
const FRAME_BYTES_MAX: usize = 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("NAME is missing")?;
    let port: u16 = args.next().ok_or("PORT is missing")?.parse()?;
    let tape = Tape::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(port, tape.clone()))?;
    let text = recorded(&name, &tape);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/clients");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name).with_extension("txt"), text)?;
    Ok(())
}

async fn serve(first: u16, tape: Tape) -> Result<(), Box<dyn std::error::Error>> {
    let mut brokers = Vec::new();
    for (id, port) in (1..=3).zip(first..) {
        brokers.push(BrokerConfig {
            id: BrokerId(id),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            advertised: HostPort::new("127.0.0.1", port)?,
        });
    }
    let net = Tap::new(TokioNet::default(), tape);
    let host = Host::bind(net, HostConfig::new(brokers, 1)).await?;
    println!("brokers at 127.0.0.1:{first}; Enter ends it");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(host.serve(stop.clone()));
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    stop.cancel();
    serving.await??;
    Ok(())
}

/// Of each API and version the first request and the longest, a line each.
fn recorded(name: &str, tape: &Tape) -> String {
    let mut all: BTreeMap<(i16, i16), Vec<Vec<u8>>> = BTreeMap::new();
    for track in tape.all() {
        let mut cutter = Cutter::default();
        cutter.push(&track.received);
        while let Some(frame) = cutter.next_frame() {
            let Some(&[_, _, _, _, k0, k1, v0, v1]) = frame.first_chunk() else {
                continue;
            };
            let key = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
            let kept = all.entry(key).or_default();
            let longer = kept.last().is_none_or(|last| last.len() < frame.len());
            if longer && frame.len() <= FRAME_BYTES_MAX {
                kept.truncate(1);
                kept.push(frame.to_vec());
            }
        }
    }
    let mut text = format!(
        "# Requests of {name}, with their lengths, as it sent them to the cluster in memory.\n\
         # Made by `cargo run -p doorkeeper-sim --example record`.\n\
         # Columns: API key, version, frame in hex.\n"
    );
    for ((key, version), frames) in all {
        for frame in frames {
            let _ = write!(text, "{key}\t{version}\t");
            for byte in frame {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
    }
    text
}
