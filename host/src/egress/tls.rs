//! TLS to origins: which roots are trusted, which protocol is agreed on.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::EgressError;

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What a connection may speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    /// HTTP/2 where the origin wants it, else HTTP/1.1.
    Any,
    Http1,
}

/// The settings of all handshakes. No session is ever resumed: one key's connections stay apart from
/// another's, and each has had its certificate checked.
pub(super) struct Tls {
    any: TlsConnector,
    http1: TlsConnector,
}

impl Tls {
    /// Trusts the machine's roots, and those in the PEM files `ca`.
    pub(super) fn new(ca: &[PathBuf]) -> Result<Self, EgressError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for file in ca {
            add(&mut roots, file).map_err(|reason| EgressError::Ca {
                file: file.clone(),
                reason,
            })?;
        }
        if roots.is_empty() {
            tracing::warn!(
                "no root certificates on this machine: every outbound https call will fail; install ca-certificates"
            );
        }
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring supports the default TLS versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Self {
            any: TlsConnector::from(Arc::new(config)),
            http1,
        })
    }

    /// Shakes hands over `stream` with the holder of a certificate for `host`.
    pub(super) async fn connect(
        &self,
        host: &url::Host,
        stream: TcpStream,
        offer: Offer,
    ) -> std::io::Result<(TlsStream<TcpStream>, Protocol)> {
        let name = match host {
            url::Host::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(std::io::Error::other)?
            }
            url::Host::Ipv4(ip) => ServerName::from(IpAddr::from(*ip)),
            url::Host::Ipv6(ip) => ServerName::from(IpAddr::from(*ip)),
        };
        let connector = match offer {
            Offer::Any => &self.any,
            Offer::Http1 => &self.http1,
        };
        let stream = connector.connect(name, stream).await?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok((stream, protocol))
    }
}

/// Adds every certificate of a PEM file, or says what is wrong with it.
fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let found = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let before = roots.len();
    for certificate in found {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.len() == before {
        return Err("no certificate in it; PEM is expected".to_owned());
    }
    Ok(())
}
