//! The registry: one line per provider, one folder per driver, all with the same file names.
//! `oss` and `opendal` are pieces that drivers share: uploads into Aliyun's object store, and Apache
//! OpenDAL's services over our client.

pub mod aliyundrive_open;
pub mod baidu_netdisk;
pub mod cloud189;
pub mod clouddrive2;
pub mod guangya;
pub mod lark_drive;
pub mod local;
#[cfg(feature = "backend-s3")]
pub mod opendal;
pub mod oss;
pub mod pan115_open;
pub mod pan123_open;
pub mod pikpak;
pub mod quark_uc;
#[cfg(feature = "backend-s3")]
pub mod s3;
pub mod webdav;
pub mod xunlei;

use crate::drive::ProviderInfo;

/// Every provider, in the order people see them.
pub static REGISTRY: &[&ProviderInfo] = &[
    &pan115_open::INFO,
    &aliyundrive_open::INFO,
    &pan123_open::INFO,
    &pikpak::INFO,
    &baidu_netdisk::INFO,
    &cloud189::INFO,
    &quark_uc::QUARK,
    &quark_uc::UC,
    &xunlei::INFO,
    &guangya::INFO,
    &clouddrive2::INFO,
    &lark_drive::INFO,
    &webdav::INFO,
    #[cfg(feature = "backend-s3")]
    &s3::INFO,
    &local::INFO,
];

/// The provider with this key.
pub fn find(key: &str) -> Option<&'static ProviderInfo> {
    REGISTRY.iter().copied().find(|info| info.key == key)
}
