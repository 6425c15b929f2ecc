//! A client that knows nothing but the sheet, and what the tests share.

mod account;
mod channels;
mod files;
mod links;
mod odd;
mod uploads;
mod vectors;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::uri::PathAndQuery;
use bytes::Bytes;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status as Refusal, Streaming};

use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::{Fault, FaultKind};
use super::super::meters::Stat;
use super::super::server::{SeedSource, World, WorldOptions};
use super::codec::Protobuf;
use super::messages::*;

/// Bytes `00 .. ff` again and again.
pub(super) fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at % 256) as u8).collect()
}

pub(super) fn hash(number: u32, bytes: &Bytes) -> String {
    let blob = Blob::bytes(bytes.clone());
    match number {
        1 => blob.digest_now(HashKind::Md5),
        2 => blob.digest_now(HashKind::Sha1),
        _ => blob.digest_now(HashKind::Gcid).to_uppercase(),
    }
}

pub(super) fn known(numbers: &[u32], bytes: &Bytes) -> BTreeMap<u32, String> {
    let all = numbers.iter();
    all.map(|number| (*number, hash(*number, bytes))).collect()
}

/// A connection with a token.
pub(super) struct Client {
    pub world: Arc<World>,
    pub name: String,
    channel: Channel,
    token: Mutex<String>,
}

/// How an upload went: all statuses, the text of the last.
#[derive(Debug)]
pub(super) struct Course {
    pub id: String,
    pub statuses: Vec<Status>,
    pub text: String,
    pub reads: Vec<RemoteReadDataRequest>,
    pub hashes: Vec<RemoteHashDataRequest>,
}

impl Course {
    pub fn end(&self) -> Status {
        *self.statuses.last().unwrap()
    }
}

/// An upload on its way: its content, what it has seen.
pub(super) struct Going {
    pub bytes: Bytes,
    pub course: Course,
}

impl Client {
    pub async fn new() -> Client {
        let world = super::super::start(&WorldOptions {
            only: vec!["clouddrive2".to_owned()],
            accounts: 2,
        })
        .unwrap();
        Client::of(&world, "cd2").await
    }

    pub async fn of(world: &Arc<World>, name: &str) -> Client {
        let client = Client::bare(world, name);
        client.login().await;
        client
    }

    /// Without a token.
    pub fn bare(world: &Arc<World>, name: &str) -> Client {
        let address = world.profile(name).unwrap().endpoints["grpc"]
            .trim_start_matches("http://")
            .to_owned();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Client {
            world: world.clone(),
            name: name.to_owned(),
            channel: endpoint.connect_lazy(),
            token: Mutex::default(),
        }
    }

    pub async fn login(&self) -> JwtToken {
        let profile = self.world.profile(&self.name).unwrap();
        let request = GetTokenRequest {
            user_name: profile.fields["username"].clone(),
            password: profile.secrets["password"].clone(),
            totp_code: profile.secrets.get("totp").cloned(),
        };
        let jwt: JwtToken = self.ask("GetToken", request).await.unwrap();
        assert!(jwt.success, "{}", jwt.error_message);
        self.bear(&jwt.token);
        jwt
    }

    /// Uses another token; an empty one is none.
    pub fn bear(&self, token: &str) {
        *self.token.lock().unwrap() = token.to_owned();
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        let token = self.token.lock().unwrap();
        if !token.is_empty() {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    async fn grpc(&self, method: &str) -> (Grpc<Channel>, PathAndQuery) {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let path = format!("/clouddrive.CloudDriveFileSrv/{method}");
        (grpc, path.parse().unwrap())
    }

    /// One message for one.
    pub async fn ask<Q, A>(&self, method: &str, message: Q) -> Result<A, Refusal>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let (mut grpc, path) = self.grpc(method).await;
        let codec = Protobuf::<Q, A>::default();
        let answer = grpc.unary(self.request(message), path, codec).await?;
        Ok(answer.into_inner())
    }

    /// One message for many.
    pub async fn stream<Q, A>(&self, method: &str, message: Q) -> Result<Streaming<A>, Refusal>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let (mut grpc, path) = self.grpc(method).await;
        let codec = Protobuf::<Q, A>::default();
        let answer = grpc
            .server_streaming(self.request(message), path, codec)
            .await?;
        Ok(answer.into_inner())
    }

    /// Status of a call that is refused.
    pub async fn refused<Q>(&self, method: &str, message: Q) -> (Code, String)
    where
        Q: Message + Send + Sync + 'static,
    {
        let answer: Result<(), Refusal> = self.ask(method, message).await;
        let status = answer.unwrap_err();
        (status.code(), status.message().to_owned())
    }

    /// A change that answers a FileOperationResult.
    pub async fn change<Q>(&self, method: &str, message: Q) -> Result<Vec<String>, String>
    where
        Q: Message + Send + Sync + 'static,
    {
        let result: FileOperationResult = self.ask(method, message).await.unwrap();
        match result.success {
            true => Ok(result.result_file_paths),
            false => Err(result.error_message),
        }
    }

    pub fn set(&self, knob: &str, value: &str) {
        self.world.set(&self.name, knob, value).unwrap();
    }

    pub fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault(&self.name, fault).unwrap();
    }

    pub fn stat(&self) -> Stat {
        self.world.stat(&self.name).unwrap()
    }

    pub fn seed(&self, path: &str, bytes: &Bytes) -> String {
        let source = SeedSource::Bytes(bytes.clone());
        self.world.seed(&self.name, path, 0, &source).unwrap()
    }

    pub async fn list(&self, path: &str) -> Vec<CloudDriveFile> {
        let request = ListSubFileRequest {
            path: path.to_owned(),
            ..ListSubFileRequest::default()
        };
        let mut replies: Streaming<SubFilesReply> =
            self.stream("GetSubFiles", request).await.unwrap();
        let mut all = Vec::new();
        while let Some(reply) = replies.message().await.unwrap() {
            all.extend(reply.sub_files);
        }
        all
    }

    pub async fn names(&self, path: &str) -> Vec<String> {
        let all = self.list(path).await.into_iter();
        let mut names: Vec<String> = all.map(|entry| entry.name).collect();
        names.sort();
        names
    }

    pub async fn find(&self, path: &str) -> Result<CloudDriveFile, Code> {
        let request = FindFileByPathRequest {
            parent_path: String::new(),
            path: path.to_owned(),
        };
        let found = self.ask("FindFileByPath", request).await;
        found.map_err(|status| status.code())
    }

    pub async fn mkdir(&self, parent: &str, name: &str) -> CreateFolderResult {
        let request = CreateFolderRequest {
            parent_path: parent.to_owned(),
            folder_name: name.to_owned(),
        };
        self.ask("CreateFolder", request).await.unwrap()
    }

    /// The event stream of a device.
    pub async fn channel(&self, device: &str) -> Streaming<RemoteUploadChannelReply> {
        let request = RemoteUploadChannelRequest {
            device_id: device.to_owned(),
        };
        self.stream("RemoteUploadChannel", request).await.unwrap()
    }

    /// The same after a connection was lost: the next may take a moment.
    pub async fn reopen(&self, device: &str) -> Streaming<RemoteUploadChannelReply> {
        loop {
            let request = RemoteUploadChannelRequest {
                device_id: device.to_owned(),
            };
            if let Ok(events) = self.stream("RemoteUploadChannel", request).await {
                return events;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub async fn start(
        &self,
        path: &str,
        bytes: &Bytes,
        numbers: &[u32],
        can_hash: bool,
    ) -> Result<Going, Refusal> {
        let request = StartRemoteUploadRequest {
            file_path: path.to_owned(),
            file_size: bytes.len() as u64,
            known_hashes: known(numbers, bytes),
            client_can_calculate_hashes: can_hash,
        };
        let started: RemoteUploadStarted = self.ask("StartRemoteUpload", request).await?;
        Ok(Going {
            bytes: bytes.clone(),
            course: Course {
                id: started.upload_id,
                statuses: Vec::new(),
                text: String::new(),
                reads: Vec::new(),
                hashes: Vec::new(),
            },
        })
    }

    pub async fn send(
        &self,
        id: &str,
        offset: u64,
        data: Bytes,
        lazy: bool,
        last: bool,
    ) -> RemoteReadDataReply {
        let request = RemoteReadDataUpload {
            upload_id: id.to_owned(),
            offset,
            length: data.len() as u64,
            lazy_read: lazy,
            data,
            is_last_chunk: last,
        };
        self.ask("RemoteReadData", request).await.unwrap()
    }

    /// Answers a read request with the bytes that exist, at most 1 MiB at a time.
    pub async fn answer_read(&self, id: &str, bytes: &Bytes, read: RemoteReadDataRequest) {
        let size = bytes.len() as u64;
        let end = match read.length {
            0 => read.offset,
            length => (read.offset + length).min(size),
        };
        let mut at = read.offset;
        loop {
            let to = end.min(at + (1 << 20)).max(at);
            let data = match at < to {
                true => bytes.slice(at as usize..to as usize),
                false => Bytes::new(),
            };
            let last = to >= size || (to >= end && read.length > 1 << 20);
            let reply = self.send(id, at, data, read.lazy_read, last).await;
            assert!(reply.success, "{}", reply.error_message);
            at = to;
            if at >= end {
                return;
            }
        }
    }

    /// Reports the true hash, after one report of progress.
    pub async fn answer_hash(&self, id: &str, bytes: &Bytes, ask: RemoteHashDataRequest) {
        let size = bytes.len() as u64;
        let blocks = match (ask.hash_type, ask.block_size) {
            (1, Some(block)) => bytes
                .chunks(block as usize)
                .map(|part| hash(1, &Bytes::copy_from_slice(part)))
                .collect(),
            _ => Vec::new(),
        };
        let report = |value: Option<String>, hashed: u64, block_hashes: Vec<String>| {
            RemoteHashProgressUpload {
                upload_id: id.to_owned(),
                bytes_hashed: hashed,
                total_bytes: size,
                hash_type: ask.hash_type as i32,
                hash_value: value,
                block_hashes,
            }
        };
        let progress = report(Some(String::new()), size / 2, Vec::new());
        let _: () = self.ask("RemoteHashProgress", progress).await.unwrap();
        let done = report(Some(hash(ask.hash_type, bytes)), size, blocks);
        let _: () = self.ask("RemoteHashProgress", done).await.unwrap();
    }

    /// Takes an event of one of the uploads and answers it. False when it was an end.
    pub async fn take(&self, going: &mut Going, event: ChannelEvent) -> bool {
        let id = going.course.id.clone();
        match event {
            ChannelEvent::Read(read) => {
                going.course.reads.push(read);
                self.answer_read(&id, &going.bytes, read).await;
            }
            ChannelEvent::Hash(ask) => {
                going.course.hashes.push(ask);
                self.answer_hash(&id, &going.bytes, ask).await;
            }
            ChannelEvent::Status(changed) => {
                let status = Status::try_from(changed.status).unwrap();
                going.course.statuses.push(status);
                going.course.text = changed.error_message;
                return !status.is_end();
            }
        }
        true
    }

    /// Answers what comes until the upload ends.
    pub async fn serve(
        &self,
        events: &mut Streaming<RemoteUploadChannelReply>,
        mut going: Going,
    ) -> Course {
        while let Some(reply) = events.message().await.unwrap() {
            assert_eq!(reply.upload_id, going.course.id);
            if !self.take(&mut going, reply.request.unwrap()).await {
                return going.course;
            }
        }
        panic!("the channel ended: {:?}", going.course);
    }

    /// A whole upload on a channel of its own.
    pub async fn upload(&self, path: &str, bytes: &Bytes, numbers: &[u32]) -> Course {
        let mut events = self.channel("device-1").await;
        let going = self.start(path, bytes, numbers, true).await.unwrap();
        self.serve(&mut events, going).await
    }
}
