//! Finds complete changes of files.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::files::Stamps;

/// Looks at files that are listed again each time.
pub struct Looks {
    every: Duration,
    last: Instant,
    known: Stamps,
    changing: Option<(Stamps, Instant)>,
}

impl Looks {
    pub fn new(every: Duration, files: Vec<PathBuf>) -> Self {
        Self {
            every,
            last: Instant::now(),
            known: Stamps::of(files),
            changing: None,
        }
    }

    /// The files of a complete change, and when it began; `files` lists all where a look is due.
    pub fn changed(
        &mut self,
        files: impl FnOnce() -> Vec<PathBuf>,
    ) -> Option<(BTreeSet<PathBuf>, Instant)> {
        if self.last.elapsed() < self.every {
            return None;
        }
        self.last = Instant::now();
        let now = Stamps::of(files());
        let began = settled(&self.known, now.clone(), &mut self.changing)?;
        let changed = self.known.differing(&now);
        self.known = now;
        Some((changed, began))
    }
}

/// When a change began that is complete: the files differ from the known ones, and are the same in two looks.
pub fn settled(
    known: &Stamps,
    now: Stamps,
    changing: &mut Option<(Stamps, Instant)>,
) -> Option<Instant> {
    if *known == now {
        *changing = None;
        return None;
    }
    match changing.take() {
        Some((before, began)) if before == now => Some(began),
        Some((_, began)) => {
            *changing = Some((now, began));
            None
        }
        None => {
            *changing = Some((now, Instant::now()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_the_files_stay_the_same() {
        let file = std::env::temp_dir().join("bridge-live-nothing");
        let known = Stamps::default();
        let now = Stamps::of([file.clone()]);
        let later = Stamps::of([file, std::env::temp_dir()]);
        let mut changing = None;
        assert_eq!(settled(&known, known.clone(), &mut changing), None);
        assert_eq!(settled(&known, now.clone(), &mut changing), None);
        assert_eq!(settled(&known, later.clone(), &mut changing), None);
        let began = changing.as_ref().unwrap().1;
        assert_eq!(settled(&known, later, &mut changing), Some(began));
        // Taken back before it was complete.
        assert_eq!(settled(&known, now, &mut changing), None);
        assert_eq!(settled(&known, known.clone(), &mut changing), None);
        assert!(changing.is_none());
    }
}
