//! Where in a topic the relay is, and what is missing: the arithmetic of sequence numbers, without any I/O.
//!
//! Momento numbers the messages of a topic one by one within a *page*, and begins a new page when the topic was idle or
//! moved. Whether a subscription skipped messages shows in a discontinuity or in a number that jumps; both mean the same here.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A place in a topic: the message that is wanted next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cursor {
    /// The run of numbers it belongs to; 0 for the one that is current.
    pub page: u64,
    /// The sequence number of the message wanted next.
    pub next: u64,
}

/// Messages that Momento did not give the relay: all from `from` on, up to but without `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub from: Cursor,
    pub until: Cursor,
    /// How many messages that are, at least.
    pub missed: u64,
    /// Whether `missed` is the whole number: across pages, nobody knows where the older one ended.
    pub exact: bool,
}

/// What a message means for the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has to be delivered.
    New,
    /// It was given before: a subscription may repeat the last one.
    Repeated,
}

/// The gaps that are remembered, to tell a message that comes late from one that comes again.
const REMEMBERED_GAPS: usize = 16;

/// Follows one topic.
#[derive(Debug, Default)]
pub struct Track {
    next: Option<Cursor>,
    /// The number behind which messages go on, as Momento last said, until one of them shows what is missing.
    behind: Option<Cursor>,
    /// Whether something may have gone unseen since the last message, because there was no subscription.
    away: bool,
    /// Whether Momento had nothing to send after the last message: else a new page may have cost what was under way.
    idle: bool,
    /// Recent gaps of the page, of which single messages may come late: topics promise no order.
    missing: VecDeque<Range<u64>>,
}

impl Track {
    /// From a cursor of an earlier run, or from the next message on.
    pub fn new(next: Option<Cursor>) -> Self {
        Self {
            next,
            away: true,
            ..Self::default()
        }
    }

    /// Where a subscription has to begin, and what is done when everything seen so far is.
    pub fn next(&self) -> Option<Cursor> {
        self.next
    }

    /// What is before was never wanted.
    pub fn begin(&mut self, at: Cursor) {
        self.next = Some(at);
    }

    /// There is no subscription any more.
    pub fn lost(&mut self) {
        self.away = true;
    }

    /// Momento has nothing to send but that it lives. A gap that it announced will not show by a message soon.
    pub fn idle(&mut self) -> Option<Gap> {
        let gap = self.announced();
        self.idle = true;
        gap
    }

    /// A message came. A gap lies before it.
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
        // Momento goes back where a number was asked for that it never reached.
        if number < next.next && !goes_on {
            return (None, self.late(number));
        }
        let gap = self.skip(next, here);
        self.next = Some(after);
        (gap, Seen::New)
    }

    /// Momento says that messages go on behind `last` of `page`. What is missing shows with the next one, be it the one behind
    /// `last` or, as some servers count, `last` itself.
    pub fn discontinuity(&mut self, page: u64, last: u64) {
        match self.wanted(page) {
            None => {
                if last == 0 {
                    // Where nothing was published yet, the first number may be 0.
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

    /// The gap that Momento announced, as far as it shows without a message.
    fn announced(&mut self) -> Option<Gap> {
        let (next, last) = (self.next?, self.behind?);
        let here = Cursor {
            next: last.next.saturating_add(1),
            ..last
        };
        let gap = if next.page != last.page {
            let unsure = self.unsure();
            let gap = self.turn(next, last, unsure);
            // It may still come.
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

    /// What is wanted, with the page that is current where none was named.
    fn wanted(&mut self, page: u64) -> Option<Cursor> {
        let next = self.next.as_mut()?;
        if next.page == 0 {
            next.page = page;
        }
        Some(*next)
    }

    /// Messages of one page that did not come.
    fn skip(&mut self, next: Cursor, here: Cursor) -> Option<Gap> {
        let missed = here.next.checked_sub(next.next).filter(|&n| n > 0)?;
        if self.missing.len() == REMEMBERED_GAPS {
            self.missing.pop_front();
        }
        self.missing.push_back(next.next..here.next);
        // The first number of a page is 0 or 1; nothing says which.
        (here.next > 1).then_some(Gap {
            from: next,
            until: here,
            missed,
            exact: true,
        })
    }

    /// Whether something may have come after the last message that was not given.
    fn unsure(&mut self) -> bool {
        let (away, idle) = (
            std::mem::take(&mut self.away),
            std::mem::take(&mut self.idle),
        );
        away || !idle
    }

    /// A new page. Nothing is missing if nothing was under way before it, unless its first messages are.
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
