//! The first bytes of a connection, from the header of a proxy to the first requests: each byte is
//! either of the header or the session's, whatever comes and however it is cut.

use doorkeeper_core::{End, Leg};

use super::chunks::chunks;
use super::driver::SessionDriver;
use super::proxy_protocol::take_header;

/// Input: flags, how to cut; the bytes. Flag 128: the peer is a proxy that is trusted. The others
/// are those of a session.
pub fn first_bytes(data: &[u8]) {
    let Some((&[flags, pattern], bytes)) = data.split_first_chunk() else {
        return;
    };
    let of_client = if flags & 128 == 0 {
        bytes
    } else {
        let (taken, header) = take_header(bytes);
        let Some(Ok(_)) = header else {
            // The connection is closed, and no session ever sees any of it.
            return;
        };
        bytes.get(taken..).unwrap_or_default()
    };
    let Some(mut driver) = SessionDriver::new(flags & 127) else {
        return;
    };
    for piece in chunks(of_client, pattern) {
        driver.bytes(Leg::Client, piece);
        if driver.is_closed() {
            return;
        }
    }
    driver.ended(Leg::Client, End::Fin);
    if !driver.is_closed() {
        driver.leave_alone();
    }
}
