//! Whether two runs found the same ratios.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::markdown::render;

/// The limit of the larger over the smaller of two ratios.
const AT_MOST: f64 = 1.15;

/// A run, from the output of `--json`.
#[derive(Deserialize)]
struct Run {
    targets: Vec<Ratio>,
}

#[derive(Deserialize)]
struct Ratio {
    what: String,
    beside: String,
    found: f64,
}

/// The ratios of two runs, given as JSON, side by side; and whether all agree. A ratio missing in one run does not.
///
/// # Errors
///
/// When a run is invalid, or there is nothing to compare.
pub fn runs(one: &str, other: &str) -> Result<(String, bool)> {
    let (one, other) = (ratios(one)?, ratios(other)?);
    ensure!(
        !one.is_empty() || !other.is_empty(),
        "expected ratios in one of the two files, found none; measure subjects and their alternatives"
    );
    let same = |a: &Ratio, b: &Ratio| (&a.what, &a.beside) == (&b.what, &b.beside);
    let in_both = one.iter().map(|ratio| {
        let found = other.iter().find(|other| same(ratio, other));
        (ratio, Some(ratio.found), found.map(|found| found.found))
    });
    let only_in_other = other
        .iter()
        .filter(|ratio| !one.iter().any(|o| same(o, ratio)));
    let rows = in_both.chain(only_in_other.map(|ratio| (ratio, None, Some(ratio.found))));

    let cell = |found: Option<f64>| found.map_or_else(String::new, |found| format!("{found:.3}"));
    let mut all_agree = true;
    let rows = rows.map(|(ratio, one, other)| {
        let larger = one
            .zip(other)
            .map(|(one, other)| one.max(other) / one.min(other));
        let agrees = larger.is_some_and(|larger| larger <= AT_MOST);
        all_agree &= agrees;
        let percent = larger.map(|larger| format!("{:.1}", (larger - 1.0) * 100.0));
        vec![
            ratio.what.clone(),
            ratio.beside.clone(),
            cell(one),
            cell(other),
            percent.unwrap_or_default(),
            if agrees { "agrees" } else { "differs" }.to_owned(),
        ]
    });
    let header = ["figure", "beside", "one", "other", "apart %", ""];
    let table = render(&header, &rows.collect::<Vec<_>>());
    Ok((table, all_agree))
}

fn ratios(text: &str) -> Result<Vec<Ratio>> {
    let run: Run = serde_json::from_str(text).context("expected the output of `--json`")?;
    Ok(run.targets)
}
