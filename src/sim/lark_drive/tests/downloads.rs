//! Downloads (section 8).

use super::*;

impl Client {
    async fn read(&self, token: &str, range: &str) -> (u16, String, Vec<u8>) {
        let path = format!("drive/v1/files/{token}/download");
        let mut ask = self.ask(Method::GET, &path);
        if !range.is_empty() {
            ask = ask.header("range", range);
        }
        let answer = ask.send().await.unwrap();
        let status = answer.status().as_u16();
        let told = answer.headers().get("content-range");
        let told = told.map_or("", |value| value.to_str().unwrap()).to_owned();
        (status, told, answer.bytes().await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn ranges_of_files_only() {
    let client = Client::new().await;
    let file = client.seed("/a.bin", b"0123456789");
    let got = client.read(&file, "").await;
    assert_eq!(got, (200, String::new(), b"0123456789".to_vec()));
    let got = client.read(&file, "bytes=2-4").await;
    assert_eq!(got, (206, "bytes 2-4/10".to_owned(), b"234".to_vec()));
    let got = client.read(&file, "bytes=10-").await;
    assert_eq!((got.0, got.1.as_str()), (416, "bytes */10"));
    let path = format!("drive/v1/files/{file}/download");
    let answer = client.ask(Method::GET, &path).send().await.unwrap();
    let told = answer.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(told, "attachment; filename=\"a.bin\"");
    assert_eq!(answer.bytes().await.unwrap().len(), 10);
    assert_eq!(client.stat().bytes_down, 23);
    client.set("add:/doc", "docx");
    client.set("add:/link", "shortcut:/a.bin");
    let data = client.get("drive/v1/files").await.data();
    for entry in data["files"].as_array().unwrap() {
        let token = entry["token"].as_str().unwrap();
        let path = format!("drive/v1/files/{token}/download");
        if entry["type"] != "file" {
            assert_eq!(
                client.get(&path).await.code(),
                1_061_003,
                "{}",
                entry["type"]
            );
        }
    }
    let folder = client.mkdir("/d");
    let path = format!("drive/v1/files/{folder}/download");
    assert_eq!(client.get(&path).await.code(), 1_061_003);
    client.delete(&file, "file", "").await.data();
    let path = format!("drive/v1/files/{file}/download");
    assert_eq!(client.get(&path).await.code(), 1_061_007);
}

#[tokio::test]
async fn refused_spoilt_and_broken() {
    let client = Client::new().await;
    let file = client.seed("/a", b"0123456789");
    let path = format!("drive/v1/files/{file}/download");
    client.set("deny_download", "on");
    let got = client.get(&path).await;
    assert_eq!((got.status, got.code()), (403, 1_061_004));
    client.set("deny_download", "bare");
    assert_eq!(
        client.read(&file, "").await,
        (403, String::new(), Vec::new())
    );
    client.set("deny_download", "off");
    client.fault("download", FaultKind::Corrupt, "");
    assert_ne!(client.read(&file, "").await.2, b"0123456789");
    client.fault("download", FaultKind::Cut, "5");
    let answer = client.ask(Method::GET, &path).send().await.unwrap();
    assert!(answer.bytes().await.is_err());
    client.fault("download", FaultKind::Html, "");
    assert!(client.read(&file, "").await.2.starts_with(b"<!DOCTYPE"));
    client.set("withhold", "drive:file:download");
    assert_eq!(client.get(&path).await.code(), 99_991_679);
}

#[tokio::test]
async fn redirects_lead_to_another_host() {
    let client = Client::new().await;
    let file = client.seed("/\u{e4}.bin", b"0123456789");
    client.set("redirect", "on");
    let path = format!("drive/v1/files/{file}/download");
    let answer = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let address = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(address.contains("//localhost:"), "{address}");
    let address = address.replace("localhost", "127.0.0.1");
    let ask = || client.http.get(&address).header("range", "bytes=0-3");
    let answer = ask().send().await.unwrap();
    assert_eq!(answer.status(), 206);
    let told = answer.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(told, "attachment; filename*=UTF-8''%C3%A4.bin");
    assert_eq!(&answer.bytes().await.unwrap()[..], b"0123");
    let leaked = ask().bearer_auth(&client.access).send().await.unwrap();
    assert_eq!(leaked.status(), 400);
    client.fault("stream", FaultKind::ExpireLink, "");
    assert_eq!(ask().send().await.unwrap().status(), 403);
    assert_eq!(ask().send().await.unwrap().status(), 404);
}
