//! Which versions are offered, and which release's description is used for each.

use anyhow::{Context, Result, ensure};

use super::definition::{Definition, FieldDef, KindDef, Range};
use super::jar::Jar;

/// One API as the tables will have it.
pub(super) struct ApiPlan<'a> {
    pub(super) key: i16,
    pub(super) name: String,
    pub(super) versions: Range,
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
    // Only the newest release that still serves an API decides how it is called and who may.
    let serving = jars
        .iter()
        .filter_map(|jar| Some((jar, jar.definition(key, true)?)));
    let mut serving = serving
        .filter(|(_, request)| !stable(request).is_empty())
        .peekable();
    let Some((_, newest)) = serving.peek().copied() else {
        return Ok(None);
    };
    let is_for = |listener: &str| newest.listeners.iter().any(|each| each == listener);
    // Before 4.0 a broker that kept its metadata in ZooKeeper was a kind of its own.
    if !is_for("broker") && !is_for("zkBroker") {
        return Ok(None);
    }
    let name = newest
        .name
        .strip_suffix("Request")
        .context("a request not named so")?;
    let mut plan = ApiPlan {
        key,
        name: name.to_owned(),
        versions: Range::NONE,
        controller: is_for("controller"),
        request: Vec::new(),
        response: Vec::new(),
    };
    for (jar, request) in serving {
        let response = jar
            .definition(key, false)
            .context("a request without a response")?;
        ensure!(
            request.valid == response.valid,
            "request and response differ in versions"
        );
        add_release(&mut plan, jars, jar, [request, response])?;
    }
    Ok(Some(plan))
}

/// Takes from a release the versions that no newer one describes.
fn add_release<'a>(
    plan: &mut ApiPlan<'a>,
    jars: &[Jar],
    jar: &'a Jar,
    [request, response]: [&'a Definition; 2],
) -> Result<()> {
    let (stable, taken) = (stable(request), plan.versions);
    let versions = if taken.is_empty() {
        plan.versions = stable;
        stable
    } else {
        check_same_shape(jars, jar, plan.key, taken.meet(stable))?;
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
    };
    if !versions.is_empty() {
        plan.versions.first = versions.first;
        let release = jar.release.as_str();
        plan.request.push(EditionPlan {
            release,
            versions,
            definition: request,
        });
        plan.response.push(EditionPlan {
            release,
            versions,
            definition: response,
        });
    }
    Ok(())
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
