//! ListObjectsV2 and ListObjects (public S3 API reference; sheet, 7.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::clock::rfc3339;
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::buckets::owner;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::store::Object;
use super::xml::{Names, result, tag};
use super::{State, rules};

/// What a token begins with, so that another text is none.
const TOKEN: &str = "next\n";

/// A line of a listing.
enum Row {
    Object(Object),
    Prefix(String),
}

impl Row {
    fn name(&self) -> &str {
        match self {
            Row::Object(object) => &object.key,
            Row::Prefix(prefix) => prefix,
        }
    }
}

/// A walk through a bucket in the order of keys.
struct Walk<'a> {
    state: &'a State,
    tree: &'a Tree,
    prefix: &'a str,
    delimiter: &'a str,
    /// Only what comes behind this.
    after: &'a str,
    limit: usize,
    /// Objects that came at this time or later are not known yet.
    hidden_since: i64,
    rows: Vec<Row>,
    truncated: bool,
}

impl Walk<'_> {
    /// Whether nothing below a directory can be of interest.
    fn skips(&self, path: &str) -> bool {
        let apart = !path.starts_with(self.prefix) && !self.prefix.starts_with(path);
        let before = path < self.after && !self.after.starts_with(path);
        let rolled = match self.rows.last() {
            Some(Row::Prefix(prefix)) => path.starts_with(prefix.as_str()),
            _ => false,
        };
        apart || before || rolled
    }

    /// Walks a directory, whose path is empty or ends with a slash; `true` ends the walk.
    fn directory(&mut self, id: &str, path: &str) -> bool {
        if self.skips(path) {
            return false;
        }
        let tree = self.tree;
        if !path.is_empty()
            && let Some(marker) = self.state.of_marker(path, id)
            && self.offer(marker)
        {
            return true;
        }
        let mut below: Vec<(String, &Node)> = tree
            .children(id)
            .map(|node| match node.is_dir() {
                true => (format!("{}/", node.name), node),
                false => (node.name.clone(), node),
            })
            .collect();
        below.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, node) in below {
            let key = format!("{path}{name}");
            let ends = match node.is_dir() {
                true => self.directory(&node.id, &key),
                false => {
                    let object = self.state.of_file(&key, node);
                    object.is_some_and(|object| self.offer(object))
                }
            };
            if ends {
                return true;
            }
        }
        false
    }

    /// Takes an object into the answer; `true` when there is no room for it.
    fn offer(&mut self, object: Object) -> bool {
        let Some(rest) = object.key.strip_prefix(self.prefix) else {
            return false;
        };
        if object.key.as_str() <= self.after || object.created >= self.hidden_since {
            return false;
        }
        let cut = match self.delimiter {
            "" => None,
            delimiter => rest.find(delimiter).map(|at| at + delimiter.len()),
        };
        let rolled = cut.and_then(|cut| object.key.get(..self.prefix.len() + cut));
        let row = match rolled {
            Some(prefix) if prefix == self.after => return false,
            Some(prefix) => Row::Prefix(prefix.to_owned()),
            None => Row::Object(object),
        };
        if self
            .rows
            .last()
            .is_some_and(|last| last.name() == row.name())
        {
            return false;
        }
        if self.rows.len() >= self.limit {
            self.truncated = true;
            return true;
        }
        self.rows.push(row);
        false
    }
}

/// What a client asked for.
struct Asked {
    second: bool,
    prefix: String,
    delimiter: String,
    after: String,
    limit: usize,
    names: Names,
}

impl Ctx {
    fn asked(&self) -> Result<Asked, S3Error> {
        let text = |name: &str| self.q(name).unwrap_or("").to_owned();
        let second = match self.q("list-type") {
            Some("2") => self.yes("list_v2"),
            None => false,
            Some(other) => {
                let text = "Invalid List Type specified in Request";
                return Err(S3Error::argument("list-type", other, text));
            }
        };
        let after = match (second, self.q("continuation-token")) {
            (false, _) => text("marker"),
            (true, None) => text("start-after"),
            (true, Some(token)) => {
                let decoded = STANDARD.decode(token).ok();
                let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
                let after = decoded.as_deref().and_then(|text| text.strip_prefix(TOKEN));
                let wrong = "The continuation token provided is incorrect";
                after
                    .map(str::to_owned)
                    .ok_or_else(|| S3Error::argument("continuation-token", token, wrong))?
            }
        };
        Ok(Asked {
            second,
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            after,
            limit: self.limit("max-keys")?,
            names: self.names()?,
        })
    }

    /// The rows of an answer, and whether there are more.
    fn rows(&self, asked: &Asked) -> (Vec<Row>, bool) {
        let faults = &self.account.faults;
        let mut limit = asked.limit;
        if faults.take(self.op, FaultKind::TruncatedPage).is_some() {
            limit = limit.min((limit / 2).max(1));
        }
        let lag = faults.take_number(self.op, FaultKind::Lag, 20_000);
        let hidden_since = lag.map_or(i64::MAX, |ms| {
            let ms = i64::try_from(ms).unwrap_or(i64::MAX);
            self.now().saturating_sub(ms)
        });
        if limit == 0 {
            return (Vec::new(), false);
        }
        let state = self.sim.state();
        let tree = self.account.tree();
        let mut walk = Walk {
            state: &state,
            tree: &tree,
            prefix: &asked.prefix,
            delimiter: &asked.delimiter,
            after: &asked.after,
            limit,
            hidden_since,
            rows: Vec::new(),
            truncated: false,
        };
        walk.directory(tree.root(), "");
        (walk.rows, walk.truncated)
    }

    /// One object of an answer.
    async fn contents(&self, object: &Object, asked: &Asked, with_owner: bool) -> String {
        let etag = match rules::of(&self.account, "etag_in_list").as_str() {
            "absent" => String::new(),
            "unquoted" => tag("ETag", &object.etag(&self.account).await),
            _ => tag("ETag", &object.quoted(&self.account).await),
        };
        let modified = rfc3339(object.modified_s().saturating_mul(1000));
        let owner = match with_owner {
            true => owner(self, "Owner"),
            false => String::new(),
        };
        format!(
            "<Contents>{}{}{etag}{}{owner}{}</Contents>",
            asked.names.tag("Key", &object.key),
            tag("LastModified", &modified),
            tag("Size", &object.blob.size().to_string()),
            tag("StorageClass", "STANDARD"),
        )
    }

    /// GET on the bucket.
    pub(super) async fn list(&self) -> Answer {
        let asked = self.asked()?;
        let (rows, truncated) = self.rows(&asked);
        let names = asked.names;
        let with_owner = !asked.second || self.q("fetch-owner") == Some("true");
        let mut inner = tag("Name", &self.bucket) + &names.tag("Prefix", &asked.prefix);
        inner += &tag("MaxKeys", &asked.limit.to_string());
        if !asked.delimiter.is_empty() {
            inner += &names.tag("Delimiter", &asked.delimiter);
        }
        inner += &names.announced();
        inner += &tag("IsTruncated", if truncated { "true" } else { "false" });
        let next = rows.last().filter(|_| truncated).map(Row::name);
        if asked.second {
            inner += &tag("KeyCount", &rows.len().to_string());
            if let Some(token) = self.q("continuation-token") {
                inner += &tag("ContinuationToken", token);
            }
            if let Some(next) = next {
                let token = STANDARD.encode(format!("{TOKEN}{next}"));
                inner += &tag("NextContinuationToken", &token);
            }
            if let Some(after) = self.q("start-after") {
                inner += &names.tag("StartAfter", after);
            }
        } else {
            inner += &names.tag("Marker", &asked.after);
            // Without a delimiter the client takes the last key.
            if let Some(next) = next.filter(|_| !asked.delimiter.is_empty()) {
                inner += &names.tag("NextMarker", next);
            }
        }
        if self
            .account
            .faults
            .take(self.op, FaultKind::NullList)
            .is_some()
        {
            return Ok(result("ListBucketResult", &inner));
        }
        let mut prefixes = String::new();
        for row in &rows {
            match row {
                Row::Object(object) => {
                    inner += &self.contents(object, &asked, with_owner).await;
                }
                Row::Prefix(prefix) => {
                    let prefix = names.tag("Prefix", prefix);
                    prefixes += &format!("<CommonPrefixes>{prefix}</CommonPrefixes>");
                }
            }
        }
        Ok(result("ListBucketResult", &(inner + &prefixes)))
    }
}
