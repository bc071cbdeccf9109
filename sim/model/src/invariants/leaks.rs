//! 6: no byte that a client gets names an upstream host, tagged fields and texts included.

use crate::watch::Violation;

/// Every upstream host of the model ends so, and nothing else does.
const CANARY: &[u8] = b".canary";

/// Nothing here names an upstream host.
pub(crate) fn no_upstream_host(bytes: &[u8]) -> Result<(), Violation> {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'.') {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(CANARY) {
            return Err(Violation::of(
                6,
                "an upstream host is in a response to a client",
            ));
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_wherever_it_stands() {
        assert!(no_upstream_host(b"..c.can.canar").is_ok());
        assert_eq!(no_upstream_host(b"x..canary").unwrap_err().invariant, 6);
    }
}
