//! DeleteObject and DeleteObjects (public S3 API reference).

use axum::http::StatusCode;
use axum::response::Response;

use super::conditions::WriteConditions;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::xml::{parse, result, tag};

/// Keys of one request at most.
const MOST: usize = 1000;

/// 204.
pub(super) fn nothing() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

impl Ctx {
    /// Deletes an object. One that is not there is as good as deleted.
    async fn drop_object(&self, key: &str, conditions: &WriteConditions) -> Result<(), S3Error> {
        let stuck = self.account.knobs.text(&format!("stuck:{key}"));
        if let Some(code) = stuck.filter(|code| !code.trim().is_empty()) {
            return Err(S3Error::injected(&code));
        }
        loop {
            let there = self.sim.object(&self.account, key);
            conditions.check(self, key, there.as_ref()).await?;
            let Some(object) = there else {
                return Ok(());
            };
            if self.sim.try_delete(&self.account, key, &object) {
                return Ok(());
            }
        }
    }

    /// DELETE.
    pub(super) async fn delete(&self) -> Answer {
        self.check_version(self.q("versionId"))?;
        let conditions = match self.yes("delete_conditions") {
            true => WriteConditions::read(self)?,
            false => WriteConditions::default(),
        };
        self.drop_object(&self.key, &conditions).await?;
        Ok(nothing())
    }

    /// POST `?delete`.
    pub(super) async fn delete_batch(&self, document: &str) -> Answer {
        if !self.yes("delete_batch") {
            return Err(S3Error::not_implemented("delete"));
        }
        let root = parse(document).filter(|root| root.name == "Delete");
        let root = root.ok_or_else(S3Error::malformed_xml)?;
        let quiet = root
            .text_of("Quiet")
            .is_some_and(|text| text.trim() == "true");
        let mut keys = Vec::new();
        for object in root.all("Object") {
            let key = object.text_of("Key").filter(|key| !key.is_empty());
            let key = key.ok_or_else(S3Error::malformed_xml)?;
            keys.push((key.to_owned(), object.text_of("VersionId")));
        }
        if keys.is_empty() || keys.len() > MOST {
            return Err(S3Error::malformed_xml());
        }
        let mut inner = String::new();
        for (key, version) in keys {
            let kept = match self.yes("marker_is_file") {
                true => key.trim_end_matches('/').to_owned(),
                false => key.clone(),
            };
            let done = match self.check_key(&key).and(self.check_version(version)) {
                Ok(()) => self.drop_object(&kept, &WriteConditions::default()).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(()) if quiet => {}
                Ok(()) => inner += &format!("<Deleted>{}</Deleted>", tag("Key", &key)),
                Err(error) => {
                    inner += &format!(
                        "<Error>{}{}{}</Error>",
                        tag("Key", &key),
                        tag("Code", error.code()),
                        tag("Message", error.message()),
                    );
                }
            }
        }
        Ok(result("DeleteResult", &inner))
    }
}
