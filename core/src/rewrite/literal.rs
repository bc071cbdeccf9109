//! An address literal, however it is written.

use std::net::IpAddr;

/// The address that this text is a literal of, without brackets. An IPv4 address inside of an IPv6
/// one counts as itself.
pub(super) fn literal(text: &str) -> Option<IpAddr> {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    Some(address.to_canonical())
}
