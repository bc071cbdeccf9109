//! Which versions, cipher suites and key exchange groups a side of TLS allows.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

/// What is allowed of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The lowest version.
    pub min_version: Version,
    /// Names of cipher suites as IANA has them; all that are known if empty.
    pub cipher_suites: Vec<String>,
    /// Names of groups as IANA has them, in the order of preference; all that are known if empty.
    pub groups: Vec<String>,
    /// Whether groups that hold against quantum computers are left out: some middleboxes drop the
    /// longer first message that they make.
    pub classical_groups_only: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A name that is not known, or a choice that leaves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParameters {
    /// No such cipher suite.
    #[error("{name:?} is no cipher suite known here; known are {known}")]
    CipherSuite {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No such group.
    #[error("{name:?} is no key exchange group known here; known are {known}")]
    Group {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// All groups that were named hold against quantum computers, and these are switched off.
    #[error("no key exchange group is left")]
    NoGroup,
    /// No cipher suite of the versions that are allowed.
    #[error("no cipher suite is left for TLS 1.3, the lowest version that is allowed")]
    NoCipherSuite,
}

impl Parameters {
    /// The versions, lowest last.
    pub(crate) fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        static ALL: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self.min_version {
            Version::Tls12 => &ALL,
            Version::Tls13 => ALL.get(..1).unwrap_or(&ALL),
        }
    }

    /// What computes, with nothing in it that is not allowed.
    ///
    /// # Errors
    /// [`BadParameters`].
    pub(crate) fn provider(&self) -> Result<Arc<CryptoProvider>, BadParameters> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.cipher_suites.is_empty() {
            let all = std::mem::take(&mut provider.cipher_suites);
            for name in &self.cipher_suites {
                let suite = all.iter().find(|it| suite_name(**it) == *name);
                provider
                    .cipher_suites
                    .push(*suite.ok_or_else(|| BadParameters::CipherSuite {
                        name: name.clone(),
                        known: joined(all.iter().map(|it| suite_name(*it))),
                    })?);
            }
        }
        if self.min_version == Version::Tls13
            && !provider.cipher_suites.iter().any(|it| it.tls13().is_some())
        {
            return Err(BadParameters::NoCipherSuite);
        }
        if !self.groups.is_empty() {
            provider.kx_groups = self.named_groups()?;
        }
        if self.classical_groups_only {
            provider.kx_groups.retain(|group| !is_post_quantum(*group));
        }
        if provider.kx_groups.is_empty() {
            return Err(BadParameters::NoGroup);
        }
        Ok(Arc::new(provider))
    }

    fn named_groups(&self) -> Result<Vec<&'static dyn SupportedKxGroup>, BadParameters> {
        let all = aws_lc_rs::ALL_KX_GROUPS;
        let named = self.groups.iter().map(|name| {
            let group = all.iter().find(|it| group_name(**it) == *name);
            group.copied().ok_or_else(|| BadParameters::Group {
                name: name.clone(),
                known: joined(all.iter().map(|it| group_name(*it))),
            })
        });
        named.collect()
    }
}

fn joined(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The name that IANA and Kafka's `ssl.cipher.suites` have: those of TLS 1.3 do not say so.
fn suite_name(suite: rustls::SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

fn group_name(group: &dyn SupportedKxGroup) -> String {
    group.name().as_str().unwrap_or_default().to_owned()
}

fn is_post_quantum(group: &dyn SupportedKxGroup) -> bool {
    group_name(group).contains("MLKEM")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parameters: &Parameters) -> (Vec<String>, Vec<String>) {
        let provider = parameters.provider().unwrap();
        let suites = provider.cipher_suites.iter().map(|it| suite_name(*it));
        let groups = provider.kx_groups.iter().map(|it| group_name(*it));
        (suites.collect(), groups.collect())
    }

    #[test]
    fn the_hybrid_group_is_preferred_and_can_be_left_out() {
        let (suites, groups) = names(&Parameters::default());
        assert!(
            suites.contains(&"TLS_AES_256_GCM_SHA384".to_owned()),
            "{suites:?}"
        );
        assert_eq!(groups.first().map(String::as_str), Some("X25519MLKEM768"));
        let classical = Parameters {
            classical_groups_only: true,
            ..Parameters::default()
        };
        let (_, groups) = names(&classical);
        assert_eq!(groups, ["X25519", "secp256r1", "secp384r1"]);
    }

    #[test]
    fn suites_and_groups_are_taken_by_name_and_in_order() {
        let parameters = Parameters {
            min_version: Version::Tls13,
            cipher_suites: vec![
                "TLS_CHACHA20_POLY1305_SHA256".to_owned(),
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned(),
            ],
            groups: vec!["secp384r1".to_owned(), "X25519".to_owned()],
            classical_groups_only: false,
        };
        let (suites, groups) = names(&parameters);
        assert_eq!(suites, parameters.cipher_suites);
        assert_eq!(groups, parameters.groups);
    }

    #[test]
    fn what_is_unknown_or_leaves_nothing_is_an_error() {
        let suite = Parameters {
            cipher_suites: vec!["TLS_RSA_WITH_RC4_128_MD5".to_owned()],
            ..Parameters::default()
        };
        let error = suite.provider().unwrap_err().to_string();
        assert!(error.contains("TLS_AES_128_GCM_SHA256"), "{error}");
        let group = Parameters {
            groups: vec!["secp521r1x".to_owned()],
            ..Parameters::default()
        };
        assert!(matches!(group.provider(), Err(BadParameters::Group { .. })));
        let none = Parameters {
            groups: vec!["X25519MLKEM768".to_owned()],
            classical_groups_only: true,
            ..Parameters::default()
        };
        assert_eq!(none.provider().unwrap_err(), BadParameters::NoGroup);
        let old = Parameters {
            min_version: Version::Tls13,
            cipher_suites: vec!["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()],
            ..Parameters::default()
        };
        assert_eq!(old.provider().unwrap_err(), BadParameters::NoCipherSuite);
    }
}
