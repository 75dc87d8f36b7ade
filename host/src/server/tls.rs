//! TLS of the listeners: a certificate and its key from files, which may be replaced while it is served.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

/// A certificate with its key, as it was last read.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

/// Not shown: it holds the key.
#[derive(Clone)]
struct Current(TlsAcceptor);

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Current")
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file holds no certificate.
    #[error("{} holds no certificate; PEM is expected, the server's own first and then those above it", .0.display())]
    Empty(PathBuf),
    /// A file cannot be read as PEM.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: pem::Error,
    },
    /// The two do not belong together, or are not understood.
    #[error("the certificate in {} and the key in {} cannot be used together", .certificate.display(), .key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        reason: rustls::Error,
    },
}

impl Tls {
    /// Reads the certificate chain, and the private key that belongs to it, from PEM files.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let current = RwLock::new(read(&certificate, &key)?);
        Ok(Self {
            certificate,
            key,
            current,
        })
    }

    /// Reads both files again, for connections from now on. After an error what was read before is in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        // A whole new configuration: no session is resumed that began under another certificate.
        let read = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The two files: certificate and key.
    #[must_use]
    pub fn files(&self) -> [&Path; 2] {
        [&self.certificate, &self.key]
    }

    /// What accepts a handshake now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.0.clone()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Current, TlsError> {
    let unread = |file: &Path| {
        let file = file.to_owned();
        |reason| TlsError::Read { file, reason }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(unread(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unread(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default TLS versions")
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|reason| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            reason,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Current(TlsAcceptor::from(Arc::new(config))))
}
