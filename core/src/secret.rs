//! What nobody may see: a password, a key, a token.

use std::fmt;

use subtle::ConstantTimeEq as _;

/// Bytes that are never printed, logged or recorded. A comparison takes as long for any bytes of
/// the same length: one that stops at the first difference would tell how far it came.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Keeps these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for whoever has to use them. What is done with them must not outlive the use.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::new(*b"hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "Secret(..) Some(Secret(..))"
        );
        assert_eq!(secret.expose(), b"hunter2");
        assert!(secret == Secret::new(*b"hunter2") && secret != Secret::new(*b"hunter3"));
    }
}
