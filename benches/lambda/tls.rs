//! A certificate authority for one run, and the endpoint's certificate.
//!
//! Each function trusts it by its own variable. Functions that read the system's roots at their start get a file with the
//! system's roots and this one (`SSL_CERT_FILE`), so that the figures include reading them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Files of the system's trusted roots.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Extensions of the endpoint's certificate.
const EXTENSIONS: &str =
    "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";

/// The authority, and the endpoint's certificate that it signs.
const MAKE: [&str; 3] = [
    "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout ca.key -out ca.pem -subj /CN=benchmark",
    "req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout endpoint.key -out endpoint.csr -subj /CN=localhost",
    "x509 -req -in endpoint.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile endpoint.ext -out endpoint.pem",
];

pub struct Authority {
    pub acceptor: TlsAcceptor,
    /// Its certificate, for functions that add it to their compiled-in roots, or replace them.
    pub own_root: PathBuf,
    /// The system's roots and its own, for functions that read the system's.
    pub all_roots: PathBuf,
}

impl Authority {
    /// `None`, with a note, if there is no `openssl` to make one.
    pub fn create(folder: &Path) -> Result<Option<Self>> {
        if !is_there() {
            eprintln!("`openssl` is not on the PATH: TLS is left out; install it");
            return Ok(None);
        }
        let folder = folder.join("tls");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("endpoint.ext"), EXTENSIONS)?;
        for arguments in MAKE {
            openssl(&folder, arguments)?;
        }
        let system = SYSTEM_ROOTS.iter().find_map(|file| fs::read(file).ok());
        let mut roots = system.unwrap_or_else(|| {
            eprintln!(
                "found no file with the system's trusted roots: reading them is not measured"
            );
            Vec::new()
        });
        roots.extend(fs::read(folder.join("ca.pem"))?);
        fs::write(folder.join("roots.pem"), roots)?;
        Ok(Some(Self {
            acceptor: acceptor(&folder)?,
            own_root: folder.join("ca.pem"),
            all_roots: folder.join("roots.pem"),
        }))
    }
}

fn is_there() -> bool {
    let version = Command::new("openssl").arg("version").output();
    version.is_ok_and(|output| output.status.success())
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()?;
    ensure!(
        output.status.success(),
        "`openssl {arguments}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn acceptor(folder: &Path) -> Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(folder.join("endpoint.pem"))
        .context("cannot read the endpoint's certificate")?;
    let key = PrivateKeyDer::from_pem_file(folder.join("endpoint.key"))
        .context("cannot read the endpoint's key")?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
