//! The certificate authorities that the AWS clients trust.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::environment::Lookup;

/// Variables with the path of a file of trusted roots, in order of precedence.
const FILES: [&str; 2] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];

/// A file without trusted roots.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected trusted roots as PEM in the file `{file}` that `{variable}` names, found {found}"
)]
pub struct RootsError {
    variable: &'static str,
    file: String,
    found: String,
}

/// Roots of a function: Mozilla's list, compiled in as parsed trust anchors, or those in the file that a variable names (for
/// networks that inspect outgoing traffic). Parsing the system's roots would take longer than the rest of a start.
///
/// # Errors
///
/// When the named file holds no roots.
pub fn compiled_in(lookup: Lookup<'_>) -> Result<RootCertStore, RootsError> {
    Ok(named(lookup)?.unwrap_or_else(|| webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()))
}

/// Roots of any other program: the system's, or those in the file that a variable names.
///
/// # Errors
///
/// When the named file holds no roots.
#[cfg(feature = "cli")]
pub fn of_system(lookup: Lookup<'_>) -> Result<RootCertStore, RootsError> {
    Ok(named(lookup)?.unwrap_or_else(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    }))
}

fn named(lookup: Lookup<'_>) -> Result<Option<RootCertStore>, RootsError> {
    let named = FILES.iter().find_map(|&variable| {
        let file = lookup(variable).filter(|file| !file.is_empty())?;
        Some((variable, file))
    });
    let Some((variable, file)) = named else {
        return Ok(None);
    };
    let error = |found| RootsError {
        variable,
        file: file.clone(),
        found,
    };
    let certificates = CertificateDer::pem_file_iter(&file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| error(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    // A bundle may hold certificates in obsolete formats.
    let (read, _) = roots.add_parsable_certificates(certificates);
    match read {
        0 => Err(error("none".to_owned())),
        _ => Ok(Some(roots)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_compiled_in_or_read_from_the_named_file() {
        let roots = compiled_in(&|_| None).unwrap();
        assert_eq!(roots.len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let empty = |_: &str| Some(String::new());
        assert_eq!(compiled_in(&empty).unwrap().len(), roots.len());

        let file = std::env::temp_dir().join(format!("roots-{}.pem", std::process::id()));
        for text in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&file, text).unwrap();
            for variable in FILES {
                let set = |name: &str| (name == variable).then(|| file.display().to_string());
                let found = [
                    compiled_in(&set),
                    #[cfg(feature = "cli")]
                    of_system(&set),
                ];
                for error in found.map(Result::unwrap_err) {
                    let error = error.to_string();
                    assert!(
                        error.contains(variable) && error.ends_with("found none"),
                        "{error}"
                    );
                }
            }
        }
        std::fs::remove_file(&file).unwrap();
        let set = |name: &str| (name == "AWS_CA_BUNDLE").then(|| file.display().to_string());
        let error = compiled_in(&set).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
