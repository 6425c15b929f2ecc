//! Refresh of the access token (sheet section 2.5). The refresh token is single-use.

use async_trait::async_trait;
use serde_json::json;

use super::api::error_of;
use crate::drive::{DriveError, ErrorKind, decode};
use crate::net::{Client, Credentials, FreshTokens, Refresher, Request, Secret, StoreError};

/// Exchanges the refresh token.
pub struct Refresh {
    pub client: Client,
    pub base: String,
    pub client_id: String,
    pub profile: String,
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let Some(refresh_token) = credentials.get("refresh_token").filter(|t| !t.is_empty()) else {
            return Ok(Err(DriveError::new(
                ErrorKind::Auth,
                format!(
                    "profile {}: no usable refresh_token; authorize again",
                    self.profile
                ),
            )));
        };
        let mut body = json!({
            "client_id": self.client_id,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.expose(),
        });
        if let Some(secret) = credentials.get("client_secret").filter(|s| !s.is_empty()) {
            body["client_secret"] = json!(secret.expose());
        }
        let request =
            Request::post("refresh", format!("{}/oauth/access_token", self.base)).json(&body);
        let response = self.client.send(request).await?;
        let status = response.status.as_u16();
        if !response.status.is_success() {
            let headers = response.headers.clone();
            let error = error_of("refresh", status, &headers, response.bytes(64 << 10).await?);
            // 4xx other than throttling is the verdict on the token or the app.
            return if matches!(status, 400 | 401 | 403) {
                Ok(Err(DriveError {
                    kind: ErrorKind::Auth,
                    ..error
                }))
            } else {
                Err(error)
            };
        }
        let answer = response.json().await?;
        let access = decode::nonempty(&answer["access_token"])
            .ok_or_else(|| DriveError::bad_answer("refresh", "no access_token"))?;
        Ok(Ok(FreshTokens {
            access: Secret::new(access),
            refresh: decode::nonempty(&answer["refresh_token"]).map(Secret::new),
            expires_in: decode::unsigned(&answer["expires_in"]).unwrap_or(7200),
        }))
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {error}", self.profile),
        )
    }
}
