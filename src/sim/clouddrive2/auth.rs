//! Who calls: user name and password for a JWT, API tokens with a root folder and permissions
//! (clouddrive2.md section 2).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::http::HeaderMap;
use tonic::Status;

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::CloudDrive2;
use super::gate::{Call, header};
use super::messages::{
    CloudDriveSystemInfo, CreateTokenRequest, GetTokenRequest, JwtToken, ListTokensResult,
    ModifyTokenRequest, StringValue, Timestamp, TokenInfo, TokenPermissions,
};
use super::methods::Method;

/// The code of the second factor, for accounts that have one.
pub(super) const TOTP: &str = "246810";

/// What a caller may do.
#[derive(Clone)]
pub(super) struct Access {
    /// The token; empty for calls without one.
    pub token: String,
    /// The folder its calls are limited to.
    pub root: String,
}

impl Access {
    /// Of a call that needs no token.
    pub(super) fn nobody() -> Access {
        Access {
            token: String::new(),
            root: "/".to_owned(),
        }
    }
}

/// A token made by [`CreateTokenRequest`], or the one of a profile.
#[derive(Clone)]
struct ApiToken {
    profile: String,
    root: String,
    permissions: TokenPermissions,
    /// Milliseconds since 1970.
    until: Option<i64>,
    name: String,
    logs: (bool, bool),
}

impl ApiToken {
    fn info(&self, token: &str, now: i64) -> TokenInfo {
        let left = |until: i64| {
            let ms = u64::try_from(until.saturating_sub(now)).unwrap_or(0);
            ms.div_ceil(1000)
        };
        TokenInfo {
            token: token.to_owned(),
            root_dir: self.root.clone(),
            permissions: Some(self.permissions.clone()),
            expires_in: self.until.map(left),
            friendly_name: self.name.clone(),
            enable_grpc_log: self.logs.0,
            enable_stream_file_log: self.logs.1,
        }
    }
}

/// All tokens.
#[derive(Default)]
pub(super) struct Tokens {
    /// Profile and end by JWT.
    jwts: HashMap<String, (String, i64)>,
    api: BTreeMap<String, ApiToken>,
    /// The API token of a profile.
    given: HashMap<String, String>,
}

impl Tokens {
    fn profile_of(&self, token: &str) -> Option<&str> {
        let jwt = self.jwts.get(token).map(|(profile, _)| profile.as_str());
        jwt.or_else(|| self.api.get(token).map(|api| api.profile.as_str()))
    }

    /// Ends all JWTs of an account.
    pub(super) fn end_jwts(&mut self, profile: &str) {
        self.jwts.retain(|_, (owner, _)| owner != profile);
    }
}

/// What an account logs in with: user name, password.
pub(super) fn login(account: &Account) -> (String, String) {
    (
        format!("user{}@example.com", account.number),
        format!("cd2-{}-secret", account.number),
    )
}

/// Seconds from now on in milliseconds since 1970; none for 0 (section 2.3: never).
fn until(now: i64, seconds: u64) -> Option<i64> {
    let ms = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    (seconds > 0).then(|| now.saturating_add(ms))
}

fn unauthenticated(why: &str) -> Status {
    Status::unauthenticated(why)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Status> {
    header(headers, "authorization")
        .strip_prefix("Bearer ")
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| unauthenticated("no bearer token"))
}

impl CloudDrive2 {
    pub(super) fn user(&self, name: &str) -> Option<Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| login(account).0 == name).cloned()
    }

    /// The account a token belongs to.
    pub(super) fn owner(&self, token: &str) -> Option<Arc<Account>> {
        let profile = self.state().tokens.profile_of(token)?.to_owned();
        let mut all = self.kit.accounts.iter();
        all.find(|account| account.profile == profile).cloned()
    }

    /// The account of a call, by its token, whatever that is worth by now.
    pub(super) fn account_of(&self, headers: &HeaderMap) -> Result<Arc<Account>, Status> {
        let token = bearer(headers)?;
        self.owner(token)
            .ok_or_else(|| unauthenticated("token is not valid"))
    }

    /// Whether the token is good for a method (section 11, check 1).
    pub(super) fn check(
        &self,
        account: &Account,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Access, Status> {
        let token = bearer(headers)?;
        let struck = account.faults.take(method.op, FaultKind::ExpireToken);
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        if struck.is_some() {
            state.tokens.jwts.remove(token);
            if let Some(api) = state.tokens.api.get_mut(token) {
                api.until = Some(now);
            }
        }
        let (root, permissions) = match state.tokens.jwts.get(token) {
            Some((_, until)) if now < *until => ("/".to_owned(), TokenPermissions::all()),
            Some(_) => return Err(unauthenticated("token expired")),
            None => match state.tokens.api.get(token) {
                Some(api) if api.until.is_none_or(|until| now < until) => {
                    (api.root.clone(), api.permissions.clone())
                }
                _ => return Err(unauthenticated("token expired")),
            },
        };
        let denied = account.knobs.text("deny").unwrap_or_default();
        let denied = denied
            .split(',')
            .any(|number| number.trim().parse() == Ok(method.permission));
        if denied || (method.permission > 0 && !permissions.allows(method.permission)) {
            let why = format!("token lacks permission {}", method.permission);
            return Err(Status::permission_denied(why));
        }
        Ok(Access {
            token: token.to_owned(),
            root,
        })
    }

    /// The API token of an account's profile, made when it is first asked for.
    pub(super) fn profile_token(&self, account: &Account) -> String {
        let mut state = self.state();
        if let Some(token) = state.tokens.given.get(&account.profile) {
            return token.clone();
        }
        let token = self.kit.ids.hex(32);
        let root = account.knobs.text("token_root");
        let api = ApiToken {
            profile: account.profile.clone(),
            root: root.unwrap_or_else(|| "/".to_owned()),
            permissions: TokenPermissions::all(),
            until: None,
            name: "panfuse".to_owned(),
            logs: (false, false),
        };
        state.tokens.api.insert(token.clone(), api);
        let profile = account.profile.clone();
        state.tokens.given.insert(profile, token.clone());
        token
    }

    /// Limits the API token of an account's profile.
    pub(super) fn limit_token(&self, account: &Account, root: &str) {
        let token = self.profile_token(account);
        if let Some(api) = self.state().tokens.api.get_mut(&token) {
            api.root = root.to_owned();
        }
    }

    /// The account's API token ends, or all its JWTs do.
    pub(super) fn log_out(&self, account: &Account, what: &str) {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        state.tokens.end_jwts(&account.profile);
        if what == "all" {
            let own = state.tokens.api.values_mut();
            own.filter(|api| api.profile == account.profile)
                .for_each(|api| api.until = Some(now));
        }
    }
}

impl Call {
    pub(super) async fn system_info(self) -> Result<CloudDriveSystemInfo, Status> {
        let (name, _) = login(&self.account);
        let tail = name.rsplit('.').next().unwrap_or("");
        let ready = !self.account.knobs.flag("starting");
        Ok(CloudDriveSystemInfo {
            is_login: true,
            user_name: format!("us***.{tail}"),
            system_ready: ready,
            system_message: (!ready).then(|| "starting".to_owned()),
            has_error: None,
        })
    }

    /// Failure is status OK with `success` false (section 2.2).
    pub(super) async fn get_token(self, request: GetTokenRequest) -> Result<JwtToken, Status> {
        let knobs = &self.account.knobs;
        let (name, password) = login(&self.account);
        let failed = |why: &str| {
            Ok(JwtToken {
                error_message: why.to_owned(),
                ..JwtToken::default()
            })
        };
        if request.user_name != name || request.password != password {
            return failed("invalid username or password");
        }
        if knobs.flag("totp") && request.totp_code.as_deref() != Some(TOTP) {
            return failed("two-factor code is missing or wrong");
        }
        let now = self.sim.kit.clock.now_ms();
        let life = knobs.number("jwt_life_s", 86_400);
        let end = until(now, life).unwrap_or(now);
        let ids = &self.sim.kit.ids;
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", ids.hex(40), ids.hex(43));
        let owner = (self.account.profile.clone(), end);
        self.sim.state().tokens.jwts.insert(token.clone(), owner);
        self.account.meters.refresh();
        Ok(JwtToken {
            success: true,
            error_message: String::new(),
            token,
            expiration: Some(Timestamp::of_ms(end)),
        })
    }

    pub(super) async fn token_info(self, request: StringValue) -> Result<TokenInfo, Status> {
        let now = self.sim.kit.clock.now_ms();
        let state = self.sim.state();
        let api = state.tokens.api.get(&request.value);
        api.filter(|api| api.until.is_none_or(|until| now < until))
            .map(|api| api.info(&request.value, now))
            .ok_or_else(|| Status::not_found("token not found"))
    }

    pub(super) async fn create_token(
        self,
        request: CreateTokenRequest,
    ) -> Result<TokenInfo, Status> {
        if !request.root_dir.starts_with('/') {
            return Err(Status::invalid_argument("rootDir is not a path"));
        }
        let now = self.sim.kit.clock.now_ms();
        let token = self.sim.kit.ids.hex(32);
        let api = ApiToken {
            profile: self.account.profile.clone(),
            root: request.root_dir,
            permissions: request.permissions.unwrap_or_default(),
            until: until(now, request.expires_in.unwrap_or(0)),
            name: request.friendly_name,
            logs: (
                request.enable_grpc_log.unwrap_or(false),
                request.enable_stream_file_log.unwrap_or(false),
            ),
        };
        let info = api.info(&token, now);
        self.sim.state().tokens.api.insert(token, api);
        Ok(info)
    }

    pub(super) async fn modify_token(
        self,
        request: ModifyTokenRequest,
    ) -> Result<TokenInfo, Status> {
        let now = self.sim.kit.clock.now_ms();
        let mut state = self.sim.state();
        let own = |api: &&mut ApiToken| api.profile == self.account.profile;
        let api = state.tokens.api.get_mut(&request.token).filter(own);
        let api = api.ok_or_else(|| Status::not_found("token not found"))?;
        if let Some(root) = request.root_dir {
            api.root = root;
        }
        if let Some(permissions) = request.permissions {
            api.permissions = permissions;
        }
        if let Some(name) = request.friendly_name {
            api.name = name;
        }
        if let Some(seconds) = request.expires_in {
            api.until = until(now, seconds);
        }
        api.logs.0 = request.enable_grpc_log.unwrap_or(api.logs.0);
        api.logs.1 = request.enable_stream_file_log.unwrap_or(api.logs.1);
        Ok(api.info(&request.token, now))
    }

    pub(super) async fn remove_token(self, request: StringValue) -> Result<(), Status> {
        let mut state = self.sim.state();
        let tokens = &mut state.tokens;
        match tokens.api.get(&request.value) {
            Some(api) if api.profile == self.account.profile => {
                tokens.api.remove(&request.value);
                tokens.given.retain(|_, token| *token != request.value);
                Ok(())
            }
            _ => Err(Status::not_found("token not found")),
        }
    }

    pub(super) async fn list_tokens(self) -> Result<ListTokensResult, Status> {
        let now = self.sim.kit.clock.now_ms();
        let state = self.sim.state();
        let own = state.tokens.api.iter();
        let tokens = own
            .filter(|(_, api)| api.profile == self.account.profile)
            .map(|(token, api)| api.info(token, now))
            .collect();
        Ok(ListTokensResult { tokens })
    }
}
