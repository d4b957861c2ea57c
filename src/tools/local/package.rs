//! Lambda deployment packages: zip archives.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use walkdir::{DirEntry, WalkDir};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Lambda's limit for an unpacked package with its layers.
const MAX_BYTES: u64 = 250 * 1024 * 1024;

/// Files that `sam build` leaves out, and those that tools put beside sources.
const LEFT_OUT: [&str; 8] = [
    ".aws-sam",
    ".chalice",
    ".git",
    ".gitignore",
    ".venv",
    ".workflow-bridge",
    "__pycache__",
    "node_modules/.cache",
];

/// A package, named by its content.
#[derive(Debug)]
pub struct Package {
    /// `<16 hex digits of the SHA-256>.zip`: the same content has the same key.
    pub key: String,
    pub zip: Vec<u8>,
}

/// Packs the program at `path` for `provided.al2023`: one executable file `bootstrap`.
pub fn pack(path: &Path) -> Result<Package> {
    let program = std::fs::read(path)
        .with_context(|| format!("cannot read the Lambda binary `{}`", path.display()))?;
    let mut archive = Archive::default();
    archive.add("bootstrap", &program, 0o755)?;
    archive.finish()
}

/// Packs the files below some folders, each under a prefix such as `node_modules/`. Of two files with one name the first one
/// counts.
pub fn pack_folders(folders: &[(&Path, &str)]) -> Result<Package> {
    let mut archive = Archive::default();
    let mut names = std::collections::BTreeSet::new();
    for (folder, prefix) in folders {
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        let walk = walk
            .into_iter()
            .filter_entry(|entry| !is_left_out(entry, folder));
        for entry in walk {
            let entry = entry.with_context(|| format!("cannot list `{}`", folder.display()))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap_or(path);
            let name = format!("{prefix}{}", name.to_string_lossy());
            let read = || format!("cannot read `{}`", path.display());
            let metadata = entry.metadata().with_context(read)?;
            archive.bytes += metadata.len();
            if archive.bytes > MAX_BYTES {
                bail!(
                    "expected at most 250 MB in `{}`, as Lambda allows for an unpacked package, found more: point `CodeUri` to a folder with nothing else",
                    folder.display()
                );
            }
            if names.insert(name.clone()) {
                archive.add(
                    &name,
                    &std::fs::read(path).with_context(read)?,
                    mode(&metadata),
                )?;
            }
        }
    }
    archive.finish()
}

/// The files below a folder that are packed, without installed packages of Node.js.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let walk = WalkDir::new(folder).follow_links(true).into_iter();
    let walk = walk
        .filter_entry(|entry| !is_left_out(entry, folder) && entry.file_name() != "node_modules");
    // A folder that vanishes meanwhile has no files.
    let files = walk.filter_map(|entry| entry.ok().filter(|entry| entry.file_type().is_file()));
    files.map(DirEntry::into_path).collect()
}

/// An archive as it is.
pub fn archive(path: &Path) -> Result<Package> {
    let zip = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Package::new(zip))
}

fn is_left_out(entry: &DirEntry, folder: &Path) -> bool {
    let name = entry.path().strip_prefix(folder);
    name.is_ok_and(|name| LEFT_OUT.iter().any(|left| name.ends_with(left)))
        || entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "pyc")
}

fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    // Lambda needs files that all can read.
    metadata.permissions().mode() & 0o755 | 0o444
}

/// A package in a file.
#[derive(Clone, Debug)]
pub struct Stored {
    pub key: String,
    file: PathBuf,
}

impl Stored {
    /// Its archive.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub async fn zip(&self) -> Result<Vec<u8>> {
        let read = || format!("cannot read the package `{}`", self.file.display());
        tokio::fs::read(&self.file).await.with_context(read)
    }
}

impl Package {
    /// Moves it into a file of this folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn stored(self, folder: &Path) -> Result<Stored> {
        let file = folder.join(&self.key);
        let write = || format!("cannot write the package `{}`", file.display());
        std::fs::write(&file, &self.zip).with_context(write)?;
        Ok(Stored {
            key: self.key,
            file,
        })
    }

    fn new(zip: Vec<u8>) -> Self {
        let digest = digest(&SHA256, &zip);
        let name = hex::encode(&digest.as_ref()[..8]);
        let key = format!("{name}.zip");
        Self { key, zip }
    }
}

/// A growing archive. Its entries are stored: compressing a debug build takes longer than the emulator needs for the larger file.
struct Archive {
    writer: ZipWriter<Cursor<Vec<u8>>>,
    bytes: u64,
}

impl Default for Archive {
    fn default() -> Self {
        let writer = ZipWriter::new(Cursor::new(Vec::new()));
        Self { writer, bytes: 0 }
    }
}

impl Archive {
    fn add(&mut self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(mode);
        self.writer.start_file(name, options)?;
        Ok(self.writer.write_all(content)?)
    }

    fn finish(self) -> Result<Package> {
        Ok(Package::new(self.writer.finish()?.into_inner()))
    }
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

    #[test]
    fn a_package_of_folders_has_their_files_and_no_leftovers() {
        let scratch = Scratch::new();
        let (code, more) = (scratch.path().join("code"), scratch.path().join("more"));
        let write = |path: std::path::PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(code.join("src/app.py"), "own");
        write(code.join("six.py"), "own");
        for left in [
            ".git/HEAD",
            "__pycache__/a.pyc",
            "src/b.pyc",
            ".venv/x",
            ".workflow-bridge/clone",
        ] {
            write(code.join(left), "x");
        }
        write(more.join("six.py"), "other");
        write(more.join("a/b.js"), "more");
        std::os::unix::fs::symlink(more.join("a/b.js"), code.join("link.js")).unwrap();
        let folders = [
            (code.as_path(), ""),
            (more.as_path(), ""),
            (more.as_path(), "node_modules/"),
        ];
        let package = pack_folders(&folders).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(&package.zip)).unwrap();
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            assert_eq!(file.unix_mode().unwrap() & 0o444, 0o444);
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            let name = file.name().unwrap().into_owned();
            files.push(format!("{name} {text}"));
        }
        assert_eq!(
            files,
            [
                "link.js more",
                "six.py own",
                "src/app.py own",
                "a/b.js more",
                "node_modules/a/b.js more",
                "node_modules/six.py other"
            ]
        );
        assert_eq!(pack_folders(&folders).unwrap().key, package.key);
        write(code.join("src/app.py"), "changed");
        assert_ne!(pack_folders(&folders).unwrap().key, package.key);

        std::os::unix::fs::symlink(&code, code.join("src/circle")).unwrap();
        let error = format!("{:#}", pack_folders(&folders).unwrap_err());
        assert!(error.contains("circle"), "{error}");
        std::fs::remove_file(code.join("src/circle")).unwrap();
        let large = std::fs::File::create(code.join("large")).unwrap();
        large.set_len(MAX_BYTES).unwrap();
        let error = pack_folders(&folders).unwrap_err().to_string();
        assert!(error.contains("250 MB"), "{error}");
    }
}
