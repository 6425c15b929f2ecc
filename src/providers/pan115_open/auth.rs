//! Refresh of the access token (sheet section 2.1). The refresh token is single-use and the
//! call takes neither app id nor secret.

use async_trait::async_trait;
use std::time::Duration;

use super::errors::{judge, refusal};
use crate::drive::{DriveError, ErrorKind, decode};
use crate::net::{
    Client, Credentials, FreshTokens, NetErrorKind, Refresher, Request, Retry, Secret, StoreError,
};

/// Exchanges the refresh token.
pub struct Refresh {
    pub client: Client,
    /// Base URL of the passport host.
    pub passport: String,
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
        let request = Request::post("refresh", format!("{}/open/refreshToken", self.passport))
            .form(&[("refresh_token", refresh_token.expose())]);
        // A lost answer may have spent the token: sending it again at once helps nobody.
        let lost = |error: crate::net::NetError| {
            let arrived = error.kind != NetErrorKind::Connect;
            let error = DriveError::from(error);
            if arrived {
                error.retry(Retry::Never)
            } else {
                error
            }
        };
        let response = self.client.send(request).await.map_err(lost)?;
        let status = response.status.as_u16();
        let headers = response.headers.clone();
        let body = response.bytes(64 << 10).await.map_err(lost)?;
        let answer = match judge("refresh", status, &headers, &body) {
            Ok(answer) => answer,
            Err(error) => return verdict(error),
        };
        let data = &answer["data"];
        let access = decode::nonempty(&data["access_token"])
            .ok_or_else(|| DriveError::bad_answer("refresh", "no access_token"))?;
        Ok(Ok(FreshTokens {
            access: Secret::new(access),
            refresh: decode::nonempty(&data["refresh_token"]).map(Secret::new),
            expires_in: decode::unsigned(&data["expires_in"]).unwrap_or(7200),
        }))
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        DriveError::new(
            ErrorKind::Auth,
            format!("profile {}: {error}", self.profile),
        )
    }
}

/// Which refusals mean that the refresh token is spent (section 10.3).
fn verdict(error: DriveError) -> Result<Result<FreshTokens, DriveError>, DriveError> {
    let code = error.code.clone().unwrap_or_default();
    let plain = |kind, text: &str| {
        let told = refusal("refresh", &code, text);
        DriveError { kind, ..told }
            .retry(Retry::Never)
            .effect(crate::drive::AccountEffect::None)
    };
    match code.as_str() {
        "40140114" | "40140115" | "40140116" | "40140119" | "40140120" => Ok(Err(plain(
            ErrorKind::Auth,
            "the refresh token is spent, expired or withdrawn; authorize again",
        ))),
        "40140117" => Err(plain(ErrorKind::RateLimited, "refreshing too often")
            .retry(Retry::After(Duration::from_secs(120)))),
        "40140121" => {
            Err(plain(ErrorKind::Provider, "the refresh failed; again later").retry(Retry::Never))
        }
        "40140118" => Err(plain(
            ErrorKind::Auth,
            "the certification of the app expired; authorize with another app id",
        )),
        "40140122" => Err(plain(
            ErrorKind::Auth,
            "this account authorized too many apps; remove one in the 115 app",
        )),
        _ => Err(error.effect(crate::drive::AccountEffect::None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        verdict(refusal("refresh", code, "x"))
    }

    #[test]
    fn a_spent_token_is_told_apart_from_trouble() {
        for code in ["40140116", "40140119", "40140114"] {
            assert_eq!(of(code).unwrap().unwrap_err().kind, ErrorKind::Auth);
        }
        assert_eq!(of("40140117").unwrap_err().kind, ErrorKind::RateLimited);
        assert_eq!(of("40140121").unwrap_err().kind, ErrorKind::Provider);
        // Never a reason to refresh while refreshing.
        assert_eq!(
            of("40140125").unwrap_err().account,
            crate::drive::AccountEffect::None
        );
    }
}
