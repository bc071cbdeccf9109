//! Certificates for brokers, doorkeeper and clients: made for one run, good and bad ones.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde::Serialize;

use crate::folders;
use crate::ports::FRONT;

const GOOD_YEARS: (i32, i32) = (2020, 2100);
const PAST_YEARS: (i32, i32) = (2020, 2021);
const REVOKED_SERIAL: u64 = 666;
/// A name that nothing here has.
const OTHER_HOST: &str = "other.example.com";

/// The files of a certificate with its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Key and certificate in one file, as key stores of Kafka want them.
    pub(crate) both: PathBuf,
}

/// All of a run. Clients and servers trust the same CA.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    /// Of a CA that has signed nothing of a server's.
    pub(crate) foreign_ca: PathBuf,
    /// The list of revoked certificates, in PEM. Client certificates say where a broker finds it.
    pub(crate) crl: PathBuf,
    /// For doorkeeper and, by the names that brokers advertise, for brokers.
    pub(crate) server: Identity,
    pub(crate) wrong_name_server: Identity,
    pub(crate) expired_server: Identity,
    pub(crate) client: Identity,
    pub(crate) expired_client: Identity,
    pub(crate) foreign_client: Identity,
    pub(crate) revoked_client: Identity,
}

struct Leaf<'a> {
    file: &'a str,
    names: Vec<String>,
    purpose: ExtendedKeyUsagePurpose,
    years: (i32, i32),
    serial: u64,
}

impl<'a> Leaf<'a> {
    fn server(file: &'a str, serial: u64, names: &[String]) -> Self {
        Self {
            file,
            names: names.to_vec(),
            purpose: ExtendedKeyUsagePurpose::ServerAuth,
            years: GOOD_YEARS,
            serial,
        }
    }

    fn client(file: &'a str, serial: u64) -> Self {
        Self {
            names: vec!["suite".to_owned()],
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
            ..Self::server(file, serial, &[])
        }
    }

    fn expired(self) -> Self {
        Self {
            years: PAST_YEARS,
            ..self
        }
    }
}

impl Certificates {
    /// Makes them in a folder. `hosts` are the names of brokers.
    pub(crate) fn make(folder: PathBuf, hosts: &[String]) -> Result<Self> {
        folders::create(&folder)?;
        let crl = folder.join("crl.der");
        let authority = Authority::new("suite CA", &crl)?;
        let foreign = Authority::new("foreign CA", &crl)?;
        let names: Vec<String> = [FRONT.to_owned()].iter().chain(hosts).cloned().collect();
        let other = [OTHER_HOST.to_owned()];
        let sign = |authority: &Authority, leaf| authority.sign(&folder, leaf);
        let made = Self {
            ca: folder.join("ca.pem"),
            foreign_ca: folder.join("foreign-ca.pem"),
            crl: folder.join("crl.pem"),
            server: sign(&authority, Leaf::server("server", 1, &names))?,
            wrong_name_server: sign(&authority, Leaf::server("wrong-name-server", 2, &other))?,
            expired_server: sign(
                &authority,
                Leaf::server("expired-server", 3, &names).expired(),
            )?,
            client: sign(&authority, Leaf::client("client", 4))?,
            expired_client: sign(&authority, Leaf::client("expired-client", 5).expired())?,
            foreign_client: sign(&foreign, Leaf::client("foreign-client", 6))?,
            revoked_client: sign(&authority, Leaf::client("revoked-client", REVOKED_SERIAL))?,
        };
        folders::write(&made.ca, &authority.pem)?;
        folders::write(&made.foreign_ca, &foreign.pem)?;
        let list = authority.revoke(REVOKED_SERIAL)?;
        folders::write(&made.crl, &list.pem()?)?;
        std::fs::write(&crl, list.der()).with_context(|| crl.display().to_string())?;
        Ok(made)
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    crl: String,
}

impl Authority {
    fn new(name: &str, crl: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            crl: format!("file://{}", crl.display()),
        })
    }

    fn sign(&self, folder: &Path, leaf: Leaf<'_>) -> Result<Identity> {
        let name = leaf.names.first().context("a certificate has a name")?;
        let common_name = name.clone();
        let mut params = CertificateParams::new(leaf.names)?;
        params.extended_key_usages = vec![leaf.purpose];
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![self.crl.clone()],
        }];
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let key = key.serialize_pem();
        let file = |extension: &str| folder.join(format!("{}.{extension}", leaf.file));
        let identity = Identity {
            certificate: file("crt"),
            key: file("key"),
            both: file("pem"),
        };
        folders::write(&identity.certificate, &certificate)?;
        folders::write(&identity.key, &key)?;
        folders::write(&identity.both, &format!("{key}{certificate}"))?;
        Ok(identity)
    }

    fn revoke(&self, serial: u64) -> Result<rcgen::CertificateRevocationList> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(GOOD_YEARS.0, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(GOOD_YEARS.0, 1, 1),
            next_update: date_time_ymd(GOOD_YEARS.1, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?)
    }
}
