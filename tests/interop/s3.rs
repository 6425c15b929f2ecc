//! S3 servers (sheet generic_backends, 7.2): rclone checks signatures and keeps its objects as
//! files, moto behaves as Amazon's and checks none.

use crate::dav::stories_with;
use crate::servers::Kind;
use crate::stories;

// Seen once in three runs: rclone lists a directory for a moment after everything in it was moved.
stories_with!(
    rclone,
    Kind::RcloneS3,
    ignore = "not stable yet: rmdir right after the last thing was moved out"
);
stories_with!(moto, Kind::Moto);
