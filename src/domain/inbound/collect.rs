//! Collects the routes in parameters of several stacks into one document.
//!
//! A parameter has a route or a routes document. One with problems, by itself or beside the others, is refused alone, and
//! its last good routes stay in use until it is repaired or removed.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::routes::{Problems, Routes};
pub use crate::domain::ports::{Compiled, Parameter, ParameterState, Refusal};

/// Most bytes of the document and its parameters' states. An item of DynamoDB has at most 400 KB.
const COMPILED_MAX: usize = 380_000;

/// Characters of a problem in the compiled item.
const PROBLEM_MAX: usize = 500;

/// The result of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    pub compiled: Compiled,
    /// Whether it differs from the previous one, whose version it then follows.
    pub changed: bool,
}

/// The routes of one parameter, each as written: the order and duplicates of a pattern's names count.
#[derive(Clone)]
struct Good {
    version: i64,
    /// Name and JSON of each route.
    routes: Vec<(String, String)>,
}

/// The good routes of parameters, by the parameters' names.
type Goods = BTreeMap<String, Good>;

/// Compiles the routes of all parameters, beside the document of the variable `ROUTES`.
///
/// # Errors
///
/// When the document `base` has problems.
pub fn collect(
    base: &str,
    previous: Option<&Compiled>,
    parameters: &[Parameter],
) -> Result<Collected, Problems> {
    Routes::parse(base)?;
    let base = raw_routes(base);
    let mut refused: BTreeMap<&str, String> = BTreeMap::new();
    let mut wanted = Vec::new();
    for parameter in parameters {
        match read(parameter) {
            Ok(good) => wanted.push((parameter.name.clone(), good)),
            Err(problem) => {
                refused.insert(&parameter.name, problem);
            }
        }
    }
    wanted.sort_by(|(one, _), (other, _)| one.cmp(other));

    // The last good routes come first, so that a new route cannot displace them.
    let mut last: Vec<_> = previous.map(last_good).unwrap_or_default();
    last.retain(|(name, _)| parameters.iter().any(|parameter| parameter.name == *name));
    let mut goods = Goods::new();
    let mut displaced = Vec::new();
    take(&base, &mut goods, last, &mut displaced);
    wanted.retain(|(name, good)| {
        let used = goods.get(name);
        used.is_none_or(|used| used.version != good.version || used.routes != good.routes)
    });
    let mut taken = Vec::new();
    // A refused parameter may fit once another has changed: two that exchange a name, for example.
    loop {
        let count = wanted.len();
        let mut left = Vec::new();
        take(&base, &mut goods, wanted, &mut left);
        wanted = left
            .iter()
            .map(|(name, good, _)| (name.clone(), good.clone()))
            .collect();
        if wanted.is_empty() || wanted.len() == count {
            for (name, good, problem) in left {
                let in_base = good.names().into_iter();
                taken.extend(in_base.filter(|name| base.iter().any(|(other, _)| other == name)));
                let parameter = parameters.iter().find(|parameter| parameter.name == name);
                refused.extend(parameter.map(|parameter| (parameter.name.as_str(), problem)));
            }
            break;
        }
    }

    taken.sort();
    taken.dedup();

    let states = parameters.iter().map(|parameter| {
        let good = goods.get(&parameter.name);
        let problem = refused.get(parameter.name.as_str());
        let state = ParameterState {
            version: good.map_or(0, |good| good.version),
            routes: good.map_or_else(Vec::new, Good::names),
            refused: problem.map(|problem| Refusal {
                version: parameter.version,
                problem: problem.chars().take(PROBLEM_MAX).collect(),
            }),
        };
        (parameter.name.clone(), state)
    });
    let mut compiled = Compiled {
        version: previous.map_or(0, |previous| previous.version),
        document: document(&[], &goods),
        parameters: states.collect(),
        taken,
    };
    let changed = previous != Some(&compiled);
    if changed {
        compiled.version += 1;
    }
    Ok(Collected { compiled, changed })
}

/// Takes the candidates that fit beside the taken ones, in order: all at once, or else each half by itself.
fn take(
    base: &[(String, String)],
    goods: &mut Goods,
    mut candidates: Vec<(String, Good)>,
    refused: &mut Vec<(String, Good, String)>,
) {
    if candidates.is_empty() {
        return;
    }
    let mut all = goods.clone();
    all.extend(candidates.iter().cloned());
    let problem = match fits(base, &all) {
        Ok(()) => {
            *goods = all;
            return;
        }
        Err(problem) => problem,
    };
    if candidates.len() == 1 {
        refused.extend(
            candidates
                .into_iter()
                .map(|(name, good)| (name, good, problem.clone())),
        );
        return;
    }
    let second = candidates.split_off(candidates.len() / 2);
    take(base, goods, candidates, refused);
    take(base, goods, second, refused);
}

/// Whether the routes have no problem together.
fn fits(base: &[(String, String)], goods: &Goods) -> Result<(), String> {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    owners.extend(
        base.iter()
            .map(|(name, _)| (name.as_str(), "the variable ROUTES")),
    );
    for (parameter, good) in goods {
        for (name, _) in &good.routes {
            if let Some(owner) = owners.insert(name, parameter)
                && owner != parameter
            {
                return Err(format!(
                    "expected route names of their own, found `{name}` in {owner}, too; rename one"
                ));
            }
        }
    }
    let document = document(base, goods);
    if document.len() > COMPILED_MAX {
        return Err(format!(
            "expected at most {COMPILED_MAX} bytes of collected routes, found {}; shorten or remove some",
            document.len()
        ));
    }
    Routes::parse(&document)
        .map(drop)
        .map_err(|problems| one_line(&problems))
}

/// The routes of a parameter.
fn read(parameter: &Parameter) -> Result<Good, String> {
    if parameter.is_secure {
        return Err(
            "expected a parameter of the type String, found SecureString, which is not decrypted"
                .to_owned(),
        );
    }
    let written = parameter.value.trim();
    let value: Value =
        serde_json::from_str(written).map_err(|e| format!("expected JSON, found: {e}"))?;
    let is_document = value.get("routes").is_some();
    let document = if is_document {
        written.to_owned()
    } else {
        format!("{{\"routes\":[{written}]}}")
    };
    Routes::parse(&document).map_err(|problems| one_line(&problems))?;
    Ok(Good {
        version: parameter.version,
        routes: raw_routes(&document),
    })
}

/// The good routes of the previous collection, by parameter.
fn last_good(previous: &Compiled) -> Vec<(String, Good)> {
    let written: HashMap<_, _> = raw_routes(&previous.document).into_iter().collect();
    let good = |(name, state): (&String, &ParameterState)| {
        let routes = state.routes.iter();
        let routes = routes.map(|route| Some((route.clone(), written.get(route)?.clone())));
        let good = Good {
            version: state.version,
            routes: routes.collect::<Option<Vec<_>>>()?,
        };
        (!good.routes.is_empty()).then(|| (name.clone(), good))
    };
    previous.parameters.iter().filter_map(good).collect()
}

/// Name and JSON of each route in a document without problems.
fn raw_routes(document: &str) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Document {
        routes: Vec<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let routes =
        serde_json::from_str::<Document>(document).map_or_else(|_| Vec::new(), |d| d.routes);
    let routes = routes.iter().filter_map(|raw| {
        let Named { name } = serde_json::from_str(raw.get()).ok()?;
        Some((name, raw.get().to_owned()))
    });
    routes.collect()
}

fn document(base: &[(String, String)], goods: &Goods) -> String {
    let collected = goods.values().flat_map(|good| &good.routes);
    let routes: Vec<&str> = base
        .iter()
        .chain(collected)
        .map(|(_, json)| json.as_str())
        .collect();
    format!("{{\"routes\":[{}]}}", routes.join(","))
}

/// The problems in one line, for the log and the item.
fn one_line(problems: &Problems) -> String {
    let lines: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

impl Good {
    fn names(&self) -> Vec<String> {
        self.routes.iter().map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
