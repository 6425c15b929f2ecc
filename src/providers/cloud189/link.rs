//! What a share's link leads to (sheet section 4.8): who the share is, its access code, its
//! directories and addresses, all asked without a log-in.

use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::answer::judge;
use super::api::{browser, head_of, plain_headers};
use super::error::{RATE_PAUSE, is_too_fast};
use super::list::{self, Place};
use super::read::address_in;
use crate::drive::{
    AccountEffect, DriveContext, DriveError, ErrorKind, Node, Result, Shared, decode, patience,
};
use crate::net::{Client, Request, retry};

/// A share is asked again who it is after this time: it may end or be changed.
const FRESH_MS: i64 = 600_000;

/// What an account needs to take a node over.
pub struct Ticket {
    pub share_id: String,
    pub file_id: String,
    /// As the service spells it.
    pub name: String,
}

impl Ticket {
    /// From what a share handed out.
    ///
    /// # Errors
    /// `Invalid` when it is no ticket of this provider.
    pub fn of(shared: &Shared) -> Result<Ticket> {
        let text = |key: &str| decode::nonempty(&shared.ticket[key]);
        (shared.provider == super::INFO.key)
            .then(|| {
                Some(Ticket {
                    share_id: text("share_id")?,
                    file_id: text("file_id")?,
                    name: text("name")?,
                })
            })
            .flatten()
            .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "no ticket of this provider"))
    }
}

/// What the link leads to.
#[derive(Clone)]
pub struct Info {
    pub share_id: String,
    pub mode: String,
    pub file_id: String,
    pub is_dir: bool,
    /// The one shared file, as far as the answer tells.
    pub item: Value,
    asked_at: i64,
}

/// A link, as a client that is not logged in.
pub struct Link {
    pub client: Client,
    web: String,
    code: String,
    access_code: String,
    profile: String,
    info: RwLock<Option<Info>>,
}

impl Link {
    /// # Errors
    /// `Invalid` when the field is no link and no code.
    pub fn new(context: &DriveContext) -> Result<Link> {
        let (code, in_text) = read_link(context.field("share_code"));
        let code = code.ok_or_else(|| {
            DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "profile {}: share_code is no share code and no link of a share",
                    context.profile
                ),
            )
        })?;
        Ok(Link {
            client: browser(context)?,
            web: context.endpoint("web")?.to_owned(),
            code,
            access_code: match context.field("access_code").trim() {
                "" => in_text.unwrap_or_default(),
                given => given.to_owned(),
            },
            profile: context.profile.clone(),
            info: RwLock::new(None),
        })
    }

    /// A call of the open door, without a log-in.
    async fn call(
        &self,
        op: &'static str,
        class: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Value> {
        let answer = retry(patience(), || async {
            let url = format!("{}/api/open{path}", self.web);
            let mut request = Request::get(op, url).class(class);
            for (key, value) in query {
                request = request.query(key, value);
            }
            let request = plain_headers(request).header("sign-type", "1");
            let response = self.client.send(request).await?;
            let head = head_of(&response);
            let body = response.bytes(16 << 20).await?;
            judge(op, head, &body)
        })
        .await;
        match answer {
            Ok(answer) => {
                self.client.breaker().heal();
                Ok(answer)
            }
            Err(error) => {
                if let AccountEffect::CoolDown(pause) = error.account {
                    self.client.breaker().trip(pause, &error.to_string());
                }
                if is_too_fast(&error) {
                    self.client.breaker().trip(RATE_PAUSE, &error.to_string());
                }
                // Nobody is logged in: there is nothing to refresh.
                Err(error.effect(AccountEffect::None))
            }
        }
    }

    /// Steps 1 and 2 of the sheet, asked again from time to time.
    pub async fn info(&self) -> Result<Info> {
        let now = self.client.clock().now_ms();
        let is_fresh = |info: &&Info| now.saturating_sub(info.asked_at) < FRESH_MS;
        if let Some(info) = self.info.read().await.as_ref().filter(is_fresh) {
            return Ok(info.clone());
        }
        let mut kept = self.info.write().await;
        if let Some(info) = kept.as_ref().filter(is_fresh) {
            return Ok(info.clone());
        }
        let query = [("shareCode", self.code.as_str())];
        let answer = self
            .call(
                "share_info",
                "other",
                "/share/getShareInfoByCodeV2.action",
                &query,
            )
            .await?;
        let mut share_id = decode::nonempty(&answer["shareId"]);
        if decode::flag(&answer["needAccessCode"]) || share_id.is_none() {
            if self.access_code.is_empty() {
                return Err(self.refused("this share wants an access code; give it in access_code"));
            }
            let query = [
                ("shareCode", self.code.as_str()),
                ("accessCode", self.access_code.as_str()),
            ];
            let checked = self
                .call(
                    "share_code",
                    "other",
                    "/share/checkAccessCode.action",
                    &query,
                )
                .await?;
            // A wrong code may be told by leaving the id out.
            share_id = decode::nonempty(&checked["shareId"]);
        }
        let share_id =
            share_id.ok_or_else(|| self.refused("the access code of this share is wrong"))?;
        let info = Info {
            share_id,
            mode: decode::text(&answer["shareMode"]),
            file_id: decode::nonempty(&answer["fileId"])
                .ok_or_else(|| DriveError::bad_answer("share_info", "no fileId"))?,
            is_dir: decode::flag(&answer["isFolder"]),
            item: json!({
                "id": answer["fileId"],
                "name": answer["fileName"],
                "size": answer["fileSize"],
                "md5": answer["md5"],
                "createDate": answer["fileCreateDate"],
                "lastOpTime": answer["fileLastOpTime"],
            }),
            asked_at: now,
        };
        *kept = Some(info.clone());
        Ok(info)
    }

    fn refused(&self, what: &str) -> DriveError {
        DriveError::new(ErrorKind::Auth, format!("profile {}: {what}", self.profile))
    }

    /// Step 3.
    pub async fn list_of(
        &self,
        info: &Info,
        id: &str,
        is_dir: bool,
        place: Place,
    ) -> Result<Value> {
        let (page, size) = (place.page.to_string(), list::PAGE_SIZE.to_string());
        let query = [
            ("pageNum", page.as_str()),
            ("pageSize", &size),
            ("fileId", id),
            ("shareDirFileId", id),
            ("isFolder", if is_dir { "true" } else { "false" }),
            ("shareId", &info.share_id),
            ("shareMode", &info.mode),
            ("iconOption", "0"),
            ("orderBy", "lastOpTime"),
            ("descending", "true"),
            ("accessCode", &self.access_code),
        ];
        self.call("list", "list", "/share/listShareDir.action", &query)
            .await
    }

    /// The address of a shared file. The sheet wants a log-in for it; whatever the service says to
    /// nobody is made plain.
    pub async fn address(&self, node: &Node) -> Result<String> {
        let info = self.info().await?;
        let query = [
            ("fileId", node.id.as_str()),
            ("dt", "1"),
            ("shareId", &info.share_id),
        ];
        let path = "/file/getFileDownloadUrl.action";
        match self.call("download_link", "link", path, &query).await {
            Ok(answer) => address_in(&answer),
            Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::TooLarge) => {
                Err(DriveError {
                    kind: ErrorKind::Auth,
                    ..self.refused(
                        "a share can be listed without a log-in, not read; copy the file to a drive of an account of 189cloud, which takes it over without a download, or give this profile a log-in",
                    )
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// The share code in a link or a text around it, and the access code in that text.
fn read_link(text: &str) -> (Option<String>, Option<String>) {
    let is_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let run = |text: &str| -> String { text.chars().take_while(|c| is_code(*c)).collect() };
    let after = |mark: &str| {
        text.find(mark)
            .and_then(|at| text.get(at + mark.len()..))
            .map(run)
            .filter(|code| !code.is_empty())
    };
    let bare = text.trim();
    let code = ["/t/", "shareCode=", "code="]
        .into_iter()
        .find_map(after)
        .or_else(|| {
            let is_bare = !bare.is_empty() && bare.chars().all(is_code);
            is_bare.then(|| bare.to_owned())
        });
    // "access code" in the words of the service, with either colon.
    let access = [
        "\u{8bbf}\u{95ee}\u{7801}\u{ff1a}",
        "\u{8bbf}\u{95ee}\u{7801}:",
    ]
    .into_iter()
    .find_map(|mark| {
        let at = text.find(mark)?;
        Some(run(text.get(at + mark.len()..)?.trim_start()))
    })
    .filter(|code| !code.is_empty());
    (code, access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_links_and_texts() {
        for text in [
            "https://cloud.189.cn/t/Ab12Cd34",
            "https://cloud.189.cn/web/share?code=Ab12Cd34",
            "https://h5.cloud.189.cn/share.html#/t/Ab12Cd34",
            "https://content.21cn.com/h5/x?a=1&shareCode=Ab12Cd34&b=2",
            " Ab12Cd34 ",
        ] {
            assert_eq!(
                read_link(text),
                (Some("Ab12Cd34".to_owned()), None),
                "{text}"
            );
        }
        let text =
            "https://cloud.189.cn/t/Ab12Cd34\u{ff08}\u{8bbf}\u{95ee}\u{7801}\u{ff1a}ab12\u{ff09}";
        assert_eq!(
            read_link(text),
            (Some("Ab12Cd34".to_owned()), Some("ab12".to_owned()))
        );
        for text in ["", "  ", "https://example.org/", "two words"] {
            assert_eq!(read_link(text).0, None, "{text}");
        }
    }
}
