//! Medians and percentiles.

/// The percentile by nearest rank; 0 without samples. Sorts them.
pub fn percentile(samples: &mut [u32], percent: usize) -> u32 {
    samples.sort_unstable();
    let rank = (samples.len() * percent).div_ceil(100);
    let sample = samples.get(rank.saturating_sub(1));
    sample.copied().unwrap_or_default()
}

/// The middle value, or the mean of the two in the middle; `None` without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}
