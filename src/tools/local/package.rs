//! Lambda deployment packages: a binary in a zip archive under the name `bootstrap`.

use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::{Context, Result};
use ring::digest::{SHA256, digest};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// A package, named by its content.
#[derive(Debug)]
pub struct Package {
    /// `<16 hex digits of the SHA-256>.zip`: the same binary has the same key.
    pub key: String,
    pub zip: Vec<u8>,
}

/// Packs the program at `path` for `provided.al2023`: one executable file `bootstrap`.
///
/// The entry is stored: compressing a debug build takes longer than the emulator needs for the larger file.
pub fn pack(path: &Path) -> Result<Package> {
    let program = std::fs::read(path)
        .with_context(|| format!("cannot read the Lambda binary `{}`", path.display()))?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options)?;
    writer.write_all(&program)?;
    let zip = writer.finish()?.into_inner();
    let digest = digest(&SHA256, &program);
    let name = hex::encode(&digest.as_ref()[..8]);
    Ok(Package {
        key: format!("{name}.zip"),
        zip,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::testing::scratch::Scratch;

    #[test]
    fn a_package_holds_one_executable_bootstrap() {
        let scratch = Scratch::new();
        let program = scratch.path().join("webhook");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let package = pack(&program).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(&package.zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "#!/bin/sh\n");
        drop(file);

        assert_eq!(pack(&program).unwrap().key, package.key);
        std::fs::write(&program, "#!/bin/bash\n").unwrap();
        assert_ne!(pack(&program).unwrap().key, package.key);
        let missing = pack(&scratch.path().join("nothing"))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("nothing"), "{missing}");
    }
}
