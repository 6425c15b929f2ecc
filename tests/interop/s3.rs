//! S3 servers (sheet generic_backends, 7.2): rclone checks signatures and keeps its objects as
//! files, moto behaves as Amazon's and checks none.

use crate::dav::stories_with;
use crate::servers::Kind;
use crate::stories;

stories_with!(rclone, Kind::RcloneS3);
stories_with!(moto, Kind::Moto);
