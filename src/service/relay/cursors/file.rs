//! Cursors in a file, for a relay on a host of its own.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::super::TopicName;
use super::super::track::Cursor;
use super::CursorStore;
use crate::domain::fault::Fault;
use crate::domain::ports::Answer;

/// Version of the file's format.
const VERSION: u32 = 1;

/// One JSON file, replaced atomically. A lock file beside it, `<name>.lock`, keeps a second relay out.
pub struct FileStore(Arc<Shared>);

struct Shared {
    path: PathBuf,
    /// The file's cursors, including topics of earlier runs.
    kept: Mutex<BTreeMap<TopicName, Cursor>>,
    _lock: File,
}

#[derive(Deserialize, Serialize)]
struct Document {
    version: u32,
    cursors: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    cache: String,
    topic: String,
    page: u64,
    next: u64,
}

impl FileStore {
    /// Opens a file; the first save writes it.
    ///
    /// # Errors
    ///
    /// When another relay uses it, its content is invalid, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let place = path.display();
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).with_context(|| {
                format!(
                    "cannot make the folder of the cursors, `{}`; name another file with `--state`",
                    folder.display()
                )
            })?;
        }
        let lock = File::create(beside(path, "lock")).with_context(|| {
            format!("cannot write beside `{place}`, where the cursors are kept; name another file with `--state`")
        })?;
        if lock.try_lock().is_err() {
            bail!(
                "expected cursors of its own in `{place}`, found another relay that uses them; name another file with `--state`"
            );
        }
        let kept = match fs::read(path) {
            Ok(bytes) => read(&bytes).with_context(|| {
                format!("expected cursors in `{place}`, found something else; mend the file, or delete it, and messages from now on are relayed")
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read the cursors in `{place}`"));
            }
        };
        Ok(Self(Arc::new(Shared {
            path: path.to_owned(),
            kept: Mutex::new(kept),
            _lock: lock,
        })))
    }
}

fn read(bytes: &[u8]) -> Result<BTreeMap<TopicName, Cursor>> {
    let document: Document = serde_json::from_slice(bytes)?;
    if document.version != VERSION {
        bail!("expected version {VERSION}, found {}", document.version);
    }
    let entries = document.cursors.into_iter().map(|entry| {
        let topic = TopicName {
            cache: entry.cache,
            topic: entry.topic,
        };
        let cursor = Cursor {
            page: entry.page,
            next: entry.next,
        };
        (topic, cursor)
    });
    Ok(entries.collect())
}

/// `path` with `.ending` appended.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

impl CursorStore for FileStore {
    fn load<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, HashMap<TopicName, Cursor>> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = topics
            .iter()
            .filter_map(|topic| Some((topic.clone(), *kept.get(topic)?)));
        let found = found.collect();
        Box::pin(async { Ok(found) })
    }

    fn save<'a>(&'a self, changed: &'a BTreeMap<TopicName, Cursor>) -> Answer<'a, ()> {
        let shared = self.0.clone();
        let changed = changed.clone();
        Box::pin(async move {
            let saved = tokio::task::spawn_blocking(move || shared.save(changed)).await;
            let saved = saved.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            saved.map_err(|error| Fault::transient("CannotWrite", error.to_string()))
        })
    }
}

impl Shared {
    /// Writes all cursors to a new file and renames it over the old one: a crash leaves one or the other.
    fn save(&self, changed: BTreeMap<TopicName, Cursor>) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(changed);
        let document = Document {
            version: VERSION,
            cursors: kept
                .iter()
                .map(|(name, cursor)| Entry {
                    cache: name.cache.clone(),
                    topic: name.topic.clone(),
                    page: cursor.page,
                    next: cursor.next,
                })
                .collect(),
        };
        let new = beside(&self.path, "new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&document)?)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)
    }
}
