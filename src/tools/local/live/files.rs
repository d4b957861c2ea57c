//! Watches files by polling: it sees every way to write one (in place, by a rename over it, by the checkout of a branch), on
//! every file system, and misses none after a folder was replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::tools::local::package;

/// What changes with each write: time, size and inode; none for a missing file.
type Stamp = Option<(i64, i64, u64, u64)>;

/// The stamps of files at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps(BTreeMap<PathBuf, Stamp>);

impl Stamps {
    /// The stamps now.
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamped = files.into_iter().map(|file| (stamp(&file), file));
        Self(stamped.map(|(stamp, file)| (file, stamp)).collect())
    }

    /// The stamps of the same files now.
    pub fn again(&self) -> Self {
        Self::of(self.0.keys().cloned())
    }

    /// The files that differ, in either.
    pub fn differing(&self, other: &Self) -> BTreeSet<PathBuf> {
        let files = self.0.keys().chain(other.0.keys());
        let differ = files.filter(|file| self.0.get(*file) != other.0.get(*file));
        differ.cloned().collect()
    }
}

fn stamp(file: &Path) -> Stamp {
    let found = fs::metadata(file).ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
}

/// The Rust sources of a crate: its manifest, its lock file and all below `src`.
pub fn sources(root: &Path) -> Vec<PathBuf> {
    let manifest = ["Cargo.toml", "Cargo.lock"].map(|name| root.join(name));
    let sources = package::files(&root.join("src"));
    manifest.into_iter().chain(sources).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch::Scratch;

    #[test]
    fn every_way_to_write_a_file_is_seen() {
        let scratch = Scratch::new();
        let file = |name: &str| scratch.path().join(name);
        fs::create_dir(file("below")).unwrap();
        let watched = [file("a"), file("below/b")];
        fs::write(&watched[0], "1").unwrap();
        type Write = fn(&Path);
        let write: [(&str, usize, Write); 5] = [
            ("in place", 0, |folder| {
                fs::write(folder.join("a"), "22").unwrap()
            }),
            ("by a rename over it", 0, |folder| {
                fs::write(folder.join(".a.swp"), "33").unwrap();
                fs::rename(folder.join(".a.swp"), folder.join("a")).unwrap();
            }),
            ("new", 1, |folder| {
                fs::write(folder.join("below/b"), "1").unwrap()
            }),
            ("with its folder removed", 1, |folder| {
                fs::remove_dir_all(folder.join("below")).unwrap();
            }),
            ("with its folder made anew", 1, |folder| {
                fs::create_dir(folder.join("below")).unwrap();
                fs::write(folder.join("below/b"), "1").unwrap();
            }),
        ];
        let mut before = Stamps::of(watched.clone());
        for (way, which, write) in write {
            assert_eq!(before.again(), before);
            write(scratch.path());
            let now = before.again();
            let differing: Vec<_> = before.differing(&now).into_iter().collect();
            assert_eq!(differing, [watched[which].clone()], "{way}");
            before = now;
        }
    }

    #[test]
    fn the_sources_of_a_crate_are_its_manifest_and_all_of_src() {
        let found = sources(Path::new(env!("CARGO_MANIFEST_DIR")));
        for name in ["Cargo.toml", "src/lib.rs", "src/bin/bridge/main.rs"] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            assert!(found.contains(&file), "{name}");
        }
    }
}
