//! The relay's position in a topic, and its gaps: the arithmetic of sequence numbers, without I/O.
//!
//! Momento numbers the messages of a topic one by one within a *page*, and begins a new page when the topic was idle or
//! moved. Skipped messages show in a discontinuity or in a skipped number; both mean the same here.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A position in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cursor {
    /// The page of the number; 0 for the current page.
    pub page: u64,
    /// The sequence number of the next message.
    pub next: u64,
}

/// Messages that Momento did not deliver: from `from` up to, but excluding, `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub from: Cursor,
    pub until: Cursor,
    /// The number of missing messages, at least.
    pub missed: u64,
    /// Whether `missed` is exact. Across pages it is not: the end of the older page is unknown.
    pub exact: bool,
}

/// Whether a message is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// To be delivered.
    New,
    /// Received before: a subscription may repeat the last message.
    Repeated,
}

/// Remembered gaps, which separate late messages from repeated ones.
const REMEMBERED_GAPS: usize = 16;

/// The position in one topic, moved by what its subscription delivers.
#[derive(Debug, Default)]
pub struct Track {
    next: Option<Cursor>,
    /// The last discontinuity, until a message shows its gap: messages continue after this number.
    behind: Option<Cursor>,
    /// Whether messages may have passed unseen since the last one, without a subscription.
    away: bool,
    /// Whether a heartbeat followed the last message. Without one, a new page may have lost messages under way.
    idle: bool,
    /// Recent gaps of the page. Their messages may come late: topics promise no order.
    missing: VecDeque<Range<u64>>,
}

impl Track {
    /// Begins at a cursor of an earlier run, or at the next message.
    pub fn new(next: Option<Cursor>) -> Self {
        Self {
            next,
            away: true,
            ..Self::default()
        }
    }

    /// Where the next subscription begins, and the cursor once everything seen so far is done.
    pub fn next(&self) -> Option<Cursor> {
        self.next
    }

    /// Begins at `at`; earlier messages are skipped.
    pub fn begin(&mut self, at: Cursor) {
        self.next = Some(at);
    }

    /// The subscription ended.
    pub fn lost(&mut self) {
        self.away = true;
    }

    /// Takes a heartbeat. Returns an announced gap, which no message will show soon.
    pub fn heartbeat(&mut self) -> Option<Gap> {
        let gap = self.announced();
        self.idle = true;
        gap
    }

    /// Takes a message. Returns the gap before it.
    pub fn message(&mut self, page: u64, number: u64) -> (Option<Gap>, Seen) {
        let unsure = self.unsure();
        let here = Cursor { page, next: number };
        let after = Cursor {
            page,
            next: number.saturating_add(1),
        };
        let Some(next) = self.wanted(page) else {
            self.next = Some(after);
            return (None, Seen::New);
        };
        let on = |behind: &mut Cursor| behind.page != page || number >= behind.next;
        let goes_on = self.behind.take_if(on).is_some();
        if next.page != page {
            let gap = self.turn(next, here, unsure);
            self.next = Some(after);
            return (gap, Seen::New);
        }
        // Momento goes back after a subscription from beyond the end.
        if number < next.next && !goes_on {
            return (None, self.late(number));
        }
        let gap = self.skip(next, here);
        self.next = Some(after);
        (gap, Seen::New)
    }

    /// Takes a discontinuity: messages continue after `last` of `page`. The next message shows the gap: the one after `last`
    /// or, as some servers count, `last` itself.
    pub fn discontinuity(&mut self, page: u64, last: u64) {
        match self.wanted(page) {
            None => {
                if last == 0 {
                    // On an empty topic, the first number may be 0.
                    self.missing.push_back(0..1);
                }
                self.begin(Cursor {
                    page,
                    next: last.saturating_add(1),
                });
            }
            Some(_) => self.behind = Some(Cursor { page, next: last }),
        }
    }

    /// The announced gap, as far as it shows without a message.
    fn announced(&mut self) -> Option<Gap> {
        let (next, last) = (self.next?, self.behind?);
        let here = Cursor {
            next: last.next.saturating_add(1),
            ..last
        };
        let gap = if next.page != last.page {
            let unsure = self.unsure();
            let gap = self.turn(next, last, unsure);
            // Message `last` may still come.
            self.missing.push_back(last.next..here.next);
            gap.map(|gap| Gap { until: here, ..gap })
        } else if here.next > next.next {
            self.skip(next, here)
        } else {
            return None;
        };
        self.behind = None;
        self.next = Some(here);
        gap
    }

    /// The next position; `page` replaces page 0, the current one.
    fn wanted(&mut self, page: u64) -> Option<Cursor> {
        let next = self.next.as_mut()?;
        if next.page == 0 {
            next.page = page;
        }
        Some(*next)
    }

    /// The gap between two positions of one page.
    fn skip(&mut self, next: Cursor, here: Cursor) -> Option<Gap> {
        let missed = here.next.checked_sub(next.next).filter(|&n| n > 0)?;
        if self.missing.len() == REMEMBERED_GAPS {
            self.missing.pop_front();
        }
        self.missing.push_back(next.next..here.next);
        // A page may begin with 0 or 1.
        (here.next > 1).then_some(Gap {
            from: next,
            until: here,
            missed,
            exact: true,
        })
    }

    /// Whether messages may have followed the last one unseen.
    fn unsure(&mut self) -> bool {
        let (away, idle) = (
            std::mem::take(&mut self.away),
            std::mem::take(&mut self.idle),
        );
        away || !idle
    }

    /// The gap before a new page: if messages may have been under way before it, or if its first messages are missing.
    fn turn(&mut self, next: Cursor, here: Cursor, unsure: bool) -> Option<Gap> {
        self.missing.clear();
        let missed = here.next.saturating_sub(1);
        (unsure || missed > 0).then_some(Gap {
            from: next,
            until: here,
            missed,
            exact: false,
        })
    }

    fn late(&mut self, number: u64) -> Seen {
        let Some(at) = self.missing.iter().position(|gap| gap.contains(&number)) else {
            return Seen::Repeated;
        };
        if let Some(gap) = self.missing.remove(at) {
            let parts = [gap.start..number, number + 1..gap.end];
            self.missing
                .extend(parts.into_iter().filter(|part| !part.is_empty()));
        }
        Seen::New
    }
}

#[cfg(test)]
mod tests;
