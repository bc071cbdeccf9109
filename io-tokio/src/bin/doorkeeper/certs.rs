//! `doorkeeper certs`: certificates to try TLS with, and what a server shows.

mod authority;
mod fetch;
mod generate;
mod new_files;

#[cfg(feature = "quickstart")]
pub(crate) use self::authority::Authority;
pub(crate) use self::fetch::fetch;
pub(crate) use self::generate::{client_name, generate};
pub(crate) use self::new_files::NewFiles;
