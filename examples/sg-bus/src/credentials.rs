//! Who may talk to whom: certificates for the server's name, and a token for the agents.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use subtle::ConstantTimeEq;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::input::BadInput;

/// What all agents of a server share. Compared in constant time, never printed.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    const LEN: std::ops::RangeInclusive<usize> = 16..=128;

    /// A token of 16 to 128 printable characters.
    ///
    /// # Errors
    /// [`BadInput`] for any other.
    pub fn new(text: &str) -> Result<Self, BadInput> {
        let text = text.trim();
        if Self::LEN.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(BadInput("a token has 16 to 128 printable characters without spaces".into()))
        }
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("token {}", path.display()))?;
        Self::new(&text).with_context(|| format!("token {}", path.display()))
    }

    /// The token as text, for the wire.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes as long for a near miss as for a far one.
    pub(crate) fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Freshly made: an authority, a server's certificate by it, and a token.
#[derive(Debug)]
pub struct Made {
    /// PEM, for agents: whom to trust.
    pub authority: String,
    /// PEM, for the server.
    pub certificate: String,
    /// PEM, for the server alone.
    pub key: String,
    /// For both, and nobody else.
    pub token: String,
}

impl Made {
    /// Makes all of it for a server that is reached by these names or addresses.
    ///
    /// # Errors
    /// [`BadInput`] for a name that no certificate can have.
    pub fn new(names: &[String]) -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = named("sg-bus authority", Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let certificate = named("sg-bus server", names.to_vec())?.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: authority_certificate.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            token: random_token()?,
        })
    }

    /// Writes `ca.pem`, `server.pem`, `server.key` and `token`; the last two for the owner alone.
    ///
    /// # Errors
    /// If a file exists already or cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let files = [
            ("ca.pem", &self.authority, 0o644),
            ("server.pem", &self.certificate, 0o644),
            ("server.key", &self.key, 0o600),
            ("token", &self.token, 0o600),
        ];
        for (name, text, mode) in files {
            let path = folder.join(name);
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

fn named(common_name: &str, names: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(|error| BadInput(error.to_string()))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| anyhow!("no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// TLS 1.3 with this certificate and key, both PEM.
///
/// # Errors
/// [`BadInput`] if they are not readable or do not belong together.
pub fn acceptor(certificate: &[u8], key: &[u8]) -> Result<TlsAcceptor> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| BadInput(format!("key: {error}")))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| BadInput(format!("certificate and key: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// TLS 1.3 towards servers whose certificate, name included, these authorities vouch for (PEM).
///
/// # Errors
/// [`BadInput`] if they are not readable.
pub fn connector(authorities: &[u8]) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|error| BadInput(format!("authority: {error}")))?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| BadInput(format!("certificate: {error}")))?;
    if read.is_empty() { Err(BadInput("no certificate in the file".into()).into()) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_is_the_same() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0"] {
            assert!(!token.is(other), "{other}");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn short_and_strange_tokens_are_refused() {
        for text in ["", "short", "with a space in it", &"x".repeat(129), "line\nbreak-in-the-middle"] {
            assert!(Token::new(text).is_err(), "{text}");
        }
        assert!(Token::new("  trailing-newline-is-fine\n").is_ok());
    }

    #[test]
    fn secrets_are_for_their_owner_and_nothing_is_overwritten() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let made = Made::new(&["localhost".into(), "127.0.0.1".into()]).unwrap();
        made.write(folder.path()).unwrap();
        for (name, mode) in [("server.key", 0o600), ("token", 0o600), ("ca.pem", 0o644)] {
            assert_eq!(folder.path().join(name).metadata().unwrap().mode() & 0o777, mode, "{name}");
        }
        assert!(made.write(folder.path()).is_err());
        assert!(acceptor(made.certificate.as_bytes(), made.key.as_bytes()).is_ok());
        assert!(acceptor(made.certificate.as_bytes(), b"nonsense").is_err());
        assert!(connector(b"nonsense").is_err());
    }
}
