//! PROPPATCH (RFC 4918, 9.2): all of it or nothing, in the ways of the sheet (7.1).

use serde_json::{Value, json};

use super::super::clock::parse_rfc1123;
use super::super::tree::Node;
use super::errors::DavError;
use super::gate::{Answer, Ctx};
use super::listing::multistatus;
use super::rules;
use super::values::{Key, is_live};
use super::xml::{self, DAV};

/// One step of a document.
struct Step {
    key: Key,
    /// The new value; `None` removes the property.
    value: Option<String>,
}

fn steps(document: &str) -> Result<Vec<Step>, DavError> {
    let bad = || DavError::new(400, "The body is not a propertyupdate document");
    let root = xml::parse(document).ok_or_else(bad)?;
    if !root.is("propertyupdate") {
        return Err(bad());
    }
    let mut steps = Vec::new();
    for action in &root.children {
        let sets = action.is("set");
        if !sets && !action.is("remove") {
            continue;
        }
        for property in &action.child("prop").ok_or_else(bad)?.children {
            steps.push(Step {
                key: property.key(),
                value: sets.then(|| property.text.trim().to_owned()),
            });
        }
    }
    match steps.is_empty() {
        true => Err(bad()),
        false => Ok(steps),
    }
}

/// `DAV:lastmodified`: seconds since 1970, or a date as in headers.
fn time(value: &str) -> Option<i64> {
    let seconds = value.parse::<i64>().ok();
    let ms = seconds.and_then(|seconds| seconds.checked_mul(1000));
    ms.or_else(|| parse_rfc1123(value))
}

impl Ctx {
    /// What becomes of a step: 200, or the status it fails with.
    fn fate(&self, step: &Step, way: &str) -> u16 {
        let mtime = step.key == (DAV.to_owned(), "lastmodified".to_owned());
        match way {
            "accept" => 200,
            "mtime" | "all" if mtime => match step.value.as_deref().and_then(time) {
                Some(_) => 200,
                None => 409,
            },
            _ if is_live(&step.key) => 403,
            _ => 200,
        }
    }

    /// PROPPATCH.
    pub(super) fn proppatch(&self, document: &str) -> Answer {
        let way = rules::of(&self.account, "proppatch");
        match way.as_str() {
            "403" => return Err(DavError::new(403, "Properties cannot be changed")),
            "405" => return Err(self.not_allowed()),
            _ => {}
        }
        self.check_xml(document)?;
        let steps = steps(document)?;
        let node = self.found()?;
        {
            let state = self.sim.state();
            let tree = self.account.tree();
            self.unlocked(&state, &tree, &[(&node.id, false)])?;
        }
        let fates: Vec<u16> = steps.iter().map(|step| self.fate(step, &way)).collect();
        let fine = fates.iter().all(|fate| *fate == 200);
        if fine && way != "accept" {
            self.account
                .tree()
                .update(&node.id, |node| keep(node, &steps, &way));
        }
        let mut writer = self.writer("multistatus");
        writer.open("response");
        let href = self.hrefs();
        let href = href.href(&self.at.base, &self.at.path(), node.is_dir());
        writer.leaf("href", &href);
        for (step, fate) in steps.iter().zip(fates) {
            writer.open("propstat");
            writer.open("prop");
            writer.property(&step.key, "");
            writer.close("prop");
            // What would have been fine fails with the others.
            writer.status(if fate == 200 && !fine { 424 } else { fate });
            writer.close("propstat");
        }
        writer.close("response");
        Ok(multistatus(writer.finish("multistatus")))
    }
}

/// Does what the steps say.
fn keep(node: &mut Node, steps: &[Step], way: &str) {
    for step in steps {
        let (ns, name) = &step.key;
        if way != "dead" && ns == DAV && name == "lastmodified" {
            if let Some(ms) = step.value.as_deref().and_then(time) {
                node.modified = ms;
            }
            continue;
        }
        if way == "mtime" {
            continue;
        }
        let kept = node.extra.entry("dead".to_owned());
        let Value::Object(kept) = kept.or_insert_with(|| json!({})) else {
            continue;
        };
        let key = format!("{ns}\n{name}");
        match &step.value {
            Some(value) => kept.insert(key, json!(value)),
            None => kept.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("1706688000"), Some(1_706_688_000_000));
        assert_eq!(
            time("Wed, 31 Jan 2024 08:00:00 GMT"),
            Some(1_706_688_000_000)
        );
        assert_eq!(time("9223372036854775807"), None);
        assert_eq!(time("soon"), None);
    }
}
