//! Download links of the app and web APIs (115_open.md sections 4.4 and 8). The cookies that
//! a link wants are set by the answer that gives it.

use serde_json::{Map, Value, json};

use super::super::Ctx;
use super::super::errors::ApiError;
use super::super::files::sha1_of;
use super::gate::{Reply, granted};
use super::m115::{self, RequestKey};
use super::unhex;

/// Largest file of the plain link.
const PLAIN_MAX: u64 = 200 << 20;

impl Ctx<'_> {
    /// What is inside the field `data`, and the key to answer with.
    fn opened_data(&self) -> Result<(RequestKey, Value), ApiError> {
        let wrong = || ApiError::parameter("data");
        let (key, text) = m115::open(self.required("data")?).ok_or_else(wrong)?;
        let document: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
        match document.is_object() {
            true => Ok((key, document)),
            false => Err(wrong()),
        }
    }

    fn sealed_data(
        &self,
        key: &RequestKey,
        document: &Value,
        cookies: Vec<(String, String)>,
    ) -> Result<Reply, ApiError> {
        let failed = || ApiError::new(990_003, "操作失败");
        let seed = unhex(&self.sim.kit.ids.hex(32)).unwrap_or_default();
        let seed: RequestKey = seed.try_into().map_err(|_| failed())?;
        let data = m115::seal(&document.to_string(), key, &seed).ok_or_else(failed)?;
        Ok(Reply {
            document: json!({ "state": true, "msg": "", "errno": 0, "data": data }),
            cookies,
        })
    }

    /// `POST proapi/app/chrome/downurl`, and what the client of Windows calls: several pick
    /// codes are allowed.
    pub(super) async fn chrome_link(&self) -> Result<Reply, ApiError> {
        let (key, asked) = self.opened_data()?;
        let codes: Vec<String> = asked["pickcode"]
            .as_str()
            .unwrap_or("")
            .split(',')
            .filter(|code| !code.is_empty())
            .map(str::to_owned)
            .collect();
        if codes.is_empty() {
            return Err(ApiError::new(50_001, "提取码不能为空"));
        }
        let (mut data, mut cookies) = (Map::new(), Vec::new());
        let mut refused = None;
        for code in &codes {
            let node = match self.picked(code) {
                Ok(node) => node,
                Err(error) => {
                    if self.flag("link_missing_size") {
                        let none = json!({
                            "file_name": "", "file_size": "-1", "pick_code": code, "url": false,
                        });
                        data.insert(code.clone(), none);
                    }
                    refused.get_or_insert(error);
                    continue;
                }
            };
            let url = match node.stored().filter(|blob| blob.size() > 0) {
                Some(blob) => {
                    let (url, own) = self.link(&node, blob, code, true);
                    cookies.extend(own);
                    let object = format!("fhnfile/{}", sha1_of(&node).await.to_lowercase());
                    json!({ "url": url, "client": 1, "desc": null, "oss_id": object })
                }
                None if node.is_dir() => json!(false),
                None => json!([]),
            };
            let entry = json!({
                "file_name": node.name, "file_size": node.size().to_string(),
                "pick_code": code, "sha1": sha1_of(&node).await, "url": url,
            });
            data.insert(node.id, entry);
        }
        match refused {
            Some(error) if data.is_empty() => Err(error),
            _ => self.sealed_data(&key, &Value::Object(data), cookies),
        }
    }

    /// The address of one file, and the cookies it wants.
    fn one_link(&self, code: &str) -> Result<(Value, Vec<(String, String)>), ApiError> {
        if code.is_empty() {
            return Err(ApiError::new(50_001, "提取码不能为空"));
        }
        let node = self.picked(code)?;
        match node.stored().filter(|blob| blob.size() > 0) {
            Some(blob) => {
                let (url, cookies) = self.link(&node, blob, code, true);
                Ok((json!(url), cookies))
            }
            None => Ok((json!(false), Vec::new())),
        }
    }

    /// `POST proapi/android/2.0/ufile/download`: one pick code.
    pub(super) async fn android_link(&self) -> Result<Reply, ApiError> {
        let (key, asked) = self.opened_data()?;
        let (url, cookies) = self.one_link(asked["pick_code"].as_str().unwrap_or(""))?;
        self.sealed_data(&key, &json!({ "url": url }), cookies)
    }

    /// `GET webapi/files/download`: nothing encrypted, only small files.
    pub(super) async fn plain_link(&self) -> Result<Reply, ApiError> {
        let code = self.text("pickcode");
        if !code.is_empty() && self.picked(code)?.size() > PLAIN_MAX {
            return Err(ApiError::new(
                50_028,
                "文件大小超出限制，请使用115电脑端下载",
            ));
        }
        let (url, cookies) = self.one_link(code)?;
        let node = self.picked(code)?;
        let document = granted(json!({
            "file_url": url, "file_name": node.name, "file_size": node.size().to_string(),
            "pickcode": code, "user_id": super::super::user_id(&self.account),
        }));
        Ok(Reply { document, cookies })
    }
}
