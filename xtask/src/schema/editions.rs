//! Which versions are offered, and which release's description is used for each.

use anyhow::{Context, Result, ensure};

use super::definition::{Definition, FieldDef, KindDef, Range};
use super::jar::Jar;

/// One API as the tables will have it.
pub(super) struct ApiPlan<'a> {
    pub(super) key: i16,
    pub(super) name: String,
    pub(super) versions: Range,
    pub(super) broker: bool,
    pub(super) controller: bool,
    pub(super) request: Vec<EditionPlan<'a>>,
    pub(super) response: Vec<EditionPlan<'a>>,
}

/// One release's description of one message, cut to the versions it is used for.
pub(super) struct EditionPlan<'a> {
    pub(super) release: &'a str,
    pub(super) versions: Range,
    pub(super) definition: &'a Definition,
}

/// Every API that a client listener of some release serves; `jars` newest first.
pub(super) fn plan(jars: &[Jar]) -> Result<Vec<ApiPlan<'_>>> {
    let keys = jars
        .iter()
        .flat_map(|jar| jar.definitions.iter().map(|each| each.api_key));
    let keys: std::collections::BTreeSet<i16> = keys.collect();
    let plans = keys
        .into_iter()
        .map(|key| plan_api(jars, key).with_context(|| format!("in the plan for API {key}")));
    plans.filter_map(Result::transpose).collect()
}

fn plan_api(jars: &[Jar], key: i16) -> Result<Option<ApiPlan<'_>>> {
    let mut request = Vec::new();
    let mut response = Vec::new();
    let mut taken: Option<Range> = None;
    let mut listeners: Option<&[String]> = None;
    let mut name = None;
    for jar in jars {
        let Some(asked) = jar.definition(key, true) else {
            continue;
        };
        let answered = jar
            .definition(key, false)
            .context("a request without a response")?;
        ensure!(
            asked.valid == answered.valid,
            "request and response differ in versions"
        );
        let stable = stable(asked);
        if stable.is_empty() {
            continue;
        }
        // Only the newest release that still serves an API decides who may call it.
        let listeners = *listeners.get_or_insert(&asked.listeners);
        // Before 4.0 a broker that kept its metadata in ZooKeeper was a kind of its own.
        if !listeners
            .iter()
            .any(|each| each == "broker" || each == "zkBroker")
        {
            return Ok(None);
        }
        name.get_or_insert(&asked.name);
        let fresh = match taken {
            None => stable,
            Some(taken) => {
                check_same_shape(jars, jar, key, taken.meet(stable))?;
                ensure!(
                    stable.last <= taken.last,
                    "{} knows newer versions",
                    jar.release
                );
                ensure!(stable.last >= taken.first - 1, "a gap in the versions");
                Range {
                    first: stable.first,
                    last: taken.first - 1,
                }
            }
        };
        if fresh.is_empty() {
            continue;
        }
        taken = Some(Range {
            first: fresh.first,
            last: taken.map_or(fresh.last, |had| had.last),
        });
        let release = jar.release.as_str();
        request.push(EditionPlan {
            release,
            versions: fresh,
            definition: asked,
        });
        response.push(EditionPlan {
            release,
            versions: fresh,
            definition: answered,
        });
    }
    let (Some(versions), Some(name), Some(listeners)) = (taken, name, listeners) else {
        return Ok(None);
    };
    let name = name
        .strip_suffix("Request")
        .context("a request not named so")?
        .to_owned();
    let controller = listeners.iter().any(|each| each == "controller");
    Ok(Some(ApiPlan {
        key,
        name,
        versions,
        broker: true,
        controller,
        request,
        response,
    }))
}

/// The versions that a release offers without being asked for unstable ones.
fn stable(request: &Definition) -> Range {
    let Range { first, last } = request.valid;
    let last = if request.latest_unstable {
        last - 1
    } else {
        last
    };
    if first > last {
        Range::NONE
    } else {
        Range { first, last }
    }
}

/// Two releases that offer the same version must mean the same bytes by it.
fn check_same_shape(jars: &[Jar], older: &Jar, key: i16, both: Range) -> Result<()> {
    for newer in jars.iter().take_while(|jar| jar.release != older.release) {
        for is_request in [true, false] {
            let pair = (
                newer.definition(key, is_request),
                older.definition(key, is_request),
            );
            let (Some(new), Some(old)) = pair else {
                continue;
            };
            for version in both.first..=both.last {
                if new.valid.contains(version) {
                    ensure!(
                        new.flexible.contains(version) == old.flexible.contains(version)
                            && shape(&new.fields, version) == shape(&old.fields, version),
                        "{} v{version} differs between {} and {}, and both are stable",
                        new.name,
                        newer.release,
                        older.release
                    );
                }
            }
        }
    }
    Ok(())
}

/// What decides how bytes are read; names and nullability may be corrected later.
fn shape(fields: &[FieldDef], version: i16) -> Vec<(String, Option<u32>)> {
    let present = fields
        .iter()
        .filter(|field| field.versions.contains(version));
    let shapes = present.map(|field| {
        let tag = field.tag.filter(|(_, versions)| versions.contains(version));
        (
            kind_shape(&field.kind, version),
            tag.map(|(number, _)| number),
        )
    });
    shapes.collect()
}

fn kind_shape(kind: &KindDef, version: i16) -> String {
    match kind {
        KindDef::Primitive(name) => name.clone(),
        KindDef::Struct(_, fields) => format!("{:?}", shape(fields, version)),
        KindDef::Array(element) => format!("[]{}", kind_shape(element, version)),
    }
}
