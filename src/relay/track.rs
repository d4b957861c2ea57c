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
            idle: false,
            missing: VecDeque::new(),
        }
    }

    /// Where a subscription has to begin, and what is done when everything seen so far is.
    pub fn next(&self) -> Option<Cursor> {
        self.next
    }

    /// There is no subscription any more.
    pub fn lost(&mut self) {
        self.away = true;
    }

    /// Momento has nothing to send but that it lives.
    pub fn idle(&mut self) {
        self.idle = true;
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
        if next.page != page {
            let gap = self.turn(next, here, unsure);
            self.next = Some(after);
            return (gap, Seen::New);
        }
        if number < next.next {
            return (None, self.late(number));
        }
        let gap = self.skip(next, here);
        self.next = Some(after);
        (gap, Seen::New)
    }

    /// Momento says that messages go on at `number` of `page`.
    pub fn discontinuity(&mut self, page: u64, number: u64) -> Option<Gap> {
        let unsure = self.unsure();
        let here = Cursor { page, next: number };
        let gap = match self.wanted(page) {
            None => None,
            Some(next) if next.page != page => self.turn(next, here, unsure),
            // It may name a number that was seen already. What is repeated then does no harm; what is not would be lost.
            Some(next) => self.skip(next, here),
        };
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
        Some(Gap {
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
        // The first number of a page is 0 or 1; nobody says which.
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(page: u64, next: u64) -> Cursor {
        Cursor { page, next }
    }

    fn gap(from: Cursor, until: Cursor, missed: u64, exact: bool) -> Option<Gap> {
        Some(Gap {
            from,
            until,
            missed,
            exact,
        })
    }

    #[test]
    fn without_a_cursor_everything_from_now_on_is_wanted() {
        let mut track = Track::new(None);
        assert_eq!(track.message(7, 41), (None, Seen::New));
        assert_eq!(track.next(), Some(at(7, 42)));
        let mut track = Track::new(None);
        assert_eq!(track.discontinuity(7, 41), None);
        assert_eq!(track.next(), Some(at(7, 41)));
        assert_eq!(track.message(7, 41), (None, Seen::New));
    }

    #[test]
    fn a_number_that_jumps_is_a_gap_whoever_says_so() {
        let mut track = Track::new(Some(at(7, 5)));
        assert_eq!(
            track.message(7, 9),
            (gap(at(7, 5), at(7, 9), 4, true), Seen::New)
        );
        assert_eq!(
            track.discontinuity(7, 12),
            gap(at(7, 10), at(7, 12), 2, true)
        );
        assert_eq!(track.message(7, 12), (None, Seen::New));
        // The word of it may be off by one: the rest shows with the message.
        assert_eq!(
            track.discontinuity(7, 15),
            gap(at(7, 13), at(7, 15), 2, true)
        );
        assert_eq!(
            track.message(7, 16),
            (gap(at(7, 15), at(7, 16), 1, true), Seen::New)
        );
    }

    #[test]
    fn what_comes_again_is_known_and_what_comes_late_is_delivered() {
        let mut track = Track::new(Some(at(7, 5)));
        assert_eq!(track.message(7, 4), (None, Seen::Repeated));
        track.message(7, 9);
        assert_eq!(track.message(7, 6), (None, Seen::New));
        assert_eq!(track.message(7, 6), (None, Seen::Repeated));
        assert_eq!(track.message(7, 5), (None, Seen::New));
        assert_eq!(track.message(7, 9), (None, Seen::Repeated));
        assert_eq!(track.next(), Some(at(7, 10)));
    }

    #[test]
    fn a_new_page_is_a_gap_when_something_can_be_missing() {
        // Seen while nothing else happened.
        let mut track = Track::new(Some(at(7, 5)));
        track.message(7, 5);
        track.idle();
        assert_eq!(track.message(9, 1), (None, Seen::New));
        track.idle();
        assert_eq!(track.discontinuity(11, 0), None);
        track.idle();
        assert_eq!(
            track.discontinuity(12, 3),
            gap(at(11, 0), at(12, 3), 2, false)
        );
        // Right behind a message, behind which more may have been.
        track.message(12, 3);
        track.idle();
        track.message(12, 4);
        assert_eq!(
            track.discontinuity(13, 0),
            gap(at(12, 5), at(13, 0), 0, false)
        );
        // Happened meanwhile; that the next subscription lives says nothing of it.
        track.idle();
        track.lost();
        track.idle();
        assert_eq!(
            track.message(14, 0),
            (gap(at(13, 0), at(14, 0), 0, false), Seen::New)
        );
        let mut track = Track::new(Some(at(7, 5)));
        assert_eq!(track.discontinuity(8, 0), gap(at(7, 5), at(8, 0), 0, false));
    }

    #[test]
    fn a_number_on_the_current_page_can_be_asked_for() {
        let mut track = Track::new(Some(at(0, 5)));
        assert_eq!(track.discontinuity(7, 5), None);
        assert_eq!(track.message(7, 5), (None, Seen::New));
        let mut track = Track::new(Some(at(0, 5)));
        assert_eq!(track.discontinuity(7, 8), gap(at(7, 5), at(7, 8), 3, true));
        // One that was never reached: the server goes on at the end.
        let mut track = Track::new(Some(at(0, 50)));
        assert_eq!(track.discontinuity(7, 8), None);
        assert_eq!(track.message(7, 8), (None, Seen::New));
    }

    proptest! {
        /// Whatever comes, every number of a page was either given on or is in a gap.
        #[test]
        fn delivered_and_missing_make_the_whole(numbers in proptest::collection::vec(0u64..60, 1..80)) {
            let mut track = Track::new(Some(at(7, 0)));
            let mut accounted = std::collections::BTreeSet::new();
            for number in numbers {
                let (gap, seen) = track.message(7, number);
                if let Some(gap) = gap {
                    prop_assert_eq!(gap.until.next - gap.from.next, gap.missed);
                    accounted.extend(gap.from.next..gap.until.next);
                }
                if seen == Seen::New {
                    accounted.insert(number);
                } else {
                    prop_assert!(accounted.contains(&number));
                }
                let next = track.next().unwrap();
                prop_assert_eq!(accounted.iter().copied().collect::<Vec<_>>(), (0..next.next).collect::<Vec<_>>());
            }
        }
    }
}
