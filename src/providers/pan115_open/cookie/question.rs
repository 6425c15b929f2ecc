//! The upload question of the web clients (sheet section 6.2): a form under signature and token,
//! sealed for the server, and an answer sealed for us.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::api::{Api, Identity, VERSION};
use super::ec115::Agreed;
use super::token::Signed;
use crate::drive::{DriveError, ErrorKind, Result, decode, patience};
use crate::net::{Body, Request, Retry, Secret};
use crate::providers::pan115_open::api::{Repeat, exchange};
use crate::providers::pan115_open::door::{Question, Task};
use crate::providers::pan115_open::errors::{code_of, judge, message_of, refusal};

const INIT: &str = "upload_init";

/// Asks the question; the answer in the open platform's names.
pub async fn init(api: &Api, question: &Question<'_>) -> Result<Value> {
    let who = api.identity().await?;
    let answer = api
        .ask(patience(), |cookie| once(api, question, &who, cookie))
        .await?;
    if decode::integer(&answer["status"]) == Some(6) {
        // The caller starts over; a key that was changed meanwhile is asked for again then.
        api.forget_identity(&who).await;
    }
    Ok(answer)
}

async fn once(api: &Api, question: &Question<'_>, who: &Identity, cookie: Secret) -> Result<Value> {
    let no_random = || DriveError::new(ErrorKind::Invalid, "the system gives no random numbers");
    let now = api.seconds();
    let time = now.to_string();
    let proof = question.proof;
    let signed = Signed {
        user_id: &who.user_id,
        user_key: who.user_key.expose(),
        fileid: question.sha1,
        filesize: question.size,
        target: question.target,
        sign_key: proof.map_or("", |proof| &proof.key),
        sign_val: proof.map_or("", |proof| &proof.value),
        time: &time,
        version: VERSION,
    };
    let (sig, token) = (signed.sig(), signed.token());
    let mut pairs = vec![
        ("appid", "0"),
        ("appversion", VERSION),
        ("userid", &who.user_id),
        ("filename", question.name),
        ("filesize", question.size),
        ("fileid", question.sha1),
        ("target", question.target),
        ("sig", &sig),
        ("t", &time),
        ("token", &token),
    ];
    if proof.is_some() {
        pairs.push(("sign_key", signed.sign_key));
        pairs.push(("sign_val", signed.sign_val));
    }
    let agreed = api.ec115.agree().ok_or_else(no_random)?;
    let k_ec = agreed.k_ec(now).ok_or_else(no_random)?;
    let url = format!("{}/4.0/initupload.php", api.upload);
    let mut request = Request::post(INIT, url)
        .query("k_ec", &k_ec)
        .class("api")
        .header("cookie", cookie.expose())
        .form(&pairs);
    if let Body::Bytes(form) = &request.body {
        request.body = Body::Bytes(Bytes::from(agreed.seal(form)));
    }
    exchange(
        &api.client,
        request,
        Repeat::Unsafe,
        |status, headers, body| verdict(&opened(&agreed, status, headers, body)?),
    )
    .await
}

/// The answer as text: sealed, or plain where the server did not get as far as the key.
fn opened(agreed: &Agreed, status: u16, headers: &HeaderMap, body: &Bytes) -> Result<Value> {
    let text = (200..300)
        .contains(&status)
        .then(|| agreed.open(body))
        .flatten();
    judge(INIT, status, headers, text.as_deref().unwrap_or(body))
}

/// The answer in the open platform's names, or what else it says.
fn verdict(answer: &Value) -> Result<Value> {
    let data = renamed(answer);
    let status = decode::integer(&answer["status"]);
    if !decode::text(&answer["sign_check"]).is_empty() || matches!(status, Some(1 | 2 | 7 | 8)) {
        return Ok(data);
    }
    let code = match decode::text(&answer["statuscode"]) {
        code if code.is_empty() || code == "0" => code_of(answer),
        code => code,
    };
    let said = decode::nonempty(&answer["statusmsg"]).unwrap_or_else(|| message_of(answer));
    match code.as_str() {
        // The signature or the token was refused, also for asking too often.
        "400" | "700" => Ok(json!({ "status": 6 })),
        _ if status == Some(6) => Ok(json!({ "status": 6 })),
        "402" => Err(DriveError {
            kind: ErrorKind::Invalid,
            ..refusal(INIT, &code, &said)
        }),
        "403" => Err(refusal(
            INIT,
            &code,
            &format!("115 wants a newer client version ({said})"),
        )),
        "" => Err(DriveError::bad_answer(INIT, "an answer without a status").retry(Retry::Never)),
        _ => Err(refusal(INIT, &code, &said)),
    }
}

/// The fields that an upload needs, under the open platform's names. A hit has no id here.
fn renamed(answer: &Value) -> Value {
    let of = |key: &str| answer[key].clone();
    json!({
        "status": decode::integer(&answer["status"]),
        "pick_code": of("pickcode"),
        "target": of("target"),
        "sign_key": of("sign_key"),
        "sign_check": of("sign_check"),
        "bucket": of("bucket"),
        "object": of("object"),
        "callback": of("callback"),
    })
}

/// Where an unfinished upload goes, with a fresh callback (section 7.5).
pub async fn resume(api: &Api, task: &Task<'_>) -> Result<Value> {
    let who = api.identity().await?;
    let url = format!("{}/3.0/resumeupload.php", api.upload);
    let pairs = [
        ("pickcode", task.pick_code),
        ("target", task.target),
        ("fileid", task.sha1),
        ("filesize", task.size),
        ("userid", &who.user_id),
    ];
    let answer = api
        .call(patience(), Repeat::Safe, || {
            Request::post("upload_resume", &url)
                .class("api")
                .form(&pairs)
        })
        .await?;
    // The sheet shows the answer of the open mode only, where the fields are one level lower.
    let answer = match &answer["data"] {
        Value::Object(_) => &answer["data"],
        _ => &answer,
    };
    let code = decode::text(&answer["statuscode"]);
    if !matches!(code.as_str(), "" | "0") {
        let said = decode::text(&answer["statusmsg"]);
        return Err(refusal("upload_resume", &code, &said));
    }
    Ok(renamed(answer))
}

/// A session key of the object store (section 7.1). Its address comes from another call, once.
pub async fn store_key(api: &Api) -> Result<Value> {
    let mut key = api
        .call(patience(), Repeat::Safe, || {
            let url = format!("{}/3.0/gettoken.php", api.upload);
            Request::get("upload_key", url).class("api")
        })
        .await?;
    if api.keys.wants_endpoint() {
        let mut address = api.store_address.lock().await;
        if address.is_none() {
            let answer = api
                .call(patience(), Repeat::Safe, || {
                    let url = format!("{}/3.0/getuploadinfo.php", api.upload);
                    Request::get("upload_address", url).class("api")
                })
                .await?;
            *address = decode::nonempty(&answer["endpoint"]);
        }
        key["endpoint"] = json!(*address);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_the_sheet() {
        let hit = json!({"request":"upload","status":2,"statuscode":0,"statusmsg":"",
            "pickcode":"e2r3","target":"U_1_0","version":"4.0","fileid":0,"fileinfo":""});
        let data = verdict(&hit).unwrap();
        assert_eq!(
            (&data["status"], &data["pick_code"]),
            (&json!(2), &json!("e2r3"))
        );
        assert!(data["file_id"].is_null());
        let challenge = json!({"status":"7","statuscode":701,"pickcode":"","sign_key":"A1B2",
            "sign_check":"524288-524415"});
        assert_eq!(verdict(&challenge).unwrap()["sign_check"], "524288-524415");
        let miss = json!({"status":true,"statuscode":0,"pickcode":"p","bucket":"fhnfile",
            "object":"o","callback":{"callback":"c","callback_var":"v"}});
        let data = verdict(&miss).unwrap();
        assert_eq!(
            (&data["status"], &data["bucket"]),
            (&json!(1), &json!("fhnfile"))
        );
        assert_eq!(data["callback"]["callback_var"], "v");
    }

    #[test]
    fn refusals_of_the_sheet() {
        for code in [400, 700] {
            let answer = json!({"status":6,"statuscode":code,"statusmsg":"sig invalid",
                "sign_key":"","sign_check":""});
            assert_eq!(verdict(&answer).unwrap(), json!({ "status": 6 }));
        }
        let old = json!({"status":4,"statuscode":403,"statusmsg":"请升级到最新版本"});
        let error = verdict(&old).unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (ErrorKind::Provider, Some("403"))
        );
        let wrong = json!({"status":0,"statuscode":402,"statusmsg":"x"});
        assert_eq!(verdict(&wrong).unwrap_err().kind, ErrorKind::Invalid);
        let captcha = json!({"status":0,"statuscode":911,"statusmsg":"x"});
        assert_eq!(verdict(&captcha).unwrap_err().kind, ErrorKind::Risk);
        assert_eq!(verdict(&json!({})).unwrap_err().kind, ErrorKind::BadAnswer);
    }

    #[test]
    fn an_answer_that_is_not_sealed_is_judged_all_the_same() {
        let agreed = super::super::ec115::Ec115::new("")
            .unwrap()
            .agree()
            .unwrap();
        let of = |status: u16, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            opened(&agreed, status, &HeaderMap::new(), &body)
        };
        let out = of(200, r#"{"state":false,"errno":990001,"error":"x"}"#).unwrap_err();
        assert_eq!(out.kind, ErrorKind::Auth);
        assert_eq!(of(401, "").unwrap_err().retry, Retry::Backoff);
        assert_eq!(of(405, "<html>").unwrap_err().kind, ErrorKind::Risk);
        assert_eq!(of(200, "garbage").unwrap_err().kind, ErrorKind::BadAnswer);
    }
}
