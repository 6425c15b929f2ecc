//! The access key, as the signer asks for it. Signing itself is done by OpenDAL's signer, reqsign; no
//! other source of keys is looked at: neither the environment, nor `~/.aws`, nor a cloud's metadata.

use std::fmt;
use std::sync::Arc;

use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, ProvideCredential, Signer};

use super::error::S3Dialect;
use crate::drive::{DriveContext, DriveError, ErrorKind};
use crate::net::{CredentialStore, Retry};

/// The access key of a profile.
#[derive(Clone)]
pub struct Keys {
    id: String,
    store: Arc<dyn CredentialStore>,
    dialect: Arc<S3Dialect>,
}

impl Keys {
    pub fn new(context: &DriveContext, dialect: Arc<S3Dialect>) -> Keys {
        Keys {
            id: context.field("access_key_id").to_owned(),
            store: context.credentials.clone(),
            dialect,
        }
    }

    /// Signs the requests that OpenDAL has no operation for.
    pub fn signer(self, region: &str) -> Signer<Credential> {
        Signer::new(Context::new(), self, RequestSigner::new("s3", region))
    }

    async fn load(&self) -> Result<Credential, DriveError> {
        let credentials = self.store.load().await.map_err(|error| {
            let message = format!("the credentials cannot be read: {error}");
            DriveError::new(ErrorKind::LocalDisk, message).retry(Retry::Backoff)
        })?;
        let secret = credentials.get("secret_access_key");
        let secret = secret.filter(|secret| !secret.is_empty()).ok_or_else(|| {
            DriveError::new(ErrorKind::Auth, "the profile has no secret_access_key")
        })?;
        let session = credentials.get("session_token");
        let session = session.filter(|token| !token.is_empty());
        Ok(Credential {
            access_key_id: self.id.clone(),
            secret_access_key: secret.expose().to_owned(),
            session_token: session.map(|token| token.expose().to_owned()),
            expires_in: None,
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl ProvideCredential for Keys {
    type Credential = Credential;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credential>> {
        match self.load().await {
            Ok(credential) => Ok(Some(credential)),
            Err(error) => {
                let refused = reqsign_core::Error::credential_invalid(error.to_string());
                // The chain of sources drops the reason.
                self.dialect.keyless(error);
                Err(refused)
            }
        }
    }
}
