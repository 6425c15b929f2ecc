//! What the stand-in's methods do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::stream::{self, BoxStream, StreamExt};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};

use super::super::codec::Proto;
use super::super::message::*;
use super::super::upload_message::*;
use super::stand_in::{Entry, Seen, Stand};
use crate::fingerprint::{Kind, hash_all};

/// One unary method.
struct Unary<F>(Option<F>);

impl<Q, A, F> UnaryService<Q> for Unary<F>
where
    F: FnOnce(Q) -> Result<A, Status>,
    A: Send + 'static,
{
    type Response = A;
    type Future = std::future::Ready<Result<tonic::Response<A>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let method = self.0.take().unwrap();
        std::future::ready(method(request.into_inner()).map(tonic::Response::new))
    }
}

async fn unary<Q, A>(request: Request, method: impl FnOnce(Q) -> Result<A, Status>) -> Response
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    Grpc::new(Proto::<A, Q>::new())
        .unary(Unary(Some(method)), request)
        .await
        .map(Body::new)
}

/// A stream of answers. A type of its own: the boxed one would make the handler's future depend on
/// a lifetime that the router cannot name.
struct Answers<A>(BoxStream<'static, Result<A, Status>>);

impl<A> stream::Stream for Answers<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// One method that answers a stream.
struct Streamed<F>(Option<F>);

impl<Q, A, F> ServerStreamingService<Q> for Streamed<F>
where
    F: FnOnce(Q) -> Result<Answers<A>, Status>,
    A: Send + 'static,
{
    type Response = A;
    type ResponseStream = Answers<A>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let method = self.0.take().unwrap();
        std::future::ready(method(request.into_inner()).map(tonic::Response::new))
    }
}

async fn streamed<Q, A>(
    request: Request,
    method: impl FnOnce(Q) -> Result<Answers<A>, Status>,
) -> Response
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    Grpc::new(Proto::<A, Q>::new())
        .server_streaming(Streamed(Some(method)), request)
        .await
        .map(Body::new)
}

fn entry(path: &str, entry: &Entry) -> CloudFile {
    let name = path.rsplit('/').next().unwrap().to_owned();
    let time = Some(Timestamp {
        seconds: entry.seconds,
        nanos: 0,
    });
    let mut file = CloudFile {
        name,
        full_path_name: path.to_owned(),
        create_time: time,
        write_time: time,
        cloud_api: Some(CloudApi {
            name: "115open".to_owned(),
            ..CloudApi::default()
        }),
        ..CloudFile::default()
    };
    match &entry.bytes {
        None => file.is_directory = true,
        Some(bytes) => {
            file.size = i64::try_from(bytes.len()).unwrap();
            file.file_type = 1;
            for (_, sha1) in hash_all(&[Kind::Sha1], bytes) {
                file.file_hashes.insert(2, sha1.to_uppercase());
            }
        }
    }
    file
}

fn good(paths: Vec<String>) -> FileOperationResult {
    FileOperationResult {
        success: true,
        error_message: String::new(),
        result_file_paths: paths,
    }
}

fn bad(text: &str) -> FileOperationResult {
    FileOperationResult {
        error_message: text.to_owned(),
        ..FileOperationResult::default()
    }
}

/// Gives an entry and all below it another path.
fn relocate(seen: &mut Seen, from: &str, to: &str) {
    let below = format!("{from}/");
    let old: Vec<String> = seen
        .tree
        .keys()
        .filter(|path| *path == from || path.starts_with(&below))
        .cloned()
        .collect();
    for path in old {
        let entry = seen.tree.remove(&path).unwrap();
        seen.tree.insert(path.replacen(from, to, 1), entry);
    }
}

/// Answers `success = false`, or an empty folder with that result.
pub async fn refuse(method: &str, request: Request, text: &'static str) -> Response {
    match method {
        "RemoteReadData" => {
            unary(request, |_: RemoteReadDataUpload| {
                Ok(RemoteReadDataReply {
                    error_message: text.to_owned(),
                    ..RemoteReadDataReply::default()
                })
            })
            .await
        }
        "CreateFolder" => {
            unary(request, |_: CreateFolderRequest| {
                Ok(CreateFolderResult {
                    folder_created: None,
                    result: Some(bad(text)),
                })
            })
            .await
        }
        _ => unary(request, |_: Empty| Ok(bad(text))).await,
    }
}

/// Does what the method is there for.
pub async fn carry_out(stand: &Arc<Stand>, method: &str, request: Request) -> Response {
    match method {
        "GetToken" => unary(request, |q: GetTokenRequest| Ok(login(stand, q))).await,
        "GetSubFiles" => streamed(request, |q: ListSubFileRequest| list(stand, &q)).await,
        "FindFileByPath" => unary(request, |q: FindFileByPathRequest| find(stand, &q)).await,
        "GetSpaceInfo" => {
            unary(request, |_: FileRequest| {
                Ok(SpaceInfo {
                    total_space: 1000,
                    used_space: 400,
                    free_space: 600,
                })
            })
            .await
        }
        "CreateFolder" => {
            unary(request, |q: CreateFolderRequest| {
                Ok(create_folder(stand, &q))
            })
            .await
        }
        "RenameFile" => unary(request, |q: RenameFileRequest| Ok(rename(stand, &q))).await,
        "MoveFile" => unary(request, |q: MoveFileRequest| Ok(move_files(stand, q))).await,
        "CopyFile" => unary(request, |q: CopyFileRequest| Ok(copy_files(stand, &q))).await,
        "DeleteFile" => unary(request, |q: FileRequest| Ok(delete(stand, &q))).await,
        "GetDownloadUrlPath" => {
            unary(request, |q: GetDownloadUrlPathRequest| Ok(link(stand, &q))).await
        }
        "RemoteUploadChannel" => {
            streamed(request, |q: RemoteUploadChannelRequest| {
                Ok(channel(stand, q))
            })
            .await
        }
        "StartRemoteUpload" => {
            unary(request, |q: StartRemoteUploadRequest| Ok(start(stand, q))).await
        }
        "RemoteReadData" => {
            unary(request, |q: RemoteReadDataUpload| {
                let bytes_received = q.length;
                stand.note(|seen| seen.data.push(q));
                Ok(RemoteReadDataReply {
                    success: true,
                    bytes_received,
                    ..RemoteReadDataReply::default()
                })
            })
            .await
        }
        "RemoteHashProgress" => {
            unary(request, |q: RemoteHashProgressUpload| {
                stand.note(|seen| seen.reports.push(q));
                Ok(Empty {})
            })
            .await
        }
        "RemoteUploadControl" => {
            unary(request, |q: RemoteUploadControlRequest| {
                Ok(control(stand, q))
            })
            .await
        }
        "GetUploadFileList" => {
            unary(request, |q: GetUploadFileListRequest| {
                assert!(q.get_all && q.operator_type_filter == Some(REMOTE_UPLOAD));
                Ok(GetUploadFileListResult {
                    total_count: 0,
                    upload_files: stand.seen().uploads.clone(),
                })
            })
            .await
        }
        _ => Status::unimplemented("no such method").into_http(),
    }
}

fn login(stand: &Stand, q: GetTokenRequest) -> JwtToken {
    let mut seen = stand.seen();
    seen.logins += 1;
    if q.user_name != "alice" || q.password != "s3cret" {
        return JwtToken {
            error_message: "invalid username or password".to_owned(),
            ..JwtToken::default()
        };
    }
    JwtToken {
        success: true,
        token: seen.token.clone(),
        expiration: Some(Timestamp {
            seconds: 4_000_000_000,
            nanos: 0,
        }),
        ..JwtToken::default()
    }
}

/// Two entries at a time: a client that reads one message only is seen.
fn list(stand: &Stand, q: &ListSubFileRequest) -> Result<Answers<SubFilesReply>, Status> {
    let mut seen = stand.seen();
    seen.forced.push(q.force_refresh);
    if q.path != "/" && !seen.tree.contains_key(&q.path) {
        return Err(Status::not_found("no such directory"));
    }
    let below = format!("{}/", q.path.trim_end_matches('/'));
    let files: Vec<CloudFile> = seen
        .tree
        .iter()
        .filter(|(path, _)| {
            path.strip_prefix(&below)
                .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        })
        .map(|(path, it)| entry(path, it))
        .collect();
    let batches: Vec<_> = files
        .chunks(2)
        .map(|batch| {
            Ok(SubFilesReply {
                sub_files: batch.to_vec(),
            })
        })
        .collect();
    Ok(Answers(stream::iter(batches).boxed()))
}

fn find(stand: &Stand, q: &FindFileByPathRequest) -> Result<CloudFile, Status> {
    assert!(q.parent_path.is_empty());
    let seen = stand.seen();
    match seen.tree.get(&q.path) {
        Some(it) => Ok(entry(&q.path, it)),
        // As some versions do.
        None if q.path.ends_with("silent") => Ok(CloudFile::default()),
        None => Err(Status::not_found("nothing there")),
    }
}

fn create_folder(stand: &Stand, q: &CreateFolderRequest) -> CreateFolderResult {
    let mut path = format!("{}/{}", q.parent_path, q.folder_name);
    if stand.seen().tree.contains_key(&path) {
        if q.folder_name != "numbered" {
            return CreateFolderResult {
                folder_created: None,
                result: Some(bad("folder already exists")),
            };
        }
        path.push_str("(1)");
    }
    let made = Entry {
        bytes: None,
        seconds: 1_700_000_002,
    };
    stand.seen().tree.insert(path.clone(), made.clone());
    CreateFolderResult {
        folder_created: Some(entry(&path, &made)),
        result: Some(good(vec![path])),
    }
}

fn rename(stand: &Stand, q: &RenameFileRequest) -> FileOperationResult {
    let mut seen = stand.seen();
    if !seen.tree.contains_key(&q.the_file_path) {
        return bad("file not found");
    }
    let dir = q.the_file_path.rsplit_once('/').unwrap().0.to_owned();
    let name = seen.renamed_to.take().unwrap_or(q.new_name.clone());
    let to = format!("{dir}/{name}");
    relocate(&mut seen, &q.the_file_path, &to);
    good(vec![to])
}

fn move_files(stand: &Stand, q: MoveFileRequest) -> FileOperationResult {
    let mut seen = stand.seen();
    let from = q.the_file_paths[0].clone();
    let to = format!("{}/{}", q.dest_path, from.rsplit('/').next().unwrap());
    seen.moves.push(q);
    if seen.tree.contains_key(&to) {
        // Skipped, which is a success.
        return good(Vec::new());
    }
    relocate(&mut seen, &from, &to);
    good(vec![to])
}

fn copy_files(stand: &Stand, q: &CopyFileRequest) -> FileOperationResult {
    let mut seen = stand.seen();
    let from = &q.the_file_paths[0];
    let to = format!("{}/{}", q.dest_path, from.rsplit('/').next().unwrap());
    let it = seen.tree[from].clone();
    seen.tree.insert(to.clone(), it);
    good(vec![to])
}

fn delete(stand: &Stand, q: &FileRequest) -> FileOperationResult {
    match stand.seen().tree.remove(&q.path) {
        Some(_) => good(vec![q.path.clone()]),
        None => bad("file not found"),
    }
}

fn link(stand: &Stand, q: &GetDownloadUrlPathRequest) -> DownloadUrlPathInfo {
    DownloadUrlPathInfo {
        download_url_path: format!("/static/{{SCHEME}}/{{HOST}}/{{PREVIEW}}{}?token=t", q.path),
        expires_in: Some(3600),
        direct_url: stand.seen().direct.clone(),
        user_agent: Some("UA/1".to_owned()),
        ..DownloadUrlPathInfo::default()
    }
}

fn channel(stand: &Stand, q: RemoteUploadChannelRequest) -> Answers<RemoteUploadChannelReply> {
    let (sender, receiver) = mpsc::unbounded_channel();
    stand.note(|seen| {
        seen.devices.push(q.device_id);
        // The one before ends with this.
        seen.channel = Some(sender);
    });
    let replies = stream::unfold(receiver, |mut receiver| async move {
        let reply = receiver.recv().await?;
        Some((Ok(reply), receiver))
    });
    Answers(replies.boxed())
}

fn start(stand: &Arc<Stand>, q: StartRemoteUploadRequest) -> RemoteUploadStarted {
    let id = {
        let mut seen = stand.seen();
        assert!(seen.channel.is_some(), "the channel is opened first");
        seen.starts.push(q.clone());
        let id = format!("u-{}", seen.starts.len());
        seen.uploads.push(UploadFileInfo {
            key: id.clone(),
            dest_path: q.file_path.clone(),
            size: q.file_size,
            operator_type: REMOTE_UPLOAD,
            status_enum: 1,
            ..UploadFileInfo::default()
        });
        id
    };
    stand.note(|_| ());
    stand.run(id.clone(), q);
    RemoteUploadStarted { upload_id: id }
}

fn control(stand: &Stand, q: RemoteUploadControlRequest) -> Empty {
    stand.note(|seen| {
        let control = q.control.unwrap();
        if matches!(control, Control::Cancel(_)) {
            seen.uploads.retain(|upload| upload.key != q.upload_id);
        }
        seen.controls.push((q.upload_id, control));
    });
    Empty {}
}
