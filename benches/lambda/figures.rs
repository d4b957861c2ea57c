//! The measured figures.

use serde::Serialize;

use super::place::Place;
use super::statistics::median;
use super::subject::Name;

/// All figures, in the order of measurement.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub starts: Vec<Start>,
    pub messages: Vec<Messages>,
    pub instructions: Vec<Instructions>,
}

/// One cold start, in µs from the process's start.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    pub subject: Name,
    pub place: Place,
    /// To the first request for an event.
    pub init_us: f64,
    /// To the first answer; the first event comes without delay.
    pub first_us: f64,
}

/// Messages one after the other, without the first one.
#[derive(Clone, Debug, Serialize)]
pub struct Messages {
    pub subject: Name,
    pub place: Place,
    /// Bytes of the text.
    pub size: usize,
    pub count: usize,
    /// From handing over an event to the answer.
    pub p50_us: u32,
    pub p90_us: u32,
    pub p99_us: u32,
    pub max_us: u32,
    /// Of all threads, in user and kernel mode, per message.
    pub cpu_us: f64,
    /// Peak resident memory, start included.
    pub peak_kib: u64,
}

/// Instructions per message in user mode, start-up taken out.
#[derive(Clone, Debug, Serialize)]
pub struct Instructions {
    pub subject: Name,
    pub size: usize,
    pub per_message: f64,
}

/// A median, and the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let values = values.iter().copied();
        Some(Self {
            median: median(values.clone())?,
            least: values.clone().reduce(f64::min)?,
            most: values.reduce(f64::max)?,
        })
    }
}

impl Figures {
    pub fn start(&self, name: Name, place: Place, figure: fn(&Start) -> f64) -> Option<Spread> {
        let own = self.starts.iter();
        let own = own.filter(|start| (start.subject, start.place) == (name, place));
        Spread::of(own.map(figure))
    }

    pub fn messages(
        &self,
        name: Name,
        place: Place,
        size: usize,
        figure: fn(&Messages) -> f64,
    ) -> Option<Spread> {
        let own = self.messages.iter();
        let own = own.filter(|run| (run.subject, run.place, run.size) == (name, place, size));
        Spread::of(own.map(figure))
    }

    pub fn instructions(&self, name: Name, size: usize) -> Option<f64> {
        let mut all = self.instructions.iter();
        let own = all.find(|counted| (counted.subject, counted.size) == (name, size))?;
        Some(own.per_message)
    }
}
