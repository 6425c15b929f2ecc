//! What a drive is: the traits [`Drive`] and [`Content`], their types and errors.
//!
//! | file | what is in it |
//! |---|---|
//! | `node` | [`Node`], [`NodeId`], [`Page`], [`Quota`] |
//! | `capabilities` | [`Capabilities`]: what a drive can do, as data for the planner |
//! | `error` | [`DriveError`]: kind, retry, account effect; one table to errno |
//! | `content` | [`Content`] and [`Conversation`], the questions of a fast upload |
//! | `upload` | [`UploadRequest`], [`Attempt`], [`UploadSession`], [`PartReceipt`] |
//! | `find` | [`Finds`], [`Found`], [`ShareLink`]: searches, typed lists, links |
//! | `login` | [`Login`]: log-in flows, as data of the provider |
//! | `names` | [`NameRules`]: reversible mapping of names a provider cannot hold |
//! | `provider` | [`ProviderInfo`]: a provider in the registry, as data; [`DriveContext`] to open one |
//! | `download` | ranged GETs, the account's client, listed hashes |
//! | `decode` | lenient readers for provider JSON (ids as numbers, null lists) |

mod capabilities;
mod content;
pub mod decode;
mod download;
mod error;
mod find;
mod login;
pub mod names;
mod node;
mod provider;
mod upload;

use std::ops::Range;

use async_trait::async_trait;

pub use capabilities::{
    Calls, Capabilities, Gives, GivesWhen, HashesDue, Overwrite, Question, UploadRules,
};
pub use content::{ByteStream, Content, Conversation, Cost, ReadBudget, collect};
pub use download::{Ranged, get_range, listed, open_client, patience};
pub use error::{AccountEffect, DriveError, ErrorKind, Result, errno_name};
pub use find::{Finds, Found, FoundPage, LinkWish, MediaCount, MediaKind, ShareLink};
pub use login::{DeviceLogin, DevicePoll, Login, LoginContext, LoginPage, Qr};
pub use names::NameRules;
pub use node::{Cursor, Node, NodeId, NodeKind, Page, Quota, Shared};
pub use provider::{AuthMode, DriveContext, EndpointInfo, FieldInfo, ProviderInfo, Status};
pub use upload::{Attempt, OnConflict, PartReceipt, UploadRequest, UploadSession};

use crate::fingerprint::{Kind, Known};

/// One account on one provider.
///
/// Every method has its own deadlines and never hangs. Names in and out are the names users
/// see: the driver maps them with its [`NameRules`]. Nothing here caches.
///
/// Methods that a drive's [`Capabilities`] exclude return [`ErrorKind::Unsupported`].
#[async_trait]
pub trait Drive: Send + Sync {
    /// What the drive can do.
    fn capabilities(&self) -> &Capabilities;

    /// The id of the directory that is mounted.
    fn root(&self) -> NodeId;

    /// A name for the account that is the same in every profile of it (user id), once known.
    /// `None` before the first answer that tells it.
    fn account_id(&self) -> Option<String>;

    /// Whether a new name fits, before anything is sent.
    ///
    /// # Errors
    /// `NameTooLong`; drivers with rules of their own also say `Invalid`.
    fn check_name(&self, name: &str) -> Result<()> {
        let most = self.capabilities().max_name_bytes;
        if name.len() > most {
            return Err(DriveError::new(
                ErrorKind::NameTooLong,
                format!("the name {name:?} is longer than the {most} bytes this provider takes"),
            ));
        }
        Ok(())
    }

    /// Whether this node can be written, renamed, moved and removed at all, before anything is done.
    /// What an account cannot change as a whole is [`Capabilities::read_only`].
    ///
    /// # Errors
    /// [`ErrorKind::Fixed`] for what is only shown, such as online documents.
    fn check_change(&self, node: &Node) -> Result<()> {
        let _ = node;
        Ok(())
    }

    /// One page of a directory; `cursor` is `None` for the first. Entries that are not finished
    /// (an upload under way) are left out.
    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page>;

    /// One node by id, fresh.
    async fn stat(&self, id: &NodeId) -> Result<Node>;

    /// The bytes of `range` (half-open, inside the file, not empty). The stream ends with an error
    /// when it is shorter. Links are cached and renewed inside.
    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream>;

    /// A fingerprint the provider tells only when asked for it ([`GivesWhen::ExtraCall`]).
    async fn fingerprint(&self, node: &Node, kind: Kind) -> Result<Option<Known>> {
        let _ = (node, kind);
        Ok(None)
    }

    /// Makes a directory. [`ErrorKind::Exists`] when the name is taken.
    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node>;

    /// Gives a node another name in its directory and returns the node as it is now. Never
    /// replaces: [`ErrorKind::Exists`] when the name is taken. [`ErrorKind::Unsupported`] when
    /// this provider cannot do this particular rename (115: another extension).
    async fn rename(&self, node: &Node, name: &str) -> Result<Node>;

    /// Moves a node into another directory, keeping its name. Never replaces.
    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node>;

    /// Copies a file at the provider, without data traffic, into `parent` under `name`. Never
    /// replaces. `Unsupported` when it cannot give that name there.
    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node>;

    /// Moves a node to the trash (deletes where the provider has none, see
    /// [`Capabilities::trash`]). A node that is gone already is a success.
    async fn trash(&self, node: &Node) -> Result<()>;

    /// Brings a trashed node back to where it was.
    async fn restore(&self, node: &Node) -> Result<Node> {
        let _ = node;
        Err(DriveError::unsupported("restore"))
    }

    /// What an account of the same provider needs to take this node over without data traffic:
    /// a link of a share and the node's ticket in it ([`Capabilities::shared`]).
    async fn shared(&self, node: &Node) -> Result<Shared> {
        let _ = node;
        Err(DriveError::unsupported("handing out a node"))
    }

    /// Takes a shared node (a directory with everything below it) over into `parent` under `name`,
    /// at the provider, without data traffic ([`Capabilities::saves_shared`]). Never replaces:
    /// [`ErrorKind::Exists`] when the name is taken.
    async fn save_shared(&self, shared: &Shared, parent: &NodeId, name: &str) -> Result<Node> {
        let _ = (shared, parent, name);
        Err(DriveError::unsupported("saving from a share"))
    }

    /// Nodes below `dir` whose name has `key` in it, as the provider matches
    /// ([`Finds::search`]); `cursor` is `None` for the first page.
    async fn search(&self, dir: &NodeId, key: &str, cursor: Option<Cursor>) -> Result<FoundPage> {
        let _ = (dir, key, cursor);
        Err(DriveError::unsupported("searching"))
    }

    /// Files of a kind anywhere below `dir` ([`Finds::media`]).
    async fn media(
        &self,
        dir: &NodeId,
        kind: MediaKind,
        cursor: Option<Cursor>,
    ) -> Result<FoundPage> {
        let _ = (dir, kind, cursor);
        Err(DriveError::unsupported("listing files by kind"))
    }

    /// How many files of each of its kinds are below `dir` ([`Finds::media`]).
    async fn media_counts(&self, dir: &NodeId) -> Result<Vec<MediaCount>> {
        let _ = dir;
        Err(DriveError::unsupported("counting files by kind"))
    }

    /// Makes a link by which others can open the node ([`Finds::links`]). Not repeated when the
    /// answer is lost: it would be a second link.
    async fn share_link(&self, node: &Node, wish: &LinkWish) -> Result<ShareLink> {
        let _ = (node, wish);
        Err(DriveError::unsupported("making a share link"))
    }

    /// Space of the account.
    async fn quota(&self) -> Result<Quota>;

    /// Asks "do you already have this content?" and, on a hit, creates the node.
    ///
    /// Questions go through `conversation`, which enforces the planner's reading budget: its
    /// `OverBudget` error is handed on as it is, with nothing left behind at the provider.
    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt>;

    /// Opens a streamed upload without asking first.
    async fn open_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession>;

    /// Takes up a session from the journal: checks that it still lives and fills
    /// [`UploadSession::accepted`] from the provider's part list where it has one. `None` when
    /// it is gone (start anew).
    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>>;

    /// Sends part `number` (1-based). Idempotent: a part that is there already is a success.
    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: bytes::Bytes,
    ) -> Result<PartReceipt>;

    /// Finishes the upload and returns the new node. `digests` answers for hashes that are due
    /// only now ([`HashesDue::AtCommit`]). A lost answer of an earlier commit is recognised.
    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        conversation: &Conversation<'_>,
    ) -> Result<Node>;

    /// Removes whatever a session left at the provider. A session that is gone is a success.
    async fn abandon_upload(&self, session: &UploadSession) -> Result<()>;
}
