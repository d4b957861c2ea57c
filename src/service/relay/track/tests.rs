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
fn without_a_cursor_a_track_begins_with_the_next_message() {
    let mut track = Track::new(None);
    assert_eq!(track.message(7, 41), (None, Seen::New));
    assert_eq!(track.next(), Some(at(7, 42)));
    // Earlier messages, repeated or not, are skipped.
    let mut track = Track::new(None);
    track.discontinuity(7, 41);
    assert_eq!(track.next(), Some(at(7, 42)));
    assert_eq!(track.message(7, 41), (None, Seen::Repeated));
    assert_eq!(track.message(7, 42), (None, Seen::New));
    let mut track = Track::new(None);
    track.begin(at(7, 42));
    track.discontinuity(7, 41);
    assert_eq!(track.heartbeat(), None);
    assert_eq!(track.message(7, 42), (None, Seen::New));
}

#[test]
fn a_topic_without_messages_begins_with_0_or_1() {
    for first in [0, 1] {
        let mut track = Track::new(None);
        track.discontinuity(7, 0);
        assert_eq!(track.next(), Some(at(7, 1)));
        assert_eq!(track.message(7, first), (None, Seen::New));
        assert_eq!(track.message(7, first + 1), (None, Seen::New));
    }
    let mut track = Track::new(Some(at(7, 0)));
    assert_eq!(
        track.message(7, 2),
        (gap(at(7, 0), at(7, 2), 2, true), Seen::New)
    );
}

#[test]
fn a_skipped_number_is_a_gap_announced_or_not() {
    let mut track = Track::new(Some(at(7, 5)));
    assert_eq!(
        track.message(7, 9),
        (gap(at(7, 5), at(7, 9), 4, true), Seen::New)
    );
    // Announced, and counted at the message: one after the number, or the number itself.
    for first in [12, 13] {
        let mut track = Track::new(Some(at(7, 10)));
        track.discontinuity(7, 12);
        assert_eq!(
            track.message(7, first),
            (gap(at(7, 10), at(7, first), first - 10, true), Seen::New)
        );
    }
    // Without a next message, `idle` reports the gap, and a late message is delivered.
    track.discontinuity(7, 12);
    assert_eq!(track.heartbeat(), gap(at(7, 10), at(7, 13), 3, true));
    assert_eq!(track.heartbeat(), None);
    assert_eq!(track.message(7, 12), (None, Seen::New));
    assert_eq!(track.message(7, 13), (None, Seen::New));
    // A late message leaves an announced gap open.
    track.discontinuity(7, 15);
    assert_eq!(track.message(7, 11), (None, Seen::New));
    assert_eq!(track.heartbeat(), gap(at(7, 14), at(7, 16), 2, true));
}

#[test]
fn repeated_messages_are_dropped_and_late_ones_delivered() {
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
fn a_new_page_is_a_gap_when_messages_may_be_missing() {
    // A page begins while the topic is idle.
    let mut track = Track::new(Some(at(7, 5)));
    track.message(7, 5);
    track.heartbeat();
    assert_eq!(track.message(9, 1), (None, Seen::New));
    track.heartbeat();
    track.discontinuity(11, 0);
    assert_eq!(track.heartbeat(), None);
    track.discontinuity(12, 3);
    assert_eq!(track.heartbeat(), gap(at(11, 1), at(12, 4), 2, false));
    // Either number may come first.
    assert_eq!(track.message(12, 3), (None, Seen::New));
    assert_eq!(track.message(12, 4), (None, Seen::New));
    // Right after a message, which others may have followed.
    track.discontinuity(13, 0);
    assert_eq!(
        track.message(13, 1),
        (gap(at(12, 5), at(13, 1), 0, false), Seen::New)
    );
    // Without a subscription; a heartbeat of the next one does not rule out a gap.
    track.heartbeat();
    track.lost();
    track.heartbeat();
    assert_eq!(
        track.message(14, 0),
        (gap(at(13, 2), at(14, 0), 0, false), Seen::New)
    );
    let mut track = Track::new(Some(at(7, 5)));
    track.discontinuity(8, 0);
    assert_eq!(track.heartbeat(), gap(at(7, 5), at(8, 1), 0, false));
    assert_eq!(track.message(8, 0), (None, Seen::New));
}

#[test]
fn a_track_may_begin_at_a_number_of_the_current_page() {
    let mut track = Track::new(Some(at(0, 5)));
    track.discontinuity(7, 4);
    assert_eq!(track.next(), Some(at(7, 5)));
    assert_eq!(track.message(7, 5), (None, Seen::New));
    let mut track = Track::new(Some(at(0, 5)));
    track.discontinuity(7, 7);
    assert_eq!(
        track.message(7, 8),
        (gap(at(7, 5), at(7, 8), 3, true), Seen::New)
    );
    // A number beyond the end: the server continues at the end.
    for first in [8, 9] {
        let mut track = Track::new(Some(at(0, 50)));
        track.discontinuity(7, 8);
        assert_eq!(track.heartbeat(), None);
        assert_eq!(track.message(7, first), (None, Seen::New));
        assert_eq!(track.message(7, first), (None, Seen::Repeated));
    }
}

proptest! {
    #[test]
    fn every_number_of_a_page_is_delivered_or_in_a_gap(numbers in proptest::collection::vec((1u64..60, 0u8..3), 1..80)) {
        let mut track = Track::new(Some(at(7, 1)));
        let mut accounted = std::collections::BTreeSet::new();
        for (number, kind) in numbers {
            let next = track.next().unwrap().next;
            let (gap, seen) = match kind {
                // An announced number is ahead, unless the server goes back on purpose.
                0 if number >= next => {
                    track.discontinuity(7, number);
                    continue;
                }
                1 => (track.heartbeat(), Seen::Repeated),
                _ => track.message(7, number),
            };
            if let Some(gap) = gap {
                prop_assert_eq!(gap.until.next - gap.from.next, gap.missed);
                accounted.extend(gap.from.next..gap.until.next);
            }
            if seen == Seen::New {
                accounted.insert(number);
            } else {
                prop_assert!(kind == 1 || accounted.contains(&number));
            }
            let next = track.next().unwrap();
            prop_assert_eq!(accounted.iter().copied().collect::<Vec<_>>(), (1..next.next).collect::<Vec<_>>());
        }
    }
}
