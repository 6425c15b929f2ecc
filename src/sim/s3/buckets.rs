//! Calls on buckets. Each account has one, for ever.

use super::super::body::set;
use super::super::clock::rfc3339;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::xml::{result, tag};
use super::{REGION, bucket_of};

use axum::response::Response;

/// The owner of everything in an account.
pub(super) fn owner(ctx: &Ctx, name: &str) -> String {
    let id = tag("ID", &format!("{:064x}", ctx.account.number));
    let shown = tag("DisplayName", &ctx.account.profile);
    format!("<{name}>{id}{shown}</{name}>")
}

impl Ctx {
    /// GET on no bucket.
    pub(super) fn list_buckets(&self) -> Response {
        let name = tag("Name", &bucket_of(&self.account));
        let date = tag("CreationDate", &rfc3339(0));
        let owner = owner(self, "Owner");
        let inner = format!("{owner}<Buckets><Bucket>{name}{date}</Bucket></Buckets>");
        result("ListAllMyBucketsResult", &inner)
    }

    /// HEAD on the bucket.
    pub(super) fn head_bucket(&self) -> Response {
        let mut response = Response::default();
        set(&mut response, "x-amz-bucket-region", REGION);
        set(&mut response, "content-type", "application/xml");
        response
    }

    /// GET `?location`.
    pub(super) fn location(&self) -> Response {
        result("LocationConstraint", REGION)
    }

    /// PUT on a bucket: these keys make none.
    pub(super) fn create_bucket(&self) -> Answer {
        let error = match self.own_bucket(&self.bucket) {
            Ok(()) => {
                let text = "Your previous request to create the named bucket succeeded and you \
                            already own it.";
                S3Error::new(409, "BucketAlreadyOwnedByYou", text)
            }
            Err(error) if error.status() == 403 => {
                let text = "The requested bucket name is not available.";
                S3Error::new(409, "BucketAlreadyExists", text)
            }
            Err(_) => S3Error::denied("Access Denied"),
        };
        Err(error)
    }

    /// DELETE on the bucket: never.
    pub(super) fn delete_bucket(&self) -> Answer {
        let root = {
            let tree = self.account.tree();
            let first = tree.children(tree.root()).next();
            first.is_some()
        };
        Err(match root {
            true => {
                let text = "The bucket you tried to delete is not empty";
                S3Error::new(409, "BucketNotEmpty", text)
            }
            false => S3Error::denied("Access Denied"),
        })
    }
}
