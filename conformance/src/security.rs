//! What a connection is secured with, on each side of doorkeeper.

use serde::Serialize;
use tokio::process::Command;

use crate::certificates::{Certificates, Identity};

/// How one side of a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Security {
    Plaintext,
    /// The server shows a certificate.
    Tls,
    /// Both show one.
    MutualTls,
}

/// How both sides of doorkeeper are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Legs {
    pub(crate) client: Security,
    pub(crate) broker: Security,
}

impl Security {
    pub(crate) const ALL: [Self; 3] = [Self::Plaintext, Self::Tls, Self::MutualTls];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::MutualTls => "mtls",
        }
    }
}

impl Legs {
    pub(crate) const PLAINTEXT: Self = Self {
        client: Security::Plaintext,
        broker: Security::Plaintext,
    };

    /// All but plaintext on both sides.
    pub(crate) fn secured() -> impl Iterator<Item = Self> {
        let all = Security::ALL.into_iter();
        let all = all.flat_map(|client| Security::ALL.map(|broker| Self { client, broker }));
        all.filter(|legs| *legs != Self::PLAINTEXT)
    }

    /// As listeners of doorkeeper and scenarios are called.
    pub(crate) fn name(self) -> String {
        format!("{}_to_{}", self.client.name(), self.broker.name())
    }
}

/// What a client program uses TLS with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ClientTls {
    ca: std::path::PathBuf,
    #[serde(flatten)]
    identity: Option<Identity>,
}

impl ClientTls {
    /// What a client needs; nothing for plaintext.
    pub(crate) fn good(security: Security, certificates: &Certificates) -> Option<Self> {
        let identity = match security {
            Security::Plaintext => return None,
            Security::Tls => None,
            Security::MutualTls => Some(certificates.client.clone()),
        };
        let ca = certificates.ca.clone();
        Some(Self { ca, identity })
    }

    /// Hands it to the program of a client.
    pub(crate) fn hand_to(&self, program: &mut Command) {
        if let Ok(text) = serde_json::to_string(self) {
            program.env("CONFORMANCE_TLS", text);
        }
    }
}

/// A client or a server with a certificate that the other side must not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BadCertificate {
    ExpiredClient,
    ForeignClient,
    RevokedClient,
    /// None is shown where one is required.
    NoClient,
    ExpiredServer,
    ForeignServer,
    WrongNameServer,
}

/// One bad certificate, for the program that tries them.
#[derive(Debug, Clone, Serialize)]
struct Case {
    bootstrap: String,
    tls: ClientTls,
}

impl BadCertificate {
    pub(crate) const ALL: [Self; 7] = [
        Self::ExpiredClient,
        Self::ForeignClient,
        Self::RevokedClient,
        Self::NoClient,
        Self::ExpiredServer,
        Self::ForeignServer,
        Self::WrongNameServer,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ExpiredClient => "expired_client",
            Self::ForeignClient => "foreign_client",
            Self::RevokedClient => "revoked_client",
            Self::NoClient => "no_client",
            Self::ExpiredServer => "expired_server",
            Self::ForeignServer => "foreign_server",
            Self::WrongNameServer => "wrong_name_server",
        }
    }

    /// The reasons that doorkeeper may give for a client's; nothing where it is for the client to
    /// find fault, because some clients close without a word.
    pub(crate) const fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::ExpiredClient => &["certificate_expired"],
            // Java keeps to itself a certificate of a CA that the server does not ask for.
            Self::ForeignClient => &["certificate_unknown_ca", "no_certificate"],
            Self::RevokedClient => &["certificate_revoked"],
            Self::NoClient => &["no_certificate"],
            Self::ExpiredServer | Self::ForeignServer | Self::WrongNameServer => &[],
        }
    }

    fn tls(self, certificates: &Certificates) -> ClientTls {
        let identity = match self {
            Self::ExpiredClient => Some(&certificates.expired_client),
            Self::ForeignClient => Some(&certificates.foreign_client),
            Self::RevokedClient => Some(&certificates.revoked_client),
            Self::NoClient | Self::ExpiredServer | Self::ForeignServer | Self::WrongNameServer => {
                None
            }
        };
        let ca = if self == Self::ForeignServer {
            &certificates.foreign_ca
        } else {
            &certificates.ca
        };
        ClientTls {
            ca: ca.clone(),
            identity: identity.cloned(),
        }
    }

    /// Hands all of them to the program of a client, each with the server that it is for.
    pub(crate) fn hand_all_to(
        program: &mut Command,
        certificates: &Certificates,
        server: impl Fn(Self) -> String,
    ) {
        let case = |bad: Self| {
            let (bootstrap, tls) = (server(bad), bad.tls(certificates));
            (bad.name(), Case { bootstrap, tls })
        };
        let cases: std::collections::BTreeMap<_, _> = Self::ALL.into_iter().map(case).collect();
        if let Ok(text) = serde_json::to_string(&cases) {
            program.env("CONFORMANCE_CASES", text);
        }
    }
}
