//! The keys of a configuration that are about TLS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS towards clients. Files are read at start; paths are relative to the working directory.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// What doorkeeper shows to clients. Of several, each client gets the one whose name it asks
    /// for (SNI), and otherwise the first one that it can verify: an ECDSA and an RSA certificate
    /// for the same name may stand side by side.
    #[schemars(length(min = 1))]
    pub certificates: Vec<Identity>,
    /// Whether clients show certificates, as `ssl.client.auth` of Kafka.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The CAs whose client certificates hold, in PEM. Required unless `client_auth` is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<String>,
    /// Lists of revoked client certificates, in PEM. Where there is one, a client whose CA has
    /// none, or one that has expired, is not let in.
    #[serde(default)]
    pub crl_files: Vec<String>,
    /// Which subjects of client certificates are let in: those that one of these matches. Without
    /// it, all. In the form of grepplabs/kafka-proxy: `s:/CN=[alice]/OU=[eng,ops]` asks for these
    /// values of CN, C, L, O, OU or S and no others of the same, `r:/CN=[^svc-[a-z]+$]` for values
    /// in which these patterns are found. Only the client's own certificate counts, not its CA's.
    #[serde(default)]
    pub client_subjects: Vec<String>,
    /// The only client certificate that is let in, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_file: Option<String>,
    /// Who a client with a certificate is. Without it, `User:` and the distinguished name of the
    /// subject, as in Kafka. A client without a certificate is `User:ANONYMOUS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// The lowest version.
    #[serde(default)]
    pub min_version: Version,
    /// Cipher suites by the names of IANA, the preferred one first, as `ssl.cipher.suites` of
    /// Kafka. Without it, all that are secure.
    #[serde(default)]
    pub cipher_suites: Vec<String>,
    /// Key exchange groups by the names of IANA, the preferred one first. Without it, all that are
    /// secure.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether a key exchange is offered that holds against quantum computers
    /// (`X25519MLKEM768`). Some middleboxes drop the longer first message that it makes.
    #[serde(default = "enabled")]
    pub post_quantum: bool,
}

/// TLS towards brokers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterTls {
    /// The CAs that sign the brokers' certificates, in PEM. Without it, those that the system
    /// trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// What doorkeeper shows to brokers that ask for a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Identity>,
    /// The name that the brokers' certificates are for, where it is not the host that the cluster
    /// calls them by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// What of a broker's certificate is not verified: whoever is in between can be the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verification: Option<SkipVerification>,
    /// The lowest version.
    pub min_version: Version,
    /// Cipher suites by the names of IANA, as `ssl.cipher.suites` of Kafka. Without it, all that
    /// are secure.
    pub cipher_suites: Vec<String>,
    /// Key exchange groups by the names of IANA, the preferred one first. Without it, all that are
    /// secure.
    pub groups: Vec<String>,
    /// Whether a key exchange is offered that holds against quantum computers
    /// (`X25519MLKEM768`). Some middleboxes drop the longer first message that it makes.
    pub post_quantum: bool,
}

impl Default for ClusterTls {
    fn default() -> Self {
        Self {
            ca_file: None,
            certificate: None,
            server_name: None,
            insecure_skip_verification: None,
            min_version: Version::default(),
            cipher_suites: Vec::new(),
            groups: Vec::new(),
            post_quantum: enabled(),
        }
    }
}

const fn enabled() -> bool {
    true
}

/// Who doorkeeper is: a certificate and its key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The certificate, and behind it those of the CAs in between, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// Its key, in PEM: PKCS#8, PKCS#1 or SEC1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Instead of both: a PKCS#12 key store, as `keytool` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystore_file: Option<String>,
    /// A file with the password of the key or of the key store. A line end behind it is no part
    /// of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// They are not asked to.
    #[default]
    None,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// Where the principal of a client comes from: one of these. Whom it gives no name, or one that is
/// longer than 4096 bytes or has control characters in it, is not let in.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Principal {
    /// Rules as of Kafka's `ssl.principal.mapping.rules`, of which the first that matches counts:
    /// `RULE:pattern/replacement/`, with `L` or `U` behind it for lower or upper case, and
    /// `DEFAULT`. Patterns are Java's, without look-around, back-references, possessive quantifiers
    /// and other things that take more time than the name is long: they are errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_rules: Option<Vec<String>>,
    /// The subject alternative name of this kind. The certificate must have exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub san: Option<SubjectAlternativeName>,
}

/// A kind of subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectAlternativeName {
    /// A DNS name, in lower case.
    Dns,
    /// A URI, such as a SPIFFE id.
    Uri,
    /// An address of e-mail.
    Email,
}

/// What of a broker's certificate is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipVerification {
    /// Which name it is for.
    ServerName,
    /// Anything.
    Certificate,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Version {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    Tls13,
}
