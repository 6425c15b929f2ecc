//! Spaces: several trees of one account, two of them behind a password of their own
//! (xunlei.md section 4.11).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::digest::md5_hex;
use super::super::tree::{Node, Tree};
use super::errors::ApiError;
use super::gate::{Ctx, header};
use super::{Xunlei, text};
use axum::http::HeaderMap;

/// A token that opens the safe boxes of an account.
pub(super) struct SpaceToken {
    profile: String,
    expires: i64,
}

/// Id of an account's root inside the tree; the API writes it as an empty text.
pub(super) fn root_id(number: usize) -> String {
    format!("root:{number}")
}

/// Roots of an account: the drive, both safe boxes, and the folder of fluent play.
pub(super) fn roots(number: usize) -> Vec<String> {
    vec![
        root_id(number),
        format!("safe:{number}"),
        format!("browser_safe:{number}"),
        format!("favorite:{number}"),
    ]
}

/// Whether an id is one of a root.
pub(super) fn is_root(id: &str) -> bool {
    id.contains(':')
}

/// The root behind the name of a space. The former browser drive is merged into the drive.
fn root_of(space: &str, number: usize) -> Option<String> {
    let roots = roots(number);
    let index = match space {
        "" | "SPACE_BROWSER" => 0,
        "SPACE_SAFE" => 1,
        "SPACE_BROWSER_SAFE" => 2,
        "SPACE_FAVORITE" => 3,
        _ => return None,
    };
    roots.get(index).cloned()
}

/// Whether a space is a safe box.
pub(super) fn is_safe(space: &str) -> bool {
    matches!(space, "SPACE_SAFE" | "SPACE_BROWSER_SAFE")
}

/// The name of the space a node lies in.
pub(super) fn name_of(tree: &Tree, id: &str) -> &'static str {
    let root = tree.root_of(id).unwrap_or("");
    match root.split(':').next() {
        Some("safe") => "SPACE_SAFE",
        Some("browser_safe") => "SPACE_BROWSER_SAFE",
        Some("favorite") => "SPACE_FAVORITE",
        _ => "",
    }
}

/// The password of an account's safe boxes.
fn safe_password(account: &Account) -> String {
    (123_455 + account.number).to_string()
}

impl Xunlei {
    /// Setting `default_folders`: the folders every real account has.
    pub(super) fn make_default_folders(&self, account: &Account) {
        let now = self.kit.clock.now_ms();
        let mut tree = account.tree();
        let root = tree.root().to_owned();
        for (name, kind) in [("我的转存", "RESTORE"), ("云添加", "DOWNLOAD")] {
            if tree.find(&root, name).is_empty() {
                let mut node = Node::dir(&self.file_id(), &root, name, now);
                node.extra.insert("folder_type".to_owned(), json!(kind));
                tree.insert(node);
            }
        }
    }
}

impl Ctx<'_> {
    /// The space of the call: a query parameter or a member of the body.
    pub(super) fn space(&self) -> &str {
        match self.param("space") {
            "" => text(&self.body, "space"),
            space => space,
        }
    }

    /// Id of the root of a space.
    pub(super) fn root(&self, space: &str) -> Result<String, ApiError> {
        let root = root_of(space, self.account.number);
        root.ok_or_else(|| ApiError::bad_request("unknown space"))
    }

    /// Whether the spaces of the call are open to it.
    pub(super) fn check_space(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let to = self.body.get("to").map_or("", |to| text(to, "space"));
        let spaces = [self.space(), to, self.param("_from")];
        if !spaces.iter().any(|space| is_safe(space)) {
            return Ok(());
        }
        let now = self.sim.kit.clock.now_ms();
        let state = self.sim.state();
        let token = state
            .space_tokens
            .get(header(headers, "x-space-authorization"));
        let open =
            token.is_some_and(|token| token.profile == self.account.profile && now < token.expires);
        match open {
            true => Ok(()),
            false => Err(ApiError::space_token()),
        }
    }

    /// `POST /v1/password/check`.
    pub(super) fn safe_password(&self) -> Result<Value, ApiError> {
        if text(&self.body, "scene") != "box" {
            return Err(ApiError::bad_request("unknown scene"));
        }
        let expected = md5_hex(safe_password(&self.account).as_bytes());
        if text(&self.body, "password") != expected {
            let text = "The password is not correct";
            return Err(ApiError::new(400, 400, "invalid_password", text));
        }
        let token = format!("st.{}", self.sim.kit.ids.hex(40));
        let life = self.knob_ms("space_token_life_s", 1800);
        let entry = SpaceToken {
            profile: self.account.profile.clone(),
            expires: self.now().saturating_add(life.saturating_mul(1000)),
        };
        self.sim.state().space_tokens.insert(token.clone(), entry);
        Ok(json!({ "token": token }))
    }
}
