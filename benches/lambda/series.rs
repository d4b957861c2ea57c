//! Messages one after the other to one subject, in turns with others.

use anyhow::Result;

use crate::figures::Messages;
use crate::measure::{Running, World};
use crate::place::Place;
use crate::statistics::percentile;
use crate::subject::{Name, Subject};
use crate::usage::{self, Usage};

pub struct Series {
    subject: Name,
    place: Place,
    size: usize,
    running: Running,
    before: Usage,
    /// µs.
    samples: Vec<u32>,
}

impl Series {
    /// Starts a subject, and invokes it with a first message, which does not count.
    pub async fn start(
        world: &World,
        subject: &Subject,
        place: Place,
        size: usize,
    ) -> Result<Self> {
        let mut running = world.run(subject, place, &[]).await?;
        running.idle().await?;
        running.invoke(size).await?;
        running.idle().await?;
        Ok(Self {
            subject: subject.name,
            place,
            size,
            before: usage::of(running.pid()?)?,
            running,
            samples: Vec::new(),
        })
    }

    pub async fn more(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let (_, took) = self.running.invoke(self.size).await?;
            let took = took.as_micros().try_into();
            self.samples.push(took.unwrap_or(u32::MAX));
            self.running.idle().await?;
        }
        Ok(())
    }

    pub async fn end(mut self) -> Result<Messages> {
        let after = usage::of(self.running.pid()?)?;
        self.running.stop().await?;
        let count = self.samples.len();
        let mut percentile = |percent| percentile(&mut self.samples, percent);
        Ok(Messages {
            subject: self.subject,
            place: self.place,
            size: self.size,
            count,
            p50_us: percentile(50),
            p90_us: percentile(90),
            p99_us: percentile(99),
            max_us: percentile(100),
            cpu_us: (after.cpu_seconds - self.before.cpu_seconds) * 1e6 / count as f64,
            peak_kib: after.peak_kib,
        })
    }
}
