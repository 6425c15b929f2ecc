//! Logins, tokens, transport, faults at the gate.

use tonic::Code;

use super::*;

#[tokio::test]
async fn a_password_gives_a_token_that_ends() {
    let client = Client::new().await;
    let (code, _) = {
        let bare = Client::bare(&client.world, "cd2");
        bare.refused("GetMachineId", ()).await
    };
    assert_eq!(code, Code::Unauthenticated);
    let machine: StringResult = client.ask("GetMachineId", ()).await.unwrap();
    assert!(!machine.result.is_empty());
    let wrong = GetTokenRequest {
        user_name: "user1@example.com".to_owned(),
        password: "guess".to_owned(),
        totp_code: None,
    };
    let refused: JwtToken = client.ask("GetToken", wrong).await.unwrap();
    assert!(!refused.success && !refused.error_message.is_empty());
    assert_eq!(client.stat().refreshes, 1);
    // It lives a day.
    client.world.clock_advance(86_500_000);
    let (code, _) = client.refused("GetMachineId", ()).await;
    assert_eq!(code, Code::Unauthenticated);
    let jwt = client.login().await;
    let end = jwt.expiration.unwrap().seconds;
    assert!(end > client.world.clock().now_s() + 86_000);
    client.fault("machine_id", FaultKind::ExpireToken, "");
    let (code, _) = client.refused("GetMachineId", ()).await;
    assert_eq!(code, Code::Unauthenticated);
    client.login().await;
    client.set("log_out", "jwts");
    let (code, _) = client.refused("GetMachineId", ()).await;
    assert_eq!(code, Code::Unauthenticated);
    // A second factor, when the account has one.
    client.set("totp", "on");
    let mut request = GetTokenRequest {
        user_name: "user1@example.com".to_owned(),
        password: client.world.profile("cd2").unwrap().secrets["password"].clone(),
        totp_code: None,
    };
    let refused: JwtToken = client.ask("GetToken", request.clone()).await.unwrap();
    assert!(!refused.success);
    request.totp_code = Some("246810".to_owned());
    let jwt: JwtToken = client.ask("GetToken", request).await.unwrap();
    assert!(jwt.success);
    let info: CloudDriveSystemInfo = client.ask("GetSystemInfo", ()).await.unwrap();
    assert!(info.is_login && info.system_ready);
    client.login().await;
}

#[tokio::test]
async fn api_tokens_are_limited() {
    let client = Client::new().await;
    client.seed("/in/a", &pattern(3));
    client.seed("/out/b", &pattern(3));
    let mut permissions = TokenPermissions::default();
    permissions.set(1, true);
    let request = CreateTokenRequest {
        root_dir: "/115open/in".to_owned(),
        permissions: Some(permissions),
        friendly_name: "reader".to_owned(),
        expires_in: Some(60),
        ..CreateTokenRequest::default()
    };
    let made: TokenInfo = client.ask("CreateToken", request).await.unwrap();
    let value = StringValue {
        value: made.token.clone(),
    };
    let bare = Client::bare(&client.world, "cd2");
    let told: TokenInfo = bare.ask("GetApiTokenInfo", value.clone()).await.unwrap();
    assert_eq!(
        (told.root_dir.as_str(), told.expires_in),
        ("/115open/in", Some(60))
    );
    bare.bear(&made.token);
    assert_eq!(bare.names("/115open/in").await, ["a"]);
    assert_eq!(
        bare.find("/115open/out/b").await,
        Err(Code::PermissionDenied)
    );
    assert_eq!(
        bare.find("/115open/inside").await,
        Err(Code::PermissionDenied)
    );
    let request = FileRequest {
        path: "/115open/in/a".to_owned(),
        force_refresh: None,
    };
    // Not its permission.
    let (code, _) = bare.refused("DeleteFile", request.clone()).await;
    assert_eq!(code, Code::PermissionDenied);
    let more = ModifyTokenRequest {
        token: made.token.clone(),
        permissions: Some(TokenPermissions::all()),
        ..ModifyTokenRequest::default()
    };
    let _: TokenInfo = client.ask("ModifyToken", more).await.unwrap();
    bare.change("DeleteFile", request).await.unwrap();
    let listed: ListTokensResult = client.ask("ListTokens", ()).await.unwrap();
    assert_eq!(listed.tokens.len(), 1);
    client.world.clock_advance(61_000);
    assert_eq!(bare.find("/115open/in/a").await, Err(Code::Unauthenticated));
    let (code, _) = bare.refused("GetApiTokenInfo", value.clone()).await;
    assert_eq!(code, Code::NotFound);
    let _: () = client.ask("RemoveToken", value.clone()).await.unwrap();
    let (code, _) = client.refused("RemoveToken", value).await;
    assert_eq!(code, Code::NotFound);
}

#[tokio::test]
async fn a_profile_is_given_what_it_needs() {
    let client = Client::new().await;
    let profile = client.world.profile("cd2").unwrap();
    assert_eq!(profile.root.as_deref(), Some("/115open"));
    assert!(!profile.secrets.contains_key("api_token"));
    client.set("profile_auth", "token");
    client.set("token_root", "/115open");
    let profile = client.world.profile("cd2").unwrap();
    let names: Vec<&String> = profile.secrets.keys().collect();
    assert_eq!(names, ["api_token"]);
    let bare = Client::bare(&client.world, "cd2");
    bare.bear(&profile.secrets["api_token"]);
    assert!(bare.names("/115open").await.is_empty());
    assert_eq!(bare.find("/pikpak").await, Err(Code::PermissionDenied));
    client.set("deny", "1,4");
    assert_eq!(bare.find("/115open").await, Err(Code::PermissionDenied));
    // The second account is another user.
    let other = Client::of(&client.world, "cd2-2").await;
    other.seed("/theirs", &pattern(1));
    assert_eq!(other.names("/115open").await, ["theirs"]);
}

#[tokio::test]
async fn the_transport_is_checked() {
    let client = Client::new().await;
    let address = client.world.profile("cd2").unwrap().endpoints["grpc"]
        .trim_start_matches("http://")
        .to_owned();
    let url = format!("http://{address}/clouddrive.CloudDriveFileSrv/GetSystemInfo");
    let old = reqwest::Client::builder().no_proxy().build().unwrap();
    let new = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let frame = vec![0_u8; 5];
    let grpc = |http: &reqwest::Client| {
        http.post(&url)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(frame.clone())
    };
    assert_eq!(grpc(&old).send().await.unwrap().status(), 505);
    let answer = grpc(&new).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let text = new.post(&url).body("{}").send().await.unwrap();
    assert_eq!(text.status(), 415);
    assert_eq!(new.get(&url).send().await.unwrap().status(), 405);
    let (code, _) = client.refused("GetAvailableDriveLetters", ()).await;
    assert_eq!(code, Code::Unimplemented);
}

#[tokio::test]
async fn faults_strike_where_they_are_named() {
    let client = Client::new().await;
    client.fault("machine_id", FaultKind::Errno, "14,starting");
    let refused = client.refused("GetMachineId", ()).await;
    assert_eq!(refused, (Code::Unavailable, "starting".to_owned()));
    client.fault("machine_id", FaultKind::Errno, "some provider text");
    let refused = client.refused("GetMachineId", ()).await;
    assert_eq!(refused, (Code::Unknown, "some provider text".to_owned()));
    // Where the answer has room, the failure is inside.
    client.fault("mkdir", FaultKind::Errno, "disk on fire");
    let made = client.mkdir("/115open", "d").await.result.unwrap();
    assert_eq!(
        (made.success, &*made.error_message),
        (false, "disk on fire")
    );
    assert!(client.names("/115open").await.is_empty());
    for kind in [FaultKind::Status, FaultKind::Html, FaultKind::Cut] {
        client.fault("machine_id", kind, "");
        client.refused("GetMachineId", ()).await;
    }
    // Done, but nobody hears of it: the connection is gone, the next call makes a new one.
    client.fault("mkdir", FaultKind::DropAnswer, "");
    let request = CreateFolderRequest {
        parent_path: "/115open".to_owned(),
        folder_name: "d".to_owned(),
    };
    client.refused("CreateFolder", request).await;
    assert_eq!(client.names("/115open").await, ["d"]);
    assert_eq!(client.stat().count("mkdir"), 2);
}
