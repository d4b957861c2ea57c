//! A reader of one topic, at a position of its own.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Broker, Delivery, Discontinuity, Name};

/// A reader of one topic.
pub struct Subscriber {
    pub(super) broker: Arc<Broker>,
    pub(super) name: Name,
    pub(super) place: Place,
    pub(super) changed: watch::Receiver<()>,
    pub(super) _slot: OwnedSemaphorePermit,
}

/// A subscriber's position.
pub(super) struct Place {
    page: u64,
    /// The number of the next message.
    sequence: u64,
    beginning: Option<Discontinuity>,
    /// Delivered first.
    gap: Option<Discontinuity>,
}

impl Place {
    pub fn new(
        begin: Discontinuity,
        beginning: Option<Discontinuity>,
        gap: Option<Discontinuity>,
    ) -> Self {
        Self {
            page: begin.page,
            sequence: begin.next,
            beginning,
            gap,
        }
    }
}

impl Subscriber {
    /// Its position: before the next message.
    pub fn position(&self) -> Discontinuity {
        Discontinuity {
            last: self.place.sequence - 1,
            next: self.place.sequence,
            page: self.place.page,
        }
    }

    /// The page and the next message, for a subscription without a page. Repeated messages do not count.
    pub fn beginning(&self) -> Option<Discontinuity> {
        self.place.beginning
    }

    /// Waits for messages and returns up to `most` of them, after a [`Discontinuity`] if there is one; `None` once the
    /// broker is closed or the cache is deleted. Dropping the future loses nothing.
    pub async fn next(&mut self, most: usize) -> Option<Vec<Delivery>> {
        loop {
            // Marked before reading, so that a message in between wakes the wait below.
            self.changed.borrow_and_update();
            let batch = self.read(most)?;
            if !batch.is_empty() {
                return Some(batch);
            }
            self.changed.changed().await.ok()?;
        }
    }

    fn read(&mut self, most: usize) -> Option<Vec<Delivery>> {
        let state = self.broker.lock();
        if state.closed {
            return None;
        }
        let topic = state.topics.get(&self.name)?;
        let oldest = topic.oldest();
        let place = &mut self.place;
        let mut gap = place.gap.take();
        if place.page != topic.page || !topic.has(place.sequence) {
            // The subscriber was too slow, or a new page began: the whole history follows.
            gap = Some(Discontinuity {
                last: gap.map_or(place.sequence - 1, |gap| gap.last),
                next: oldest,
                page: topic.page,
            });
            (place.page, place.sequence) = (topic.page, oldest);
        }
        let mut batch: Vec<_> = gap.map(Delivery::Discontinuity).into_iter().collect();
        let seen = (place.sequence - oldest) as usize;
        let unseen = topic.history.range(seen..).take(most);
        batch.extend(unseen.cloned().map(Delivery::Message));
        if let Some(Delivery::Message(message)) = batch.last() {
            place.sequence = message.sequence + 1;
        }
        Some(batch)
    }
}
