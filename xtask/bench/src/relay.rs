//! The baseline: a relay that understands nothing. Two blocking threads a connection, each with a
//! buffer of 256 KiB; no event loop, no framing, no accounting.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

const BUFFER_BYTES: usize = 256 * 1024;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The port to listen on
    listen: u16,
    /// The port to connect to
    to: u16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.listen))?;
    for client in listener.incoming() {
        let client = client?;
        let to = args.to;
        thread::spawn(move || relay(&client, to));
    }
    Ok(())
}

/// Forwards both ways until both have ended.
fn relay(client: &TcpStream, to: u16) -> Result<()> {
    let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (from, into) = (upstream.try_clone()?, client.try_clone()?);
    let back = thread::spawn(move || copy(&from, &into));
    copy(client, &upstream);
    // It ends by itself: each way passes the end of its own on.
    let _ = back.join();
    Ok(())
}

/// Forwards one way until it ends or breaks, and then ends the other side.
fn copy(mut from: &TcpStream, mut into: &TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let read = buffer.get(..count).unwrap_or_default();
        if into.write_all(read).is_err() {
            break;
        }
    }
    let _ = into.shutdown(Shutdown::Write);
}
