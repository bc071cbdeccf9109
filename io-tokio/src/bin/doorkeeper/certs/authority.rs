//! A CA that signs certificates of servers and clients: ECDSA with P-256.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A CA and its key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM; the key is PKCS#8.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new CA for certificates, and none for further CAs.
    pub(crate) fn generate(name: &str, days: u32) -> anyhow::Result<(Self, Pair)> {
        let mut params = params(name, Vec::new(), days)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pair = Pair {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        };
        let issuer = Issuer::new(params, key);
        Ok((Self { issuer }, pair))
    }

    /// One that was generated before.
    pub(crate) fn of(pair: &Pair) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(&pair.key).context("its key")?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).context("its certificate")?;
        Ok(Self { issuer })
    }

    /// A certificate for a server that goes by these host names and addresses, of which there is
    /// one at least.
    pub(crate) fn server(&self, names: &[String], days: u32) -> anyhow::Result<Pair> {
        let first = names.first().context("a server needs a name")?;
        self.signed(
            params(first, names.to_vec(), days)?,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// A certificate for a client of this name.
    pub(crate) fn client(&self, name: &str, days: u32) -> anyhow::Result<Pair> {
        self.signed(
            params(name, Vec::new(), days)?,
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    fn signed(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<Pair> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Pair {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Good from an hour ago on, because clocks differ.
fn params(
    common_name: &str,
    alternative: Vec<String>,
    days: u32,
) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(alternative)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = date_time_ymd(1970, 1, 1) + now.context("the clock is before 1970")?;
    params.not_before = now - HOUR;
    params.not_after = now + HOUR * 24 * days;
    Ok(params)
}
