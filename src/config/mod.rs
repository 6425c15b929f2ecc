//! Settings: what the user's file and the environment say, checked once.
//!
//! Two stages. [`raw`] holds every value with the place it came from (file and line, or
//! variable); `check` turns that into [`Settings`], which cannot be invalid. Reading by hand
//! instead of by derive lets one error name the line, the key, the bad value and the nearest
//! valid key, and lets several mistakes be told at once.
//!
//! | file | what is in it |
//! |---|---|
//! | `raw` | the file as values with their origin; the environment laid over it |
//! | `section` | typed reading of one table; leftovers are unknown keys |
//! | `check` | raw values to [`Settings`] |
//! | `settings` | [`Settings`] and its tables, with the defaults |
//! | `error` | [`ConfigError`]: every problem with its place |
//! | `suggest` | [`nearest`]: the closest valid word |
//! | `paths` | [`Paths`]: config file, data, state, cache, runtime directories |
//! | `load` | [`load`]: all of it in one call |

mod check;
mod error;
mod load;
mod paths;
pub mod raw;
mod section;
mod settings;
mod suggest;

pub use check::{check, profiles_from_str};
pub use error::{ConfigError, ConfigProblem, Origin};
pub use load::{Config, LoadOptions, load};
pub use paths::{Paths, effective_uid, make_private_dir, socket_path, write_private};
pub use settings::{
    CacheSettings, ClosePolicy, ConflictPolicy, LimitSettings, LogLevel, LogSettings,
    MountSettings, ProfileSettings, ProviderSettings, RiskSettings, Settings, StoreSettings,
    TransferSettings,
};
pub use suggest::{did_you_mean, nearest};
